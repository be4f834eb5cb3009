"""The pictures that are to be scored, as files: those of a folder, and those at addresses of the web."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ...embedding.metadata import encodable
from ...errors import DatasetError, SettingsError
from ...scoring import Unreadable
from ...scoring.folder import pictures_below
from ..host import Host
from ..server.folders import check_may_name, named_folder
from .picture_fetching import Ways, fetch_picture
from .score_request import NamedPicture, check_count

IS_LINK = "it is a link to a place that this server does not read from; put the picture itself there"


def pictures_in(folder: Path, host: Host, labels: int) -> Iterator[NamedPicture | Unreadable]:
    """The pictures in `folder` and below, called by their places in it, and those that cannot be read.

    Raises SettingsError where there are too many for so many labels, or it is no folder; DatasetError without any.
    """
    folder = Path(os.path.abspath(named_folder(str(folder), "pictures")))
    listing = pictures_below(folder)
    for one in listing.unreadable:
        yield Unreadable(encodable(os.path.relpath(one.path, folder)), one.reason)
    if not listing.paths:
        raise DatasetError(f"There is no picture in {str(folder)!r}; name another folder.")
    check_count(len(listing.paths), labels)
    for path in listing.paths:
        name = encodable(os.path.relpath(path, folder))
        yield NamedPicture(name, Path(path)) if may_be_read(host, Path(path)) else Unreadable(name, IS_LINK)


def may_be_read(host: Host, path: Path) -> bool:
    """Whether `host` lets everybody name `path`, which may be a link that leads elsewhere."""
    try:
        check_may_name(host, path)
    except SettingsError:
        return False
    return True


def fetched(address: str, target: Callable[[], Path], ways: Ways) -> NamedPicture | Unreadable:
    """The picture at an address of the web, stored at what `target` says. Raises SettingsError where it cannot be."""
    try:
        data = fetch_picture(address, ways)
    except DatasetError as problem:
        return Unreadable(address, str(problem))
    path = target()
    try:
        path.write_bytes(data)
    except OSError as problem:
        raise SettingsError(
            f"A fetched picture could not be stored ({problem.strerror}); make room on the server, and try again."
        ) from problem
    return NamedPicture(address, path)
