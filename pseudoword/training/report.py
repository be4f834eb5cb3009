"""The pictures in a run's folder: previews while it goes on, curve and contact sheet at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from .contact_sheet import contact_sheet, png_bytes, row_of
from .curve import curve_picture
from .quality import Preview
from .run_folder import RunFolder, write_whole

PICTURES_PER_ROW = 4  # of the training set, as many as a preview has
SMALLEST_ROW, LARGEST_ROW = 128, 256  # height of a row of the contact sheet, pixels


def save_preview(files: RunFolder, step: int, preview: Preview) -> tuple[Path, Path]:
    """Write the pictures of `preview` in two rows, one file each: of the preview prompt, and of the edits."""
    paths = files.preview(step), files.preview(step, "-edits")
    for path, pictures in zip(paths, (preview.pictures, preview.edits), strict=True):
        write_whole(path, png_bytes(row_of(pictures, max(pictures[0].size))))
    return paths


def draw_report(
    files: RunFolder,
    name: str,
    records: Sequence[Mapping[str, Any]],
    training_pictures: Sequence[Image.Image],
    best_step: int,
    last_step: int,
) -> None:
    """Write the contact sheet (training set, before, after, best) and the curve of the run that `records` tell of.

    Rows that were never previewed are left out. Raises MissingExtra, after all else is written, without matplotlib.
    """
    rows: list[tuple[str, Image.Image]] = []
    for label, step in (("before", 0), (f"after {last_step} steps", last_step), (f"best, step {best_step}", best_step)):
        path = files.preview(step)
        if path.exists():
            with Image.open(path) as picture:
                rows.append((f"{name}: {label}", picture.convert("RGB")))
    if rows:
        side = rows[0][1].height
        rows.insert(0, ("training pictures", row_of(training_pictures[:PICTURES_PER_ROW], side)))
        sheet = contact_sheet(rows, height=min(max(side, SMALLEST_ROW), LARGEST_ROW))
        write_whole(files.contact_sheet, png_bytes(sheet))
    write_whole(files.curve, curve_picture(records, name))
