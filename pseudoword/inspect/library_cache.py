"""What was read from files of embeddings, remembered in one small SQLite file for the next look at them."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from types import TracebackType

from ..cache_file import CacheFile, CacheFormat
from .library_row import FileFacts, Reading

CACHE_VERSION = 1
"""To be raised when FileFacts change, or when the readers of embeddings say something else about the same file."""

# Everything that could be no valid text is a BLOB: names of files may hold halves of characters.
_SCHEMA = (
    "CREATE TABLE files (path BLOB PRIMARY KEY, stamp TEXT NOT NULL, "
    "facts BLOB NOT NULL, signature BLOB NOT NULL, checksum INTEGER NOT NULL)"
)
_FORMAT = CacheFormat(0x50734C62, CACHE_VERSION, (_SCHEMA,))  # "PsLb"
_AT_ONCE = 200  # files whose facts are written together: what is lost at most when the process is killed
_FIELDS = [field.name for field in fields(FileFacts) if field.name != "signature"]


class LibraryCache:
    """The cache in the file at `path`; None remembers nothing. To be used in a `with`, by one thread.

    No method raises: where the file is of no use, nothing is known and nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = CacheFile(path, _FORMAT)
        self._has_new = False
        self._waiting: list[tuple[bytes, str, bytes, bytes, int]] = []

    def __enter__(self) -> LibraryCache:
        self._file.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write_waiting()
        if self._has_new:  # where nothing was missing, nothing is checked
            self._file.check()
        self._file.close()

    def get(self, path: Path, stamp: str) -> Reading | None:
        """What is known of the file at `path`, absolute, as it was at `stamp` (its size and time); None if nothing."""
        found = self._file.ask(
            "SELECT facts, signature, checksum FROM files WHERE path = ? AND stamp = ?", _key(path), stamp
        )
        if not found:
            return None
        facts, signature, checksum = found[0]
        if _checksum(_key(path), stamp, facts, signature) != checksum:
            return None
        return _decoded(facts, signature)

    def put(self, path: Path, stamp: str, reading: Reading) -> None:
        """Remember `reading` of the file at `path`; written together with others, at the latest at the end."""
        facts, signature = _encoded(reading)
        key = _key(path)
        self._waiting.append((key, stamp, facts, signature, _checksum(key, stamp, facts, signature)))
        if len(self._waiting) >= _AT_ONCE:
            self._write_waiting()

    def forget_others(self, folder: Path, found: Collection[Path]) -> None:
        """Forget the files in `folder`, absolute, and its sub-folders that are not among `found`."""
        begin = os.fsencode(folder).rstrip(os.fsencode(os.sep)) + os.fsencode(os.sep)
        end = begin[:-1] + bytes([begin[-1] + 1])
        keys = {_key(path) for path in found}
        known = self._file.ask("SELECT path FROM files WHERE path >= ? AND path < ?", begin, end)
        gone = [(key,) for (key,) in known if key not in keys]
        if gone:
            self._file.write(("DELETE FROM files WHERE path = ?", gone))

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._has_new = True
            self._file.write(("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", waiting))


def _key(path: Path) -> bytes:
    return os.fsencode(path)


def _checksum(key: bytes, stamp: str, facts: object, signature: object) -> int:
    # SQLite does not notice when bytes inside a value change.
    if not isinstance(facts, bytes) or not isinstance(signature, bytes):
        return -1
    return zlib.crc32(b"\0".join([key, stamp.encode(), facts, signature]))


def _encoded(reading: Reading) -> tuple[bytes, bytes]:
    if reading.facts is None:
        return b"null", b""
    known = {name: getattr(reading.facts, name) for name in _FIELDS}
    return json.dumps(known).encode(), reading.facts.signature


def _decoded(facts: bytes, signature: bytes) -> Reading | None:
    try:
        known = json.loads(facts)
        if known is None:
            return Reading(None)
        widths = tuple((str(encoder), int(width)) for encoder, width in known.pop("widths"))
        return Reading(FileFacts(**known, widths=widths, signature=signature))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
