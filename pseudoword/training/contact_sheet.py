"""Pictures side by side, for a person to judge: training set, before, after, best."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

GAP = 4  # pixels between pictures
LABEL_HEIGHT = 16
BACKGROUND = (255, 255, 255)
INK = (40, 40, 40)


def row_of(pictures: Sequence[Image.Image], side: int) -> Image.Image:
    """`pictures` in one row, each fitted into a square of `side` pixels."""
    row = Image.new("RGB", (len(pictures) * (side + GAP) - GAP, side), BACKGROUND)
    for place, picture in enumerate(pictures):
        fitted = fitted_into(picture, side)
        left = place * (side + GAP) + (side - fitted.width) // 2
        row.paste(fitted, (left, (side - fitted.height) // 2))
    return row


def fitted_into(picture: Image.Image, side: int) -> Image.Image:
    """`picture` as RGB, its longer side `side` pixels, on white where it is transparent."""
    if picture.mode in ("RGBA", "LA", "P"):
        picture = picture.convert("RGBA")
        backdrop = Image.new("RGBA", picture.size, (*BACKGROUND, 255))
        picture = Image.alpha_composite(backdrop, picture)
    return resized(picture.convert("RGB"), side / max(picture.size))


def contact_sheet(rows: Sequence[tuple[str, Image.Image]], height: int) -> Image.Image:
    """One labelled row for each (label, row of pictures), each row scaled to `height` pixels."""
    font = ImageFont.load_default()
    scaled = [(label, row_scaled_to(row, height)) for label, row in rows]
    width = max(max(row.width, int(font.getlength(label))) for label, row in scaled) + 2 * GAP
    sheet = Image.new("RGB", (width, len(scaled) * (height + LABEL_HEIGHT + GAP) + GAP), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    top = GAP
    for label, row in scaled:
        pen.text((GAP, top), label, fill=INK, font=font)
        sheet.paste(row, (GAP, top + LABEL_HEIGHT))
        top += height + LABEL_HEIGHT + GAP
    return sheet


def row_scaled_to(row: Image.Image, height: int) -> Image.Image:
    """`row` at `height` pixels, its width in proportion."""
    return resized(row.convert("RGB"), height / row.height)


def resized(picture: Image.Image, scale: float) -> Image.Image:
    """`picture` times `scale`. Whole factors keep pixels crisp: a blur would hide what a small model drew."""
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    crisp = scale >= 1 and scale == int(scale)
    return picture.resize(size, Image.Resampling.NEAREST if crisp else Image.Resampling.LANCZOS)


def png_bytes(picture: Image.Image) -> bytes:
    """`picture` as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
