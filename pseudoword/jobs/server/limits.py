"""What a server allows: how much one person may ask for, and how much there may be in all."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ...decoding import SUFFIXES, claimed_size
from ...errors import LimitReached, SettingsError
from ...training.settings import TrainSettings

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
AMOUNT = re.compile(r"(\d{1,15})([kmgt]?)b?", re.IGNORECASE)
EXAMPLE = "jobs=5 pictures=50 pixels=50M bytes=30MB steps=20000 disk=100GB"


@dataclass(frozen=True)
class Limits:
    """None: any number. `jobs` are those of one person that have not ended, `pictures` those of one training.

    `pixels` and `bytes` are those of one picture and its file; `disk` are the bytes of all runs together.
    """

    jobs: int | None = None
    pictures: int | None = None
    pixels: int | None = None
    bytes: int | None = None
    steps: int | None = None
    disk: int | None = None

    def check_settings(self, settings: TrainSettings) -> None:
        """Raise LimitReached for a training of too many steps."""
        if self.steps is not None and settings.steps > self.steps:
            raise LimitReached(f"{settings.steps} steps are asked for, and {self.steps} are allowed here; take fewer.")

    def check_files(self, places: Sequence[Path]) -> None:
        """Raise LimitReached for too many pictures at `places`, or too large ones; nothing is decoded."""
        files = [file for place in places for file in picture_files(place)]
        if self.pictures is not None and len(files) > self.pictures:
            raise LimitReached(f"There are {len(files)} pictures, and {self.pictures} are allowed here; choose some.")
        for file in files:
            self._check_file(file)

    def _check_file(self, file: Path) -> None:
        size = file.stat().st_size if self.bytes is not None and file.is_file() else 0
        if self.bytes is not None and size > self.bytes:
            raise LimitReached(
                f"{file.name} has {size / 1e6:.1f} MB, and {self.bytes / 1e6:.1f} MB are allowed here; "
                "make the picture smaller."
            )
        width, height = (claimed_size(file) if self.pixels is not None else None) or (0, 0)
        if self.pixels is not None and width * height > self.pixels:
            raise LimitReached(
                f"{file.name} has {width} × {height} pixels, and {self.pixels} in all are allowed here; "
                "make the picture smaller."
            )

    def check_disk(self, runs: Path) -> None:
        """Raise LimitReached where the runs take too much room already."""
        if self.disk is not None and (used := bytes_below(runs)) >= self.disk:
            raise LimitReached(
                f"The runs of this server take {used / 1e9:.2f} GB, and {self.disk / 1e9:.2f} GB are allowed; delete "
                "jobs that are no longer needed."
            )


def picture_files(place: Path) -> list[Path]:
    """The picture files at `place`, a file or a folder; none where it cannot be read, which others tell."""
    try:
        if not place.is_dir():
            return [place] if place.suffix.lower() in SUFFIXES else []
        return [path for path in sorted(place.iterdir()) if path.suffix.lower() in SUFFIXES]
    except (OSError, ValueError):
        return []


def parse_limits(given: Sequence[str]) -> Limits:
    """The limits that flags give, each as NAME=NUMBER. Raises SettingsError."""
    names = [one.name for one in fields(Limits)]
    found = {}
    for one in given:
        name, _, amount = one.partition("=")
        match = AMOUNT.fullmatch(amount.strip())
        if name.strip() not in names or match is None:
            raise SettingsError(f"{one!r} is no limit; give some of: {EXAMPLE}.")
        found[name.strip()] = int(match[1]) * UNITS[match[2].lower()]
    return Limits(**found)


def bytes_below(folder: Path) -> int:
    """How much room the files in `folder` take."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # gone meanwhile
                continue
    return total
