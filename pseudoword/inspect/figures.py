"""What a word is made of, in numbers: its vectors against the vocabulary, each other, and other words.

Vectors are numbered from 1, as people count them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..embedding import Embedding
from ..errors import ModelError
from .nearest_rows import MEASURES, Measure
from .vocabulary import Neighbour, Vocabulary


@dataclass(frozen=True)
class NormRange:
    """Lengths in a vocabulary: mean, standard deviation (of the whole, not of a sample), shortest and longest."""

    mean: float
    deviation: float
    shortest: float
    longest: float


@dataclass(frozen=True)
class VectorFigures:
    """One vector: its `number` from 1, its length, and its nearest tokens by each measure.

    `norm_percentile` says how many per cent of the vocabulary are shorter, those equally long counting half.
    """

    number: int
    norm: float
    norm_percentile: float
    nearest: Mapping[Measure, tuple[Neighbour, ...]]


@dataclass(frozen=True, eq=False)
class EncoderFigures:
    """A word's vectors for one text encoder.

    `similarity` (n, n), float64, holds the cosines of the vectors with each other; a vector of zeros has cosine 0.
    """

    encoder: str
    vocabulary_norms: NormRange
    vectors: tuple[VectorFigures, ...]
    similarity: Tensor


@dataclass(frozen=True)
class WordFigures:
    """A word's figures by the name of the text encoder, in the embedding's order."""

    name: str
    encoders: Mapping[str, EncoderFigures]

    @property
    def vector_count(self) -> int:
        """How many of the 75 places in a prompt the word takes."""
        return len(next(iter(self.encoders.values())).vectors)


@dataclass(frozen=True)
class Relation:
    """How near another word is, for one text encoder, -1 to 1.

    `mean_cosine` is the cosine of the two words' mean vectors; `best_cosine` the highest cosine of a vector of the one
    with a vector of the other, `own_vector` with `its_vector`, numbered from 1.
    """

    name: str
    mean_cosine: float
    best_cosine: float
    own_vector: int
    its_vector: int


@dataclass(frozen=True)
class Relations:
    """Other words by text encoder, nearest first by `mean_cosine`, and the names of those that cannot be compared.

    Compared are words that have the same encoders at the same widths.
    """

    by_encoder: Mapping[str, tuple[Relation, ...]]
    left_out: tuple[str, ...]


def figures_of(
    embedding: Embedding, vocabularies: Iterable[Vocabulary], count: int = 10, *, with_specials: bool = True
) -> WordFigures:
    """Figures of `embedding` with `count` nearest tokens for each vector and measure.

    `vocabularies` are those of the model's text encoders. `with_specials` False leaves start and end token out of the
    nearest ones. Raises ModelError where the model has no such encoder or one of another width, SettingsError for a
    count below 1.
    """
    by_name = {vocabulary.encoder: vocabulary for vocabulary in vocabularies}
    found = {}
    for encoder, vectors in embedding.vectors.items():
        vocabulary = by_name.get(encoder)
        if vocabulary is None or vocabulary.width != vectors.shape[1]:
            have = ", ".join(f"{name} {known.width} wide" for name, known in by_name.items()) or "none"
            raise ModelError(
                f"The word {embedding.name!r} has vectors for {encoder} {vectors.shape[1]} wide, and this model has "
                f"{have}; load a model that the word was made for."
            )
        found[encoder] = encoder_figures(vectors, vocabulary, count, with_specials=with_specials)
    return WordFigures(embedding.name, found)


def encoder_figures(
    vectors: Tensor, vocabulary: Vocabulary, count: int = 10, *, with_specials: bool = True
) -> EncoderFigures:
    """Figures of a word's `vectors` (n, D) for the encoder of `vocabulary`. Raises as `Vocabulary.nearest`."""
    nearest = vocabulary.nearest_by_each(vectors, count, with_specials=with_specials)
    norms = vectors.double().norm(dim=1)
    percentiles = vocabulary.norm_percentiles(norms)
    each = tuple(
        VectorFigures(
            index + 1,
            float(norms[index]),
            float(percentiles[index]),
            {measure: nearest[measure][index] for measure in MEASURES},
        )
        for index in range(len(vectors))
    )
    return EncoderFigures(vocabulary.encoder, norm_range(vocabulary.norms), each, cosines(vectors, vectors))


def norm_range(norms: Tensor) -> NormRange:
    """Mean, deviation and limits of `norms` (V,)."""
    return NormRange(float(norms.mean()), float(norms.std(correction=0)), float(norms.min()), float(norms.max()))


def cosines(ones: Tensor, others: Tensor) -> Tensor:
    """Cosine of each of `ones` (n, D) with each of `others` (m, D), (n, m), float64; with a vector of zeros it is 0."""
    product: Tensor = directions(ones) @ directions(others).T
    return product.clamp(-1, 1)


def directions(vectors: Tensor) -> Tensor:
    """`vectors` (n, D) at length 1, float64; zeros stay zeros."""
    exact = vectors.detach().double()
    lengths = exact.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, exact / lengths, 0.0)


def relations_of(embedding: Embedding, others: Sequence[tuple[str, Embedding]], count: int | None = None) -> Relations:
    """The `count` words of `others`, (name, embedding) pairs, nearest to `embedding`, or all of them.

    For each encoder, by the cosine of mean vectors: mean(v) · mean(w) / (|mean(v)| |mean(w)|); equals in the order of
    their names.
    """
    widths = widths_of(embedding)
    comparable = [(name, other) for name, other in others if widths_of(other) == widths]
    by_encoder = {}
    for encoder, vectors in embedding.vectors.items():
        found = [relation(name, vectors, other.vectors[encoder]) for name, other in comparable]
        found.sort(key=lambda one: (-one.mean_cosine, one.name.casefold(), one.name))
        by_encoder[encoder] = tuple(found[:count])
    return Relations(by_encoder, tuple(name for name, other in others if widths_of(other) != widths))


def widths_of(embedding: Embedding) -> dict[str, int]:
    """The width of an embedding's vectors for each of its text encoders."""
    return {encoder: vectors.shape[1] for encoder, vectors in embedding.vectors.items()}


def relation(name: str, vectors: Tensor, others: Tensor) -> Relation:
    """How near the word `name` with the vectors `others` (m, D) is to one with `vectors` (n, D)."""
    of_means = cosines(vectors.double().mean(dim=0, keepdim=True), others.double().mean(dim=0, keepdim=True))
    of_pairs = cosines(vectors, others)
    own, its = divmod(int(of_pairs.argmax()), len(others))
    return Relation(name, float(of_means), float(of_pairs[own, its]), own + 1, its + 1)
