"""Words and vocabularies with known properties, and a plain float64 search to compare with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pseudoword.embedding import Embedding
from pseudoword.inspect.nearest_rows import Measure
from pseudoword.inspect.vocabulary import Vocabulary
from tests import tiny_models


def vocabulary_of(rows: Tensor, encoder: str = "clip_l", specials: Sequence[int] = ()) -> Vocabulary:
    """`rows` (V, D) as a vocabulary; the tokens are called w0, w1, … and all end a word."""
    return Vocabulary(encoder, rows, tuple(f"w{number}</w>" for number in range(len(rows))), tuple(specials))


def random_rows(count: int, width: int = tiny_models.WIDTH, seed: int = 0, length: float = 0.4) -> Tensor:
    """Random vectors (count, width) about as long as CLIP's."""
    generator = torch.Generator().manual_seed(seed)
    return length * torch.randn(count, width, generator=generator) / width**0.5


def tiny_vocabulary() -> Vocabulary:
    """That of the tiny text encoder."""
    return Vocabulary.of_encoder(tiny_models.TinyModel().text_encoders[0])


def word(rows: Tensor, name: str = "zonk", encoder: str = "clip_l") -> Embedding:
    """An embedding of `rows` for one encoder."""
    return Embedding(name, {encoder: rows})


def plain_figures(queries: Tensor, rows: Tensor, measure: Measure) -> Tensor:
    """All figures (n, V) by the formulas, float64."""
    queries, rows = queries.double(), rows.double()
    if measure == "distance":
        return torch.stack([(rows - query).square().sum(dim=1).sqrt() for query in queries])
    dots = torch.stack([(rows * query).sum(dim=1) for query in queries])
    if measure == "dot":
        return dots
    lengths = queries.norm(dim=1)[:, None] * rows.norm(dim=1)
    return torch.where(lengths > 0, dots / lengths, 0.0)


def plain_order(figures: Tensor, measure: Measure) -> list[int]:
    """Ids by `figures` (V,), nearest first; of equals the lower one."""
    sign = 1 if measure == "distance" else -1
    return sorted(range(len(figures)), key=lambda token_id: (sign * float(figures[token_id]), token_id))
