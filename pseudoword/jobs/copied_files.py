"""Files from here and there, brought together in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import SettingsError


def copies_of(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Copy `files` to the new `folder`, a number before the name of each that is there already; by copy its file.

    Raises SettingsError where that cannot be written.
    """
    copies = {}
    try:
        folder.mkdir()
        for number, path in enumerate(files):
            target = folder / path.name
            while target.exists():
                target = folder / f"{number}-{target.name}"
            shutil.copyfile(path, target)
            copies[target] = path
    except OSError as problem:
        raise SettingsError(f"The pictures cannot be put together ({problem.strerror}); free some disk.") from problem
    return copies
