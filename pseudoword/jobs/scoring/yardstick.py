"""What pictures are measured by: the features of texts or classes, and a head."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ...scoring import Head, class_sentences, load_head, mean_features
from ...scoring.long_texts import EMPTY_TEXT
from .score_request import ScoreRequest

if TYPE_CHECKING:
    from ...scoring import ClipScorer


@dataclass(frozen=True)
class ModelFacts:
    """What is told of a CLIP model; to find it out takes a pass."""

    title: str
    width: int
    logit_scale: float

    @classmethod
    def of(cls, scorer: ClipScorer) -> ModelFacts:
        """Those of `scorer`, while it is lent for passes."""
        return cls(scorer.title, scorer.width, scorer.logit_scale)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What pictures are measured by: features (T, D) of the labels, None without any, and a head."""

    model: ModelFacts
    labels: Tensor | None
    head: Head | None
    notes: tuple[str, ...]


def yardstick(
    request: ScoreRequest,
    scorer: ClipScorer,
    model: ModelFacts,
    features_of_texts: Callable[[Sequence[str]], Tensor],
) -> Yardstick:
    """What the pictures of `request` are measured by; `features_of_texts` gives features (N, D) of N texts.

    `scorer` only counts tokens here, for which nobody must wait. `model` is what is told of it.

    Raises SettingsError, ModelError.
    """
    head = None if request.head is None else load_head(Path(os.path.expanduser(request.head)))
    if head is not None:
        head.check_width(model.width, model.title)
    labels, notes = None, []
    if request.labels:
        texts = class_sentences(request.labels, request.templates) if request.templates else request.labels
        notes += scorer.told_of_long(texts, request.long)
        if not all(label.strip() for label in request.labels):
            notes.append(EMPTY_TEXT)
        labels = features_of_texts(texts)
        if request.templates:
            labels = mean_features(labels, len(request.labels))
    return Yardstick(model, labels, head, tuple(notes))
