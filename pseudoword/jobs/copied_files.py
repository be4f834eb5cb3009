"""Files from here and there, brought together in one folder."""

from __future__ import annotations

import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import SettingsError


def told_apart(names: Sequence[str]) -> list[str]:
    """`names` of files, those that are there already with a number: cat.png, cat (2).png."""

    def as_seen(name: str) -> str:  # by disks of Windows and macOS
        return unicodedata.normalize("NFC", name).casefold()

    taken: set[str] = set()
    count: Counter[str] = Counter()
    found = []
    for name in names:
        path, one = Path(name), name
        while as_seen(one) in taken:
            count[name] += 1
            one = f"{path.stem} ({count[name] + 1}){path.suffix}"
        taken.add(as_seen(one))
        found.append(one)
    return found


def copies_of(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Copy `files` to the new `folder`, by names that are told apart; by copy its file.

    Raises SettingsError where that cannot be written.
    """
    copies = {}
    try:
        folder.mkdir()
        for name, path in zip(told_apart([path.name for path in files]), files, strict=True):
            shutil.copyfile(path, folder / name)
            copies[folder / name] = path
    except OSError as problem:
        raise SettingsError(f"The pictures cannot be put together ({problem.strerror}); free some disk.") from problem
    return copies
