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
from torch import Tensor
from torch.nn import functional as F

from . import icons, loop, pictures
from .vae import to_pixels

VOCABULARY = 4096
TEXT_LENGTH = 77
RETRIEVED = 200
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


def load(work: Path, name: str = "clip-text") -> open_clip.CLIP:
    """The towers with averaged weights, as the training step `name` left them."""
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


@torch.no_grad()
def retrieval(model: open_clip.CLIP, tokenize: open_clip.tokenizer.SimpleTokenizer, work: Path) -> float:
    """How often a picture of the retrieval set finds its own caption first."""
    images, texts, _ = retrieval_set(work)
    image = F.normalize(model.encode_image(to_pixels(np.stack(images))), dim=-1)
    text = F.normalize(model.encode_text(tokenize(texts)), dim=-1)
    return float(((image @ text.T).argmax(dim=1) == torch.arange(len(texts))).float().mean())


def retrieval_set(work: Path) -> tuple[list[np.ndarray], list[str], list[str]]:
    """New pictures (64, 64, 3) uint8 of 200 seen objects, each in one style on one ground; plain captions; names."""
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
    return images, plain_captions(names), names


def plain_captions(names: list[str]) -> list[str]:
    """The first template with each object's name, style and ground not named."""
    return [pictures.TEMPLATES[0].format(name.replace("-", " ")) for name in names]


@torch.no_grad()
def object_features(model: open_clip.CLIP, names: list[str], work: Path) -> Tensor:
    """The text tower's unit features (len(names), 128) of the plain captions."""
    return F.normalize(encode_text(model, trimmed(tokenizer(work)(plain_captions(names)))), dim=-1)
