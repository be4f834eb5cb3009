"""The pictures of a run as pages show them: which there are, and small ones that many fit on a page."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image

from ...decoding import load_picture
from ...errors import DatasetError, TrainingError
from ...training.run_folder import RunFolder
from ..server.limits import picture_files
from ..store.found_runs import read_source

THUMBNAIL, SMALL = 96, 320  # pixels
PREVIEW = re.compile(r"step-(\d{6,})\.png")
SHOWN_PICTURES = 60  # of a training set


def preview_steps(files: RunFolder) -> list[int]:
    """After which steps previews were made, in order."""
    try:
        names = [path.name for path in files.previews.iterdir()]
    except OSError:
        return []
    return sorted(int(found[1]) for found in map(PREVIEW.fullmatch, names) if found)


def thumbnail(files: RunFolder, step: int) -> bytes | None:
    """The first of the pictures made at `step`, small, as JPEG; None where there are none."""
    try:
        with Image.open(files.preview(step)) as row:
            first = row.convert("RGB").crop((0, 0, min(row.height, row.width), row.height))
    except OSError:
        return None
    return _jpeg(first, THUMBNAIL)


def picture_count(files: RunFolder) -> int:
    """How many training pictures there are to be shown."""
    return min(len(_pictures(files)), SHOWN_PICTURES)


def training_picture(files: RunFolder, number: int) -> bytes | None:
    """A training picture by its number, from 0, small, as JPEG; None where there is none that can be read."""
    pictures = _pictures(files)[:SHOWN_PICTURES]
    if not 0 <= number < len(pictures):
        return None
    try:
        return _jpeg(load_picture(pictures[number]), SMALL)
    except DatasetError:
        return None


def _pictures(files: RunFolder) -> list[Path]:
    try:
        return [file for place in read_source(files) for file in picture_files(place)]
    except TrainingError:
        return []


def _jpeg(picture: Image.Image, side: int) -> bytes:
    # Small ones, of a small model, are enlarged by whole factors: a browser would blur them.
    factor = max(1, side // max(picture.size))
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
