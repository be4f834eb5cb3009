"""Which folders of a server those who may not look around on it can name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SettingsError
from ...training.dataset import files_at

if TYPE_CHECKING:
    from ..host import Host

LONGEST_SHOWN = 300  # letters of a path that was named


def folder_below(root: Path, name: str) -> Path:
    """The folder called `name` in `root`; `root` itself where that would lead out of it."""
    root = root.resolve()
    folder = (root / name.strip()).resolve()
    return folder if folder.is_relative_to(root) else root


def named_folder(text: str, wanted: str) -> Path:
    """The folder whose path somebody wrote, `~` being his home. Raises SettingsError where it is none, `wanted` one."""
    path = Path(os.path.expanduser(text.strip()))  # Path.expanduser fails for ~nobody
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):  # such as a name that is too long
        is_folder = False
    if not is_folder:
        raise SettingsError(f"{shown(path)} is no folder; give the path of a folder with {wanted}.")
    return path


def check_may_name(host: Host, path: Path, besides: Sequence[Path] = ()) -> None:
    """Raise SettingsError unless `host` lets everybody name `path`: below its folders, or those `besides`.

    Its runs are nobody's to look around in, wherever they lie: the pictures there belong to who gave them.
    """
    if host.folders is not None:
        check_readable(path, [*host.folders, *besides], [host.runs])


def check_pictures_may_be_named(host: Host, places: Sequence[Path]) -> None:
    """Raise SettingsError for a place of pictures, file or folder, that nobody may name; and for links that lead there.

    DatasetError, as `files_at` does.
    """
    if host.folders is None:
        return
    for place in places:
        check_may_name(host, place)
    for file in files_at(places):
        for one in (file, file.with_suffix(".txt")):
            if one.is_symlink():
                check_may_name(host, one)


def check_readable(path: Path, folders: Sequence[Path], closed: Sequence[Path] = ()) -> None:
    """Raise SettingsError unless `path` lies in one of `folders`, and in none that is `closed`, wherever it leads.

    What is said is the same whether there is such a file or not.
    """
    try:
        # Another computer's folder (\\server\share) is not even asked: that alone would tell it who runs this one.
        is_inside = not names_elsewhere(path) and is_below(path, folders) and not is_below(path, closed)
    except (OSError, RuntimeError, ValueError):  # a loop of links, a null character
        is_inside = False
    if not is_inside:
        raise SettingsError(
            f"{shown(path)} is outside of the folders that this server reads from; upload the files, or ask who runs "
            "it to allow that folder."
        )


def is_below(path: Path, folders: Sequence[Path]) -> bool:
    """Whether `path` leads to one of `folders` or into it. Raises OSError, RuntimeError or ValueError."""
    place = Path(os.path.expanduser(path)).resolve()
    return any(place.is_relative_to(folder.resolve()) for folder in folders)


def names_elsewhere(path: Path) -> bool:
    """Whether `path` is written as one of another computer, or of a device, as Windows does."""
    return str(path).replace("\\", "/").startswith("//")


def shown(path: Path) -> str:
    """A path that was named, in a sentence."""
    text = str(path)
    return repr(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…")
