"""Uploaded pictures as a gallery shows them: one that cannot be read by a tile that says so."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from ..decoding import decode_picture, load_picture
from ..errors import DatasetError

SIDE, ENLARGED = 100, 3  # pixels of a tile before it is enlarged: the font that there always is has one size alone
BACKGROUND, INK = (120, 120, 120), (255, 255, 255)  # to be seen on light and dark pages
UNREADABLE = "cannot\nbe read"
NOT_IN_BROWSERS = (".tif", ".tiff")  # Chrome and Firefox show none of these
LARGEST_SHOWN = 1024  # pixels along the longer side, of one that is made for the page

Shown: TypeAlias = "str | Image.Image | tuple[Image.Image, str]"


def tiles(paths: Sequence[str]) -> list[Shown]:
    """What a gallery gets for the files at `paths`: the file, or a tile with the reason below it."""
    return [_tile(path) for path in paths]


@lru_cache(maxsize=1000)  # a file is read once, however often others are dropped beside it
def _tile(path: str) -> Shown:
    try:
        if Path(path).suffix.lower() in NOT_IN_BROWSERS:
            picture = load_picture(Path(path))
            picture.thumbnail((LARGEST_SHOWN, LARGEST_SHOWN))
            return picture
        decode_picture(Path(path))
        return path
    except DatasetError as problem:
        return unreadable_tile(), f"{Path(path).name}: {problem}"


@lru_cache(maxsize=1)
def unreadable_tile() -> Image.Image:
    """The tile in the place of a picture that cannot be read."""
    text = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(text).multiline_text((0, 0), UNREADABLE, 255, ImageFont.load_default(), align="center")
    text = text.crop(text.getbbox())  # which older fonts cannot tell before
    tile = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    tile.paste(INK, ((SIDE - text.width) // 2, (SIDE - text.height) // 2), text)
    return tile.resize((SIDE * ENLARGED, SIDE * ENLARGED), Image.Resampling.LANCZOS)
