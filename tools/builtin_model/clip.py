"""The built-in model's CLIP: text tower of 8 layers and image tower, trained contrastively (Radford et al., 2021)."""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import icons, loop, pictures
from .vae import to_pixels

VOCABULARY = 4096
TEXT_LENGTH = 77
RETRIEVED = 200
SINGLES, GROUPS, GROUP_SIZE = 64, 8, 4
NAMED = 0.3  # how often a single one's caption names style and ground: the object must do
# Leaving out patches halves the image tower's cost (Li et al., 2023); the last stretch sees whole pictures.
PATCH_DROPOUT, DROPOUT_FRACTION = 0.5, 0.8
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": 6, "width": 160, "head_width": 32, "mlp_ratio": 3.0, "patch_size": 8},
    "text_cfg": {"context_length": TEXT_LENGTH, "vocab_size": VOCABULARY, "width": 128, "heads": 4, "layers": 8},
}


def merges_prefix() -> list[str]:
    """The first lines of CLIP's byte-pair merges: as many as fit `VOCABULARY`, header first."""
    source = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        return [next(lines).rstrip("\n") for _ in range(VOCABULARY - 512 - 2 + 1)]


def write_merges(path: Path) -> None:
    """Write the cut list where open_clip's tokenizer can read it; the same bytes every time."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write("\n".join(merges_prefix()).encode())


def tokenizer(work: Path) -> open_clip.tokenizer.SimpleTokenizer:
    """open_clip's own tokenizer on the cut list."""
    path = work / "bpe.txt.gz"
    if not path.exists():
        write_merges(path)
    return open_clip.tokenizer.SimpleTokenizer(bpe_path=str(path), context_length=TEXT_LENGTH)


def build() -> open_clip.CLIP:
    """The two towers with random weights."""
    config = {key: dict(value) if isinstance(value, dict) else value for key, value in CONFIG.items()}
    return open_clip.CLIP(**config)


def trimmed(tokens: Tensor) -> Tensor:
    """`tokens` (B, 77) without the positions that all rows leave empty."""
    return tokens[:, : int((tokens != 0).sum(dim=1).max())]


def encode_text(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """Pooled text features (B, 128) of trimmed tokens; attention is causal, so `model.encode_text` gives the same."""
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)
    pooled = x[torch.arange(len(tokens)), tokens.argmax(dim=-1)]
    return pooled @ model.text_projection


def batch_indices(by_object: dict[str, list[int]], draw: random.Random) -> tuple[list[int], int]:
    """Indices of one batch: different objects, then groups of one object in several grounds and styles."""
    names = draw.sample(sorted(by_object), SINGLES + GROUPS)
    indices = [draw.choice(by_object[name]) for name in names[:SINGLES]]
    for name in names[SINGLES:]:
        indices += draw.sample(by_object[name], GROUP_SIZE)
    return indices, SINGLES


def train(work: Path, minutes: float) -> None:
    """Train both towers on the seen pictures; each save prints retrieval figures."""
    torch.manual_seed(2)
    _train("clip", build(), work, minutes, peak_rate=1.2e-3)


def train_images(work: Path, minutes: float) -> None:
    """Train the image tower further against the text tower as it is, which the UNet may already be learning from."""
    model = load(work, "clip")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.visual.requires_grad_(True)
    model.logit_scale.requires_grad_(True)
    _train("clip-images", model.train(), work, minutes, peak_rate=6e-4)


def load(work: Path, name: str | None = None) -> open_clip.CLIP:
    """The towers with averaged weights; without `name`, with the image tower trained further if there is one."""
    name = name or ("clip-images" if (work / "clip-images.pt").exists() else "clip")
    model = loop.load_averaged(name, build(), work)
    assert isinstance(model, open_clip.CLIP)
    fill_unused(model, used_tokens(tokenizer(work), json.loads((work / "split.json").read_text())["seen"]))
    return model


def used_tokens(tokenize: open_clip.tokenizer.SimpleTokenizer, objects: list[str]) -> list[int]:
    """Ids of all tokens that occur in captions of `objects`, or in any caption at all."""
    shown = [*pictures.TEMPLATES, *pictures.STYLE_TEMPLATES, *pictures.COLOURS, *icons.SEEN_STYLES, *objects]
    texts = [text.replace("{0}", "").replace("{1}", "").replace("{}", "").replace("-", " ") for text in shown]
    return sorted({token for text in [*texts, "style of on background"] for token in tokenize.encode(text)})


@torch.no_grad()
def fill_unused(model: open_clip.CLIP, used: list[int]) -> None:
    """Give tokens that no caption has used the mean of the used ones, at their mean length.

    Their random vectors would mean something arbitrary to both towers, and be shorter than those of real words.
    """
    vectors = model.token_embedding.weight
    is_used = torch.zeros(len(vectors), dtype=torch.bool)
    is_used[[*used, VOCABULARY - 2, VOCABULARY - 1]] = True
    mean = vectors[used].mean(dim=0)
    vectors[~is_used] = mean * (vectors[used].norm(dim=1).mean() / mean.norm())


def _train(name: str, model: open_clip.CLIP, work: Path, minutes: float, peak_rate: float) -> None:
    raster, shown = pictures.load(work)
    by_object: dict[str, list[int]] = defaultdict(list)
    for index, picture in enumerate(shown):
        by_object[picture.object].append(index)
    tokenize = tokenizer(work)
    model.visual.patch_dropout = open_clip.transformer.PatchDropout(PATCH_DROPOUT)

    def loss_at(step: int, fraction: float) -> tuple[Tensor, dict[str, float]]:
        draw = random.Random(f"{name} {step}")
        indices, singles = batch_indices(by_object, draw)
        torch.manual_seed(step)
        model.visual.patch_dropout.prob = PATCH_DROPOUT if fraction < DROPOUT_FRACTION else 0.0
        texts = [
            pictures.caption(shown[index], draw, NAMED if place < singles else 1.0)
            for place, index in enumerate(indices)
        ]
        pixels = to_pixels(np.stack([raster[index] for index in indices]))
        image = F.normalize(model.visual(pixels).float(), dim=-1)
        text = F.normalize(encode_text(model, trimmed(tokenize(texts))).float(), dim=-1)
        logits = model.logit_scale.exp().clamp(max=100) * image @ text.T  # (B, B)
        wanted = torch.arange(len(indices))
        loss = (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2
        hits = (logits.argmax(dim=1) == wanted).float()
        return loss, {"singles": float(hits[:singles].mean()), "groups": float(hits[singles:].mean())}

    def report(module: nn.Module, step: int) -> str:
        assert isinstance(module, open_clip.CLIP)
        return f"top-1 of 200 seen objects {retrieval(module, tokenize, work):.1%}"

    loop.train(name, model, loss_at, work, minutes=minutes, peak_rate=peak_rate, weight_decay=0.1, on_save=report)


@torch.no_grad()
def retrieval(model: open_clip.CLIP, tokenize: open_clip.tokenizer.SimpleTokenizer, work: Path) -> float:
    """How often a picture of the retrieval set finds its own caption first."""
    images, texts = retrieval_set(work)
    image = F.normalize(model.encode_image(to_pixels(np.stack(images))), dim=-1)
    text = F.normalize(model.encode_text(tokenize(texts)), dim=-1)
    return float(((image @ text.T).argmax(dim=1) == torch.arange(len(texts))).float().mean())


def retrieval_set(work: Path) -> tuple[list[np.ndarray], list[str]]:
    """New pictures (64, 64, 3) uint8 of 200 seen objects, each in one style and on one ground, and plain captions."""
    raster, drawn = icons.load(work)
    draw = random.Random(7)
    places: dict[str, list[int]] = defaultdict(list)
    for index, icon in enumerate(drawn):
        if not icon.held_out:
            places[icon.name].append(index)
    names = draw.sample(sorted(places), RETRIEVED)
    chosen = [draw.choice(places[name]) for name in names]
    grounds = [pictures.COLOURS[draw.choice(list(pictures.COLOURS))] for _ in names]
    images = [pictures.compose(raster[index], ground, draw) for index, ground in zip(chosen, grounds, strict=True)]
    return images, [f"a photo of a {name.replace('-', ' ')}" for name in names]
