"""The matrix of pictures and texts as one picture, to keep or to send to somebody."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from PIL import Image, ImageDraw
from torch import Tensor

from ...scoring import Scores
from ...training.contact_sheet import BACKGROUND, GAP, INK, fitted_into
from ..strips.strip_sheet import CAPTION, FAINT, LABEL, MARGIN, TITLE, written
from .score_result import ScoreResult

Figure: TypeAlias = Literal["cosine", "clip score", "probability"]
FORMS: dict[Figure, str] = {"cosine": "{:.3f}", "clip score": "{:.1f}", "probability": "{:.1%}"}
MOST_ROWS, MOST_COLUMNS = 60, 12
PICTURE, CELL, NAME = 96, 132, 200  # pixels: a picture's side, a column's width, the room for a name
LEAST_WIDTH = 900
HEAT = (0, 114, 178)  # Okabe and Ito's blue
MOST_HEAT = 0.75  # on more, dark letters are hard to read


def score_picture(result: ScoreResult, figure: Figure, thumbnail: Callable[[int], bytes | None]) -> Image.Image:
    """Pictures with their names, and a coloured cell for each text; what is too much for a picture is counted.

    Raises MissingExtra where matplotlib, whose letters it is written in, is not installed.
    """
    rows = min(len(result.pictures), MOST_ROWS)
    scores = result.scores
    labels = result.labels[:MOST_COLUMNS] if scores is not None else ()
    heads = [f"head: {result.head}"] if result.head else []
    width = max(PICTURE + GAP + NAME + (len(labels) + len(heads)) * CELL, LEAST_WIDTH)
    parts = [written(f"{title_of(figure)} by {result.model}", TITLE, INK, width), _headers([*labels, *heads], width)]
    lines = [[] for _ in range(rows)] if scores is None else _cells(result, scores, figure, rows)
    for row, cells in enumerate(lines):
        cells += [(f"{result.head_scores[row]:.3f}", 0.0)] if result.head else []
        parts.append(_line(result.pictures[row], thumbnail(row), cells, width))
    footer = _footer(result, rows, len(labels))
    parts.append(written(footer, CAPTION, FAINT, width))
    sheet = Image.new("RGB", (width + 2 * MARGIN, sum(part.height + GAP for part in parts) + 2 * MARGIN), BACKGROUND)
    top = MARGIN
    for part in parts:
        sheet.paste(part, (MARGIN, top))
        top += part.height + GAP
    return sheet


def title_of(figure: Figure) -> str:
    """What a figure is called at the head of a picture."""
    return {"cosine": "Cosine similarity", "clip score": "CLIPScore", "probability": "Probability"}[figure]


def figures_of(scores: Scores, figure: Figure) -> Tensor:
    """The figures (P, T) called so."""
    return {"cosine": scores.cosines, "clip score": scores.clip_scores, "probability": scores.probabilities}[figure]


def _cells(result: ScoreResult, scores: Scores, figure: Figure, rows: int) -> list[list[tuple[str, float]]]:
    """What is written in the cells of the first rows, and how strongly each is coloured, 0 … 1."""
    values = figures_of(scores, figure)
    lowest, highest = (0.0, 1.0) if figure == "probability" else (float(values.min()), float(values.max()))
    best_texts, best_pictures = scores.best_texts, scores.best_pictures
    lines = []
    for row, line in enumerate(values[:rows, :MOST_COLUMNS].tolist()):
        cells = []
        for column, value in enumerate(line):
            marks = "★" * (best_texts[row] == column) + "▲" * (best_pictures[column] == row)
            marks += "◇" * (result.has_diagonal and row == column)
            heat = (value - lowest) / (highest - lowest) if highest > lowest else 0.0
            cells.append((f"{FORMS[figure].format(value)} {marks}", heat))
        lines.append(cells)
    return lines


def _headers(texts: Sequence[str], width: int) -> Image.Image:
    heads = [written(text if len(text) <= 60 else f"{text[:59]}…", CAPTION, INK, CELL - 2 * GAP) for text in texts]
    line = Image.new("RGB", (width, max((head.height for head in heads), default=0) + GAP), BACKGROUND)
    for place, head in enumerate(heads):
        line.paste(head, (PICTURE + GAP + NAME + place * CELL, line.height - head.height))
    return line


def _line(name: str, thumbnail: bytes | None, cells: Sequence[tuple[str, float]], width: int) -> Image.Image:
    line = Image.new("RGB", (width, PICTURE), BACKGROUND)
    if thumbnail is not None:
        picture = fitted_into(Image.open(io.BytesIO(thumbnail)), PICTURE)
        line.paste(picture, ((PICTURE - picture.width) // 2, (PICTURE - picture.height) // 2))
    told = written(name[-60:], CAPTION, INK, NAME - 3 * GAP)
    line.paste(told, (PICTURE + 2 * GAP, max((PICTURE - told.height) // 2, 0)))
    pen = ImageDraw.Draw(line)
    for place, (text, heat) in enumerate(cells):
        left, strength = PICTURE + GAP + NAME + place * CELL, MOST_HEAT * heat
        colour = tuple(round(255 + (part - 255) * strength) for part in HEAT)
        pen.rectangle((left, 0, left + CELL - GAP, PICTURE), fill=colour)
        told = written(text, LABEL, (0, 0, 0), CELL - 2 * GAP).convert("L").point(lambda value: 255 - value)
        line.paste(Image.new("RGB", told.size, INK), (left + GAP, (PICTURE - told.height) // 2), told)
    return line


def _footer(result: ScoreResult, rows: int, columns: int) -> str:
    told = ["★ best text of the picture. ▲ best picture of the text, by cosine."] if result.scores is not None else []
    if result.has_diagonal:
        told.append("◇ the picture's own text, where the texts are in the order of the pictures.")
    if rows < len(result.pictures) or (result.scores is not None and columns < len(result.labels)):
        told.append(
            f"The first {rows} of {len(result.pictures)} pictures and {columns} of {len(result.labels)} texts; the "
            "table (CSV) has all."
        )
    return " ".join(told)
