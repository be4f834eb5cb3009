"""A word on a map: its vectors among the model's own words and other embeddings, in the plane.

The plane is that of the first two principal components of a fixed sample of common words, so that all words of a model
are on one map. Directions are drawn, not lengths: a learned vector may be ten times as long as any token, and beside it
the vocabulary would be a dot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..embedding import Embedding
from ..text.tokenizer import WORD_END
from .figures import EncoderFigures, directions, widths_of
from .vocabulary import Vocabulary

SAMPLE = 2000  # tokens that the plane is fitted to: more change it no longer
LABELLED, FEW_VECTORS = 3, 8  # nearest tokens of each vector; words of more vectors have one each


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane among the directions of a vocabulary.

    `mean` is (D,), `axes` (2, D) at right angles and of length 1, `shares` (2,) how much of the sample's variance each
    axis shows, `sample` (m, 2) where the sample's tokens lie; all float64.
    """

    encoder: str
    mean: Tensor
    axes: Tensor
    shares: Tensor
    sample: Tensor

    def positions(self, vectors: Tensor) -> Tensor:
        """Where the directions of `vectors` (n, D) lie, (n, 2), float64."""
        return (directions(vectors) - self.mean) @ self.axes.T


@dataclass(frozen=True)
class Place:
    """A labelled point."""

    label: str
    x: float
    y: float


@dataclass(frozen=True, eq=False)
class WordMap:
    """A word on the map: `vectors` labelled with their numbers from 1, their nearest `tokens`, and `others`.

    Another embedding is one point, where the mean of its vectors points. What is all zeros points nowhere, and is not
    on the map.
    """

    name: str
    plane: Plane
    vectors: tuple[Place, ...]
    tokens: tuple[Place, ...]
    others: tuple[Place, ...]


def plane_of(vocabulary: Vocabulary) -> Plane:
    """The plane of `vocabulary`, the same each time. It takes a moment: keep it as long as the vocabulary."""
    sample = directions(vocabulary.vectors[frequent_tokens(vocabulary)])  # (m, D)
    mean = sample.mean(dim=0)
    centred = sample - mean
    # The covariance is D × D, less than the sample itself, and its decomposition draws no random numbers.
    variances, components = torch.linalg.eigh(centred.T @ centred)  # rising
    axes = with_fixed_signs(components[:, -2:].flip(1).T)
    shares = variances[-2:].flip(0) / variances.sum().clamp(min=1e-300)
    return Plane(vocabulary.encoder, mean, axes, shares, centred @ axes.T)


def frequent_tokens(vocabulary: Vocabulary) -> Tensor:
    """Ids (m,) of up to `SAMPLE` common words: whole words of letters; byte-pair merges stand in order of frequency.

    All tokens but start and end, where the vocabulary has fewer than 3 words.
    """
    words = [
        token_id
        for token_id, text in enumerate(vocabulary.texts)
        if text.endswith(WORD_END) and len(text) >= 3 + len(WORD_END) and text.removesuffix(WORD_END).isalpha()
    ]
    if len(words) < 3:
        words = [token_id for token_id in range(len(vocabulary)) if token_id not in vocabulary.specials]
    return torch.tensor(words[:SAMPLE])


def with_fixed_signs(axes: Tensor) -> Tensor:
    """`axes` (k, D), each turned so that its number furthest from 0 is positive: a decomposition leaves that open."""
    furthest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    return torch.where(furthest < 0, -axes, axes)


def word_map(
    embedding: Embedding,
    figures: EncoderFigures,
    vocabulary: Vocabulary,
    plane: Plane,
    others: Sequence[tuple[str, Embedding]] = (),
) -> WordMap:
    """The map of `embedding` for one encoder: `figures`, `vocabulary` and `plane` are of that encoder.

    Of `others`, (name, embedding) pairs, those with the same encoders at the same widths are on it.
    """
    encoder = figures.encoder
    vectors = embedding.vectors[encoder]
    labelled = LABELLED if len(vectors) <= FEW_VECTORS else 1
    nearest = {
        neighbour.token_id: neighbour.text
        for vector in figures.vectors
        for neighbour in vector.nearest["cosine"][:labelled]
    }
    widths = widths_of(embedding)
    means = [(name, other.vectors[encoder].double().mean(0)) for name, other in others if widths_of(other) == widths]
    numbered = [(str(index + 1), row) for index, row in enumerate(vectors)]
    tokens = [(text, vocabulary.vectors[token_id]) for token_id, text in nearest.items()]
    return WordMap(embedding.name, plane, *(places(plane, kind) for kind in (numbered, tokens, means)))


def places(plane: Plane, labelled: Sequence[tuple[str, Tensor]]) -> tuple[Place, ...]:
    """Where (label, vector (D,)) pairs lie on `plane`, without those that are zeros."""
    pointing = [(label, vector.double()) for label, vector in labelled if bool(vector.any())]
    if not pointing:
        return ()
    positions = plane.positions(torch.stack([vector for _, vector in pointing]))
    return tuple(Place(label, x, y) for (label, _), (x, y) in zip(pointing, positions.tolist(), strict=True))
