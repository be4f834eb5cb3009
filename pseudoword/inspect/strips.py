"""Strips: rows of pictures with the same seeds that differ in one thing, and what CLIP says of how they differ.

Four kinds: a word and what is left of it without each of its vectors; the way from one word to another; a new word
beside those that it was made of; a prompt with different layers of the text encoder, of whose figures `layer_scores`
has more. `jobs.strips` makes the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from ..diffusion import TextEncoder
from ..embedding import Embedding
from ..embedding.metadata import encodable
from ..errors import SettingsError
from ..text.layer_choice import EncoderLayers, one_layer
from ..text.prompts import vectors_for
from .arithmetic import evaluate, interpolation
from .csv_text import Cell, csv_text
from .layers import PLACE, TEMPLATE, check_template
from .prompt_view import MAX_CHARACTERS

LONGEST_TITLE = 80  # characters of a prompt in it
MOST_LEFT_OUT = 12  # pictures of a word without some of its vectors; longer words lose neighbours together

Kind: TypeAlias = Literal["contribution", "interpolation", "combination", "layers"]
LAST_LAYER = one_layer(1)


@dataclass(frozen=True, eq=False)
class Shot:
    """One `prompt`, of which there is a picture for every seed; `words` as `text.encode_prompts` takes them.

    `layers` are those of the text encoder that it is read with, None for the row's usual one.
    """

    label: str
    prompt: str
    words: Mapping[str, Mapping[str, Tensor]]
    layers: EncoderLayers | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """Pictures beside each other. `references` are the places of those that all are compared with, the first first.

    `clip_skip` is the text encoder's layer that the words were made for, None where nobody knows. The `negative` prompt
    is read with the same layers as each shot.
    """

    title: str
    shots: tuple[Shot, ...]
    references: tuple[int, ...]
    kind: Kind
    clip_skip: int | None = None
    negative: str = ""


def shot_of(label: str, template: str, vectors: Mapping[str, Tensor]) -> Shot:
    """A picture of the word of `vectors` (n, D), by the encoder's name, where `template` has `{}`."""
    # Whatever the word is called: its name might be found elsewhere in the template, or read as something else.
    return Shot(label, template.replace("{}", PLACE), {PLACE: vectors})


def contribution_row(embedding: Embedding, template: str = TEMPLATE) -> Row:
    """The whole word first, then without each of its vectors in turn, or without up to 12 groups of neighbours.

    A word of one vector is left out of the prompt. Raises SettingsError for a template without `{}`.
    """
    check_template(template)
    count = embedding.vector_count
    shots = [shot_of(embedding.name, template, embedding.vectors)]
    for first, end in groups_of(count):
        kept = [place for place in range(count) if not first <= place < end]
        if kept:
            left = {encoder: rows[kept] for encoder, rows in embedding.vectors.items()}
            shots.append(shot_of(f"without {numbered(first, end)}", template, left))
        else:
            shots.append(Shot("without it", template.replace("{}", "").strip(), {}))
    title = f"What each vector of {embedding.name} does in {template.replace('{}', embedding.name)!r}"
    return Row(title, tuple(shots), (0,), "contribution", embedding.metadata.clip_skip)


def groups_of(count: int) -> list[tuple[int, int]]:
    """First place and end of up to 12 groups of neighbours among `count`, as equal in size as can be."""
    groups = min(count, MOST_LEFT_OUT)
    bounds = [count * group // groups for group in range(groups + 1)]
    return list(pairwise(bounds))


def numbered(first: int, end: int) -> str:
    """The places from `first` up to `end`, as people count: from 1, the last included."""
    return f"{first + 1}" if end - first == 1 else f"{first + 1}–{end}"


def interpolation_row(
    first: Embedding, second: Embedding, count: int, encoders: Sequence[TextEncoder], template: str = TEMPLATE
) -> Row:
    """`count` words on the way from `first` to `second`, both included, as `slerp` of `inspect.arithmetic` goes it.

    Raises SettingsError for a template without `{}`, fewer than 2 and more than 100 words, and for numbers of vectors
    that do not go together, ModelError for a word of another model.
    """
    check_template(template)
    steps = interpolation("first", "second", count)
    for embedding in (first, second):
        for encoder in encoders:
            vectors_for(encoder, embedding.name, embedding.vectors)
    counts = first.vector_count, second.vector_count
    if counts[0] != counts[1] and 1 not in counts:
        raise SettingsError(
            f"{first.name} has {counts[0]} vectors and {second.name} {counts[1]}, and there is no way between them; "
            f"make a word of equally many by an expression, such as name[:{min(counts)}]."
        )
    found = [evaluate(step, encoders, {"first": first, "second": second}) for step in steps]
    between = [f"{100 * step / (count - 1):.0f} %" for step in range(1, count - 1)]
    labels = [first.name, *between, second.name]
    shots = [shot_of(label, template, word.vectors) for label, word in zip(labels, found, strict=True)]
    title = f"From {first.name} to {second.name} in {template!r}"
    return Row(title, tuple(shots), (0, count - 1), "interpolation", found[0].clip_skip)


def combination_row(
    expression: str, embedding: Embedding, ingredients: Sequence[Embedding], template: str = TEMPLATE
) -> Row:
    """What `expression` gives, `embedding`, first; then each of its `ingredients` alone.

    Raises SettingsError for a template without `{}`.
    """
    check_template(template)
    shots = [shot_of("the result", template, embedding.vectors)]
    shots += [shot_of(f"{word.name} alone", template, word.vectors) for word in ingredients]
    return Row(f"{expression} in {template!r}", tuple(shots), (0,), "combination", embedding.metadata.clip_skip)


def layers_row(
    prompt: str, words: Mapping[str, Mapping[str, Tensor]], choices: Sequence[EncoderLayers], negative: str = ""
) -> Row:
    """`prompt` read with each of `choices` of layers, and with the last layer, first where it is not among them.

    The `negative` prompt is read with the same choice. Raises SettingsError for a prompt that is empty or has more than
    20,000 characters, and where there is no choice besides the last layer.
    """
    prompt, negative = encodable(prompt), encodable(negative)
    check_length(prompt)
    check_length(negative)
    if not prompt.strip():
        raise SettingsError("The prompt is empty; say what the pictures are to show.")
    compared = list(dict.fromkeys(choices if LAST_LAYER in choices else [LAST_LAYER, *choices]))
    if len(compared) < 2:
        raise SettingsError("There is nothing to compare the last layer with; name other layers, or all.")
    shots = [Shot(layers_label(layers), prompt, words, layers) for layers in compared]
    shown = prompt if len(prompt) <= LONGEST_TITLE else f"{prompt[:LONGEST_TITLE]}…"
    title = f"Layers of the text encoder for {shown!r}"
    return Row(title, tuple(shots), (compared.index(LAST_LAYER),), "layers", negative=negative)


def check_length(prompt: str) -> None:
    """Raise SettingsError for a prompt of more than 20,000 characters."""
    if len(prompt) > MAX_CHARACTERS:
        raise SettingsError(f"The prompt has {len(prompt):,} characters; at most {MAX_CHARACTERS:,} are read here.")


def layers_label(layers: EncoderLayers) -> str:
    """What a choice of layers is called: "CLIP skip 2", or "blend 1=0.5, 2=0.5"."""
    if layers.single is None and layers.clip_g is None:
        return f"blend {layers.text.replace(',', ', ')}"
    return f"CLIP skip {layers.text}" + (", the last layer" if layers == LAST_LAYER else "")


@dataclass(frozen=True)
class Similarities:
    """How much the pictures of a row are alike, to CLIP.

    `cosines` has for each of `references`, and there for each of the pictures `labels`, a figure for each seed.
    `between_seeds` is the mean cosine of the first reference's own pictures, None where there is one seed.
    """

    title: str
    kind: Kind
    labels: tuple[str, ...]
    references: tuple[int, ...]
    seeds: tuple[int, ...]
    cosines: tuple[tuple[tuple[float, ...], ...], ...]
    between_seeds: float | None

    @property
    def compared(self) -> list[int]:
        """The places of those that are no reference."""
        return [place for place in range(len(self.labels)) if place not in self.references]

    def similarity(self, place: int, reference: int = 0) -> float:
        """The mean over all seeds of the cosine of a picture and the `reference` of that number."""
        return fmean(self.cosines[reference][place])

    def lost(self, place: int) -> float:
        """1 - the similarity with the first reference: 0 where the picture is the same."""
        return 1 - self.similarity(place)

    def deviation(self, place: int, reference: int = 0) -> float | None:
        """How much the figures of single seeds differ (standard deviation); None where there is one seed."""
        figures = self.cosines[reference][place]
        return stdev(figures) if len(figures) > 1 else None

    def caption(self, place: int) -> str:
        """What is written below a picture; nothing below what the others are compared with."""
        if place in self.references:
            return ""
        if self.kind == "interpolation":
            return f"{self.similarity(place):.3f} | {self.similarity(place, 1):.3f}"
        if self.kind in ("combination", "layers"):
            return f"similarity {self.similarity(place):.3f}"
        spread = self.deviation(place)
        return f"{self.lost(place):.3f} lost" + ("" if spread is None else f" ± {spread:.3f}")

    @property
    def explanation(self) -> str:
        """What the captions mean, and what to measure them by, in words."""
        meaning = {
            "contribution": "Lost is how much less the picture is like that of the whole word (1 − CLIP similarity).",
            "interpolation": f"Figures are CLIP similarities with {self.labels[0]} | with {self.labels[-1]}.",
            "combination": "Figures are CLIP similarities with the result.",
            "layers": "Figures are CLIP similarities with the last layer's pictures.",
        }[self.kind]
        if self.between_seeds is None:
            return f"{meaning} One seed says little, for another one changes a picture, too; take two or more."
        name = self.labels[self.references[0]]
        if self.kind == "contribution":
            yardstick = f"the pictures of {name} lose {1 - self.between_seeds:.3f}"
        else:
            yardstick = f"the pictures of {name} have a similarity of {self.between_seeds:.3f}"
        return f"{meaning} To compare with: from one seed to another, {yardstick}."


def similarities(row: Row, seeds: Sequence[int], features: Sequence[Tensor]) -> Similarities | None:
    """The figures of the pictures so far: CLIP image features (B, F) of each of the first shots, a row for each seed.

    None until there are all references, and something to compare with them.
    """
    if len(features) < 2 or len(features) <= max(row.references):
        return None
    found = F.normalize(torch.stack(list(features)).double(), dim=2)  # (shots, B, F)
    references = found[list(row.references)]  # (references, B, F)
    cosines = (references[:, None] * found).sum(dim=3).clamp(-1, 1)  # (references, shots, B)
    count, together = len(seeds), references[0] @ references[0].T  # (B, B)
    pairs = count * (count - 1)
    return Similarities(
        row.title,
        row.kind,
        tuple(shot.label for shot in row.shots[: len(features)]),
        row.references,
        tuple(seeds),
        tuple(tuple(tuple(by_seed) for by_seed in shots) for shots in cosines.tolist()),
        float(together.sum() - together.trace()) / pairs if pairs else None,
    )


def similarities_table(figures: Sequence[Similarities]) -> str:
    """As CSV, a line for each picture and what it is compared with, and one for a reference with its other seeds."""
    seeds = figures[0].seeds if figures else ()
    header = ["strip", "picture", "compared_with", "similarity", "lost", "deviation"]
    header += [f"similarity_with_seed_{seed}" for seed in seeds]
    lines: list[Sequence[Cell]] = []
    for found in figures:
        for number, reference in enumerate(found.references):
            name = found.labels[reference]
            for place, label in enumerate(found.labels):
                mean, spread = found.similarity(place, number), found.deviation(place, number)
                figures_of_all = [mean, 1 - mean, spread, *found.cosines[number][place]]
                lines.append([found.title, label, name, *map(rounded, figures_of_all)])
        alike = found.between_seeds
        if alike is not None:
            name = found.labels[found.references[0]]
            nothing = [None for _ in ("deviation", *seeds)]
            lines.append([found.title, f"{name}, other seeds", name, rounded(alike), rounded(1 - alike), *nothing])
    return csv_text(header, lines)


def rounded(figure: float | None) -> float | None:
    """`figure` as exactly as features in float32 tell it."""
    return None if figure is None else round(figure, 6) + 0.0
