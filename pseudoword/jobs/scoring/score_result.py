"""What came of scoring pictures, and the table of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...inspect.csv_text import Cell, csv_text
from ...scoring import Scores, Unreadable
from ...scoring.matrix import matrix_rows


@dataclass(frozen=True, eq=False)
class ScoreResult:
    """How well each of `pictures` fits each of `labels`: texts, or classes where `are_classes`.

    `scores` is None where there was no label or no picture could be read; `head_scores` is one number a picture where
    a `head` was asked. `model` is the title of the model, whose features have `width` numbers. `notes` are sentences.
    """

    model: str
    width: int
    logit_scale: float
    pictures: tuple[str, ...]
    labels: tuple[str, ...]
    are_classes: bool
    scores: Scores | None
    head: str
    head_scores: tuple[float, ...]
    notes: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def has_diagonal(self) -> bool:
        """Whether there are as many texts as pictures, so that each picture may have its own; classes have no order."""
        return self.scores is not None and self.scores.is_square and not self.are_classes

    @property
    def found(self) -> int | None:
        """How many pictures found their own text, where there are as many texts as pictures, in the same order."""
        share = self.scores.found_texts if self.scores is not None and self.has_diagonal else None
        return None if share is None or len(self.pictures) < 2 else round(share * len(self.pictures))


def result_table(result: ScoreResult) -> str:
    """A row for each pair of picture and text, as CSV, and one for each picture that could not be read."""
    header: list[str] = ["picture", "model"]
    rows: list[list[Cell]] = [[picture, result.model] for picture in result.pictures]
    if result.scores is not None:
        first, *others = matrix_rows(result.scores, result.pictures, result.labels)
        header, rows = list(map(str, first)), [[_plain(cell) for cell in row] for row in others]
    if result.head:
        header.append(f"head: {result.head}")
        each = len(rows) // max(len(result.pictures), 1)
        rows = [[*row, result.head_scores[place // each]] for place, row in enumerate(rows)]
    width = len(header)
    unread: list[Sequence[Cell]] = [[one.path, *[None] * (width - 1), one.reason] for one in result.unreadable]
    return csv_text([*header, "problem"], [*([*row, None] for row in rows), *unread])


def _plain(cell: str | float | bool) -> Cell:
    return int(cell) if isinstance(cell, bool) else cell
