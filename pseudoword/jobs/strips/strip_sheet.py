"""A whole strip as one picture, with its labels and figures, to keep or to send to somebody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from ...errors import MissingExtra
from ...inspect.canvas import drawable
from ...training.contact_sheet import BACKGROUND, GAP, INK, row_scaled_to

LEAST_WIDTH, MOST_WIDTH = 1000, 2000  # pixels; one shot of many seeds may be wider
HEIGHT_OF_FEW, HEIGHT_OF_MANY = 256, 160  # pixels of a picture
FEW, FEW_SEEDS = 60, 2
MARGIN, BETWEEN = 24, 28  # around all, and between two shots
TITLE, LABEL, CAPTION = 26, 19, 17  # pixels of letters
LINE_HEIGHT = 1.4  # in parts of the letters' size
FAINT = (95, 100, 108)


@dataclass(frozen=True)
class SheetShot:
    """`pictures` side by side, with what is written above them."""

    label: str
    caption: str
    pictures: Image.Image


@dataclass(frozen=True)
class SheetRow:
    """Shots below a `title`, with an `explanation` of their captions."""

    title: str
    shots: Sequence[SheetShot]
    explanation: str


def strip_sheet(rows: Sequence[SheetRow], seeds: int, footer: str) -> Image.Image:
    """All rows below each other, long ones in several lines; every shot shows so many `seeds`.

    Raises MissingExtra where matplotlib, whose letters it is written in, is not installed.
    """
    few = seeds <= FEW_SEEDS and seeds * sum(len(row.shots) for row in rows) <= FEW
    height = HEIGHT_OF_FEW if few else HEIGHT_OF_MANY
    widths = [round(shot.pictures.width * height / shot.pictures.height) for row in rows for shot in row.shots]
    cell = max([height, *widths]) + BETWEEN
    room = max(1, (MOST_WIDTH - 2 * MARGIN + BETWEEN) // cell)
    columns = max(1, min(room, max((len(row.shots) for row in rows), default=1)))
    width = max(columns * cell - BETWEEN, LEAST_WIDTH - 2 * MARGIN)
    parts: list[Image.Image] = []
    for row in rows:
        parts.append(written(row.title, TITLE, INK, width))
        for start in range(0, len(row.shots), columns):
            parts.append(line_of(row.shots[start : start + columns], height, cell, width))
        parts.append(written(row.explanation, CAPTION, FAINT, width))
        parts.append(Image.new("RGB", (width, BETWEEN), BACKGROUND))
    parts.append(written(footer, CAPTION, FAINT, width))
    sheet = Image.new("RGB", (width + 2 * MARGIN, sum(part.height for part in parts) + 2 * MARGIN), BACKGROUND)
    top = MARGIN
    for part in parts:
        sheet.paste(part, (MARGIN, top))
        top += part.height
    return sheet


def line_of(shots: Sequence[SheetShot], height: int, cell: int, width: int) -> Image.Image:
    """Shots beside each other, one each `cell` pixels."""
    heads = [
        (written(shot.label, LABEL, INK, cell - BETWEEN), written(shot.caption, CAPTION, FAINT, cell - BETWEEN))
        for shot in shots
    ]
    labels, captions = (max(part.height for part in column) for column in zip(*heads, strict=True))
    line = Image.new("RGB", (width, labels + captions + GAP + height + BETWEEN), BACKGROUND)
    for place, (shot, (label, caption)) in enumerate(zip(shots, heads, strict=True)):
        line.paste(label, (place * cell, 0))
        line.paste(caption, (place * cell, labels))
        line.paste(row_scaled_to(shot.pictures, height), (place * cell, labels + captions + GAP))
    return line


def written(text: str, size: int, colour: tuple[int, int, int], width: int) -> Image.Image:
    """`text` in letters of `size` pixels, in as many lines as it needs; a word wider than a line is cut."""
    try:
        from matplotlib.font_manager import FontProperties, findfont
    except ImportError as error:
        raise MissingExtra("matplotlib", "standalone") from error
    font = ImageFont.truetype(findfont(FontProperties()), size)
    lines = [""]
    for word in drawable(text, len(text)).split(" "):
        if lines[-1] and font.getlength(f"{lines[-1]} {word}") > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    picture = Image.new("RGB", (width, round(len(lines) * size * LINE_HEIGHT)), BACKGROUND)
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((0, round(number * size * LINE_HEIGHT)), line, fill=colour, font=font)
    return picture
