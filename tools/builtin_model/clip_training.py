"""How the built-in CLIP is trained: both towers together, then images against a table, then text against images."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from . import clip, icons, loop, pictures
from .vae import to_pixels

SINGLES, GROUPS, GROUP_SIZE = 64, 8, 4
TEXT_SINGLES, TEXT_GROUPS = 256, 32
NAMED = 0.3  # how often a single one's caption names style and ground: the object must do
# Leaving out patches halves the image tower's cost (Li et al., 2023); the last stretch sees whole pictures.
PATCH_DROPOUT, DROPOUT_FRACTION = 0.5, 0.8
MAX_SCALE = 100.0


class Batches:
    """Draws batches of seen pictures: different objects, then groups of one object in several styles and grounds."""

    def __init__(self, work: Path, singles: int, groups: int) -> None:
        self.raster, self.shown = pictures.load(work)
        self.singles, self.groups = singles, groups
        self._by_object: dict[str, list[int]] = defaultdict(list)
        for index, picture in enumerate(self.shown):
            self._by_object[picture.object].append(index)
        self.objects = sorted(self._by_object)

    def indices(self, draw: random.Random) -> list[int]:
        """Indices of one batch, the single ones first."""
        names = draw.sample(self.objects, self.singles + self.groups)
        chosen = [draw.choice(self._by_object[name]) for name in names[: self.singles]]
        for name in names[self.singles :]:
            chosen += draw.sample(self._by_object[name], GROUP_SIZE)
        return chosen

    def captions(self, indices: list[int], draw: random.Random) -> list[str]:
        """A caption for each; those of groups name style and ground, because nothing else tells them apart."""
        named = [NAMED if place < self.singles else 1.0 for place in range(len(indices))]
        return [pictures.caption(self.shown[index], draw, how) for index, how in zip(indices, named, strict=True)]

    def pixels(self, indices: list[int]) -> Tensor:
        """The pictures (B, 3, 64, 64) in −1 … 1."""
        return to_pixels(np.stack([self.raster[index] for index in indices]))


def contrast(scale: Tensor, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
    """The contrastive loss (Radford et al., 2021) of matching unit rows (B, 128), and which texts are found, (B,)."""
    logits = scale.exp().clamp(max=MAX_SCALE) * image @ text.T  # (B, B)
    wanted = torch.arange(len(logits))
    loss = (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2
    return loss, (logits.argmax(dim=1) == wanted).float()


def found(hits: Tensor, singles: int) -> dict[str, float]:
    """The share of found texts among the single ones and in the groups, for the log."""
    return {"singles": float(hits[:singles].mean()), "groups": float(hits[singles:].mean())}


def spread(features: Tensor) -> float:
    """Over how many dimensions rows (N, D) spread: the participation ratio of their variances, 1 … D."""
    variances = torch.linalg.svdvals(features - features.mean(dim=0)).square()
    return float(variances.sum() ** 2 / variances.square().sum())


def train_together(work: Path, minutes: float) -> None:
    """Train both towers from random weights; each save prints the retrieval figure."""
    batches, tokenize = Batches(work, SINGLES, GROUPS), clip.tokenizer(work)
    torch.manual_seed(2)
    model = clip.build()
    model.visual.patch_dropout = open_clip.transformer.PatchDropout(PATCH_DROPOUT)

    def loss_at(step: int, fraction: float) -> tuple[Tensor, dict[str, float]]:
        draw = random.Random(f"clip {step}")
        indices = batches.indices(draw)
        torch.manual_seed(step)
        model.visual.patch_dropout.prob = PATCH_DROPOUT if fraction < DROPOUT_FRACTION else 0.0
        tokens = clip.trimmed(tokenize(batches.captions(indices, draw)))
        image = F.normalize(model.visual(batches.pixels(indices)), dim=-1)
        loss, hits = contrast(model.logit_scale, image, F.normalize(clip.encode_text(model, tokens), dim=-1))
        return loss, found(hits, SINGLES)

    def report(module: nn.Module, step: int) -> str:
        assert isinstance(module, open_clip.CLIP)
        return f"top-1 of {clip.RETRIEVED} seen objects {clip.retrieval(module, tokenize, work):.1%}"

    loop.train("clip", model, loss_at, work, minutes=minutes, peak_rate=1.2e-3, weight_decay=0.1, on_save=report)


class ImagesAndTable(nn.Module):
    """The image tower, and in place of the text tower a table of vectors (128,) for objects, styles and grounds."""

    def __init__(self, visual: nn.Module, objects: Tensor, spread: float = 0.1) -> None:
        super().__init__()
        width = objects.shape[1]
        self.visual = visual
        self.objects = nn.Parameter(objects.clone())
        self.styles = nn.Parameter(spread * torch.randn(len(icons.SEEN_STYLES), width) / width**0.5)
        self.colours = nn.Parameter(spread * torch.randn(len(pictures.COLOURS), width) / width**0.5)
        self.logit_scale = nn.Parameter(torch.tensor(3.0))


def train_images(work: Path, minutes: float) -> None:
    """Train the image tower on, against a table instead of the text tower, so that each batch tells all objects apart.

    A text tower of eight layers is slow to tell words apart, and an image tower learns no more than it is asked. The
    table starts at the text tower's features and is thrown away in the end.
    """
    torch.manual_seed(4)
    batches = Batches(work, SINGLES, GROUPS)
    rows = {name: row for row, name in enumerate(batches.objects)}
    styles = {name: row for row, name in enumerate(icons.SEEN_STYLES)}
    colours = {name: row for row, name in enumerate(pictures.COLOURS)}
    towers = clip.load(work, "clip")
    model = ImagesAndTable(
        towers.visual.requires_grad_(True).train(), clip.object_features(towers, batches.objects, work)
    )
    patch_dropout = open_clip.transformer.PatchDropout(PATCH_DROPOUT)
    model.visual.patch_dropout = patch_dropout

    def loss_at(step: int, fraction: float) -> tuple[Tensor, dict[str, float]]:
        indices = batches.indices(random.Random(f"clip-images {step}"))
        torch.manual_seed(step)
        patch_dropout.prob = PATCH_DROPOUT if fraction < DROPOUT_FRACTION else 0.0
        shown = [batches.shown[index] for index in indices]
        image = F.normalize(model.visual(batches.pixels(indices)), dim=-1)
        named = torch.tensor([rows[picture.object] for picture in shown])
        objects = F.normalize(model.objects, dim=-1)
        logits = model.logit_scale.exp().clamp(max=MAX_SCALE) * image @ objects.T  # (B, number of objects)
        described = (
            objects[named]
            + model.styles[[styles[picture.style] for picture in shown]]
            + model.colours[[colours[picture.colour] for picture in shown]]
        )
        loss, hits = contrast(model.logit_scale, image, F.normalize(described, dim=-1))
        named_right = float((logits.argmax(dim=1) == named).float().mean())
        return loss + F.cross_entropy(logits, named), {"objects": named_right} | found(hits, SINGLES)

    def report(module: nn.Module, step: int) -> str:
        assert isinstance(module, ImagesAndTable)
        images, _, names = clip.retrieval_set(work)
        features = F.normalize(module.visual(to_pixels(np.stack(images))), dim=-1)
        wanted = torch.tensor([rows[name] for name in names])
        table = F.normalize(module.objects, dim=-1)
        top = float(((features @ table[wanted].T).argmax(dim=1) == torch.arange(len(wanted))).float().mean())
        return f"top-1 of {clip.RETRIEVED} rows {top:.1%}, spread over {spread(table):.1f} dimensions"

    loop.train("clip-images", model, loss_at, work, minutes=minutes, peak_rate=6e-4, weight_decay=0.1, on_save=report)


def image_tower(work: Path) -> nn.Module:
    """The image tower as `train_images` left it, frozen."""
    saved = torch.load(work / "clip-images.pt", weights_only=True, mmap=True)["averaged"]
    visual = clip.build().visual
    visual.load_state_dict({key[7:]: value for key, value in saved.items() if key.startswith("visual.")})
    return visual.eval().requires_grad_(False)


@torch.no_grad()
def prepare_features(work: Path) -> Tensor:
    """The image tower's unit features (N, 128) of all seen pictures; computed once."""
    path = work / "features.pt"
    if not path.exists():
        visual, (raster, _) = image_tower(work), pictures.load(work)
        features = [
            F.normalize(visual(to_pixels(raster[start : start + 256])), dim=-1)
            for start in tqdm(range(0, len(raster), 256), desc="features", disable=None)
        ]
        torch.save(torch.cat(features), path)
    return torch.load(path, weights_only=True)


def train_text(work: Path, minutes: float) -> None:
    """Train the text tower from random weights against the image tower as it is (locked tuning, Zhai et al., 2022).

    The image features are computed once, so batches can be four times as large.
    """
    features = prepare_features(work)
    batches, tokenize = Batches(work, TEXT_SINGLES, TEXT_GROUPS), clip.tokenizer(work)
    torch.manual_seed(5)
    model = clip.build()
    model.visual.load_state_dict(image_tower(work).state_dict())
    model.visual.requires_grad_(False)

    def loss_at(step: int, fraction: float) -> tuple[Tensor, dict[str, float]]:
        draw = random.Random(f"clip-text {step}")
        indices = batches.indices(draw)
        tokens = clip.trimmed(tokenize(batches.captions(indices, draw)))
        text = F.normalize(clip.encode_text(model, tokens), dim=-1)
        loss, hits = contrast(model.logit_scale, features[indices], text)
        return loss, found(hits, TEXT_SINGLES)

    def report(module: nn.Module, step: int) -> str:
        assert isinstance(module, open_clip.CLIP)
        texts = clip.object_features(module, batches.objects, work)
        top = clip.retrieval(module, tokenize, work)
        return f"top-1 of {clip.RETRIEVED} seen objects {top:.1%}, spread over {spread(texts):.1f} dimensions"

    loop.train("clip-text", model, loss_at, work, minutes=minutes, peak_rate=1.2e-3, weight_decay=0.1, on_save=report)
