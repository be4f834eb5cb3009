"""A table of all embeddings in one or several folders: what each file is, what fits, what is broken or there twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..cache_file import stamp_of
from ..embedding.files import KNOWN_SUFFIXES
from ..embedding.library import embedding_files
from ..embedding.metadata import encodable
from .library_cache import LibraryCache
from .library_duplicates import DuplicateGroup, grouped
from .library_row import FileFacts, LibraryRow, read_facts

# Where the WebUI looks for the picture beside NAME.pt: NAME.png, NAME.preview.png, NAME.jpg, …
_PREVIEW_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_MIDDLES = ("", ".preview")
_FRESH_S = 2.0  # what FAT's clock cannot tell apart: a file this young may change again without a trace
_ATTEMPTS = 3  # to read a file that somebody writes meanwhile


@dataclass(frozen=True)
class LibraryTable:
    """The `rows` in the order of folders and paths, and the `groups` of duplicates among them.

    `skipped` are sentences about folders that could not be looked into; a table that is not `complete` was stopped.
    """

    rows: tuple[LibraryRow, ...]
    groups: tuple[DuplicateGroup, ...] = ()
    skipped: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True)
class _Place:
    folder: Path  # absolute, as is `file`
    file: Path


def scan(
    folders: Sequence[Path],
    cache: Path | None = None,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> LibraryTable:
    """Look at every file in `folders` and their sub-folders that may be an embedding, as EmbeddingLibrary does.

    One of `folders` may be a file: then that file alone. `cache` is a file that spares reading unchanged files again
    (see LibraryCache). `on_progress` is told how many of how many files are done. `should_stop` is asked before each
    file; the table then has the rows so far.

    Nothing raises because of a file: broken ones, pipes, files of gigabytes (not read) or without permission are rows
    with a `problem`. Without a row are pictures that hold no embedding, files that vanish meanwhile, and folders that
    cannot be read, which `skipped` names. A file that lies in several of `folders` is a row of the first.
    """
    stop = _Stop(should_stop)
    skipped: list[str] = []
    roots = [Path(os.path.abspath(folder)) for folder in folders]
    places = _places(roots, lambda error: skipped.append(_sentence(error)), stop)
    rows: list[LibraryRow] = []
    pictures: dict[Path, dict[str, str]] = {}
    on_progress(0, len(places))
    with LibraryCache(cache) as known:
        for done, place in enumerate(places, 1):
            if stop():
                break
            row = _row(place, known, pictures)
            rows += [] if row is None else [row]
            on_progress(done, len(places))
        if not stop():
            found = {place.file for place in places}
            for root in roots:
                known.forget_others(root, found)
    marked, groups = grouped(rows, stop)
    return LibraryTable(marked, groups, tuple(skipped), complete=not stop.asked_for)


class _Stop:
    """`should_stop`, which stays true once it was."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self.asked_for = False

    def __call__(self) -> bool:
        self.asked_for = self.asked_for or self._should_stop()
        return self.asked_for


def _places(
    roots: Sequence[Path], on_error: Callable[[OSError], object], should_stop: Callable[[], bool]
) -> list[_Place]:
    """All files, sorted within their folder, each once however many ways lead to it."""
    places: list[_Place] = []
    seen: set[str] = set()
    real_folders: dict[Path, str] = {}
    for root in roots:
        found: list[Path] = []
        lone = root.suffix.lower() in KNOWN_SUFFIXES and root.is_file()
        for file in (root,) if lone else embedding_files(root, on_error):
            if should_stop():
                break
            if file.parent not in real_folders:
                real_folders[file.parent] = os.path.realpath(file.parent)
            real = os.path.join(real_folders[file.parent], file.name)
            if real not in seen:
                seen.add(real)
                found.append(file)
        places += [_Place(root.parent if lone else root, file) for file in sorted(found)]
    return places


def _row(place: _Place, known: LibraryCache, pictures: dict[Path, dict[str, str]]) -> LibraryRow | None:
    path = place.file
    try:
        facts, status = _facts(path, known)
    except OSError as error:
        if not os.path.lexists(path):
            return None
        # A link to nowhere, or one without permission on the way
        reason = f"{path.name} cannot be opened ({error.strerror or error}); remove it or mend the link."
        facts, status = FileFacts(name=encodable(path.stem), problem=encodable(reason)), None
    if facts is None:
        return None
    if path.parent not in pictures:
        pictures[path.parent] = _pictures(path.parent)
    return LibraryRow(
        **vars(facts),
        folder=encodable(str(place.folder)),
        path=encodable(path.relative_to(place.folder).as_posix()),
        file=path,
        preview=_preview(path, pictures[path.parent]),
        size_bytes=None if status is None else status.st_size,
        changed_ns=None if status is None else status.st_mtime_ns,
    )


def _facts(path: Path, known: LibraryCache) -> tuple[FileFacts | None, os.stat_result | None]:
    """What is in the file, and its state when that was read. Raises OSError where the file cannot be asked."""
    status = path.stat()
    remembered = known.get(path, stamp_of(status))
    if remembered is not None:
        return remembered.facts, status
    for _ in range(_ATTEMPTS):
        reading = read_facts(path)
        before, status = status, path.stat()
        if stamp_of(before) == stamp_of(status):
            if reading.lasting and abs(time.time() - status.st_mtime) > _FRESH_S:
                known.put(path, stamp_of(status), reading)
            return reading.facts, status
    problem = f"{path.name} changes while it is read; look again when it is written."
    return FileFacts(name=encodable(path.stem), problem=encodable(problem)), status


def _pictures(folder: Path) -> dict[str, str]:
    """Names of the files in `folder` that may be previews, by the name as this system compares them."""
    names = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # of a link that cannot be followed
                if entry.name.lower().endswith(_PREVIEW_SUFFIXES) and entry.is_file():
                    names[os.path.normcase(entry.name)] = entry.name
    return names


def _preview(path: Path, pictures: dict[str, str]) -> Path | None:
    """The picture that the WebUI shows for the file at `path`, of those in its folder."""
    stem = path.stem
    candidates = (os.path.normcase(stem + middle + suffix) for suffix in _PREVIEW_SUFFIXES for middle in _MIDDLES)
    found = next((pictures[name] for name in candidates if name in pictures), None)
    return None if found is None else path.with_name(found)


def _sentence(error: OSError) -> str:
    folder = encodable(str(error.filename))
    return f"The folder {folder} cannot be looked into ({error.strerror}); what lies in it is missing here."
