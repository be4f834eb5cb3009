"""What is wrong or odd about a word, in sentences that say what it means and what to do.

Vectors that are not finite are no case here: no `Embedding` has them, its library tells of files that do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..text import CHUNK_TOKENS
from .figures import EncoderFigures, NormRange, VectorFigures, WordFigures

Level = Literal["note", "warning", "problem"]
Kind = Literal["dead", "exploded", "outside", "duplicate", "token copy", "many vectors"]
LEVELS: tuple[Level, ...] = ("problem", "warning", "note")

DEAD_SHARE = 0.01  # of the vocabulary's mean length: below, a vector is lost against the positions' own vectors
EXPLODED_TIMES = 10.0  # the longest of the vocabulary
OUTSIDE_TIMES = 1.5  # the longest, or this part of the shortest: what the text encoder has never read
DUPLICATE_COSINE = 0.999
COPY_COSINE = 0.99
MANY_VECTORS = 16  # more leave less than four fifths of a prompt
MOST_OF_PROMPT = CHUNK_TOKENS // 2


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing: `encoder` and `vector` (numbered from 1) are None where it is about the whole word."""

    level: Level
    kind: Kind
    encoder: str | None
    vector: int | None
    sentence: str


def findings_of(figures: WordFigures) -> tuple[Finding, ...]:
    """All findings about a word, problems first, then warnings, then notes; each kind in the order of the vectors."""
    found = [*about_size(figures.vector_count)]
    for of_encoder in figures.encoders.values():
        for vector in of_encoder.vectors:
            found += about_norm(of_encoder, vector)
            found += about_copy(of_encoder, vector)
        found += about_duplicates(of_encoder)
    return tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))


def about_size(count: int) -> Iterator[Finding]:
    """Whether `count` vectors are many: all of them stand in every prompt that uses the word."""
    if count > MANY_VECTORS:
        level: Level = "warning" if count > MOST_OF_PROMPT else "note"
        places = (
            f"The word takes {count} of the {CHUNK_TOKENS} places in a prompt, which leaves little room for others"
            if count <= CHUNK_TOKENS
            else f"The word has {count} vectors, more than the {CHUNK_TOKENS} places that are read together"
        )
        yield Finding(level, "many vectors", None, None, f"{places}; train it with fewer vectors, 1 to 8 are usual.")


def about_norm(figures: EncoderFigures, vector: VectorFigures) -> Iterator[Finding]:
    """Whether a vector is so short or so long that the text encoder cannot read it as a word."""
    usual = figures.vocabulary_norms
    length = f"Vector {vector.number} has length {vector.norm:.3g}"
    compared = f"the vocabulary's are {usual.shortest:.3g} to {usual.longest:.3g}, {usual.mean:.3g} on average"
    kind = kind_of_norm(vector.norm, usual)
    if kind == "dead":
        sentence = f"{length} and says nothing, as {compared}; remove it, or train the word again."
        yield Finding("problem", "dead", figures.encoder, vector.number, sentence)
    elif kind == "exploded":
        sentence = (
            f"{length} and drowns the rest of the prompt, as {compared}; "
            f"train with the norm kept or at a lower learning rate, or scale it down."
        )
        yield Finding("problem", "exploded", figures.encoder, vector.number, sentence)
    elif kind == "outside":
        is_short = vector.norm < usual.shortest
        sentence = (
            f"{length}, {'shorter' if is_short else 'longer'} than any token, as {compared}; if the word is "
            f"{'weak' if is_short else 'too strong'} in prompts, scale it to a usual length."
        )
        yield Finding("warning", "outside", figures.encoder, vector.number, sentence)


def kind_of_norm(norm: float, usual: NormRange) -> Kind | None:
    """What is odd about a vector's length, if anything is."""
    if norm < DEAD_SHARE * usual.mean or norm == 0:
        return "dead"
    if norm > EXPLODED_TIMES * usual.longest:
        return "exploded"
    is_usual = usual.shortest / OUTSIDE_TIMES <= norm <= usual.longest * OUTSIDE_TIMES
    return None if is_usual else "outside"


def about_copy(figures: EncoderFigures, vector: VectorFigures) -> Iterator[Finding]:
    """Whether a vector is nearly one of the vocabulary's."""
    for nearest in vector.nearest["cosine"][:1]:
        if nearest.figure > COPY_COSINE:
            sentence = (
                f"Vector {vector.number} is nearly the token {nearest.text!r} (cosine {nearest.figure:.3f}) and says "
                f"little that the model did not know; train longer, unless it is meant to be that token."
            )
            yield Finding("note", "token copy", figures.encoder, vector.number, sentence)


def about_duplicates(figures: EncoderFigures) -> Iterator[Finding]:
    """Vectors that nearly repeat an earlier one of the word; each is told of once, with the first that it repeats."""
    for later in range(1, len(figures.vectors)):
        alike = (figures.similarity[later, :later] > DUPLICATE_COSINE).nonzero()
        if len(alike):
            first = int(alike[0])
            cosine = float(figures.similarity[later, first])
            sentence = (
                f"Vector {later + 1} points where vector {first + 1} does (cosine {cosine:.4f}) and adds little to it; "
                f"remove one of them, or train with fewer vectors."
            )
            yield Finding("warning", "duplicate", figures.encoder, later + 1, sentence)
