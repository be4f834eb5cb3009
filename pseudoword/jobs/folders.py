"""Which folders of a server those who may not look around on it can name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import SettingsError


def folder_below(root: Path, name: str) -> Path:
    """The folder called `name` in `root`; `root` itself where that would lead out of it."""
    root = root.resolve()
    folder = (root / name.strip()).resolve()
    return folder if folder.is_relative_to(root) else root


def check_readable(path: Path, folders: Sequence[Path]) -> None:
    """Raise SettingsError unless `path` lies in one of `folders`, wherever its links and dots lead.

    What is said is the same whether there is such a file or not.
    """
    try:
        place = path.expanduser().resolve()
        is_inside = any(place.is_relative_to(folder.resolve()) for folder in folders)
    except (OSError, RuntimeError, ValueError):  # a loop of links, a home that is unknown, a null character
        is_inside = False
    if not is_inside:
        raise SettingsError(
            f"{str(path)!r} is outside of the folders that this server reads from; upload the files, or ask who runs "
            "it to allow that folder."
        )
