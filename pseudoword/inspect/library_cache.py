"""What was read from files of embeddings, remembered in one small SQLite file for the next look at them.

The cache only ever saves time. One that is damaged, of another version or no cache at all is thrown away; one that
cannot be written, or that another process keeps to itself, is gone without. Several processes may share it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Collection
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

from .library_row import FileFacts, Reading

CACHE_VERSION = 1
"""To be raised when FileFacts change, or when the readers of embeddings say something else about the same file."""

_APPLICATION_ID = 0x50734C62  # "PsLb", where SQLite files say whose they are
# Everything that could be no valid text is a BLOB: names of files may hold halves of characters.
_SCHEMA = (
    "CREATE TABLE files (path BLOB PRIMARY KEY, stamp TEXT NOT NULL, "
    "facts BLOB NOT NULL, signature BLOB NOT NULL, checksum INTEGER NOT NULL)"
)
_WAIT_S = 2.0  # for another process that writes; it takes milliseconds
_AT_ONCE = 200  # files whose facts are written together: what is lost at most when the process is killed
_COMPANIONS = ("-journal", "-wal", "-shm")
# What SQLite says, as an OperationalError, of a file that is busy or cannot be written; all else is damage.
_CIRCUMSTANCES = ("locked", "busy", "unable to open", "disk i/o", "full", "interrupted")
# Messages of a damaged file need not be UTF-8, and its sizes may be any.
_FAILURES = (sqlite3.Error, ValueError, OverflowError, MemoryError)
_FIELDS = [field.name for field in fields(FileFacts) if field.name != "signature"]


class LibraryCache:
    """The cache in the file at `path`; None remembers nothing. To be used in a `with`, by one thread.

    No method raises: where the file is of no use, nothing is known and nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._opened_file: tuple[int, int] | None = None
        self._writable = True
        self._has_new = False
        self._waiting: list[tuple[bytes, str, bytes, bytes, int]] = []

    def __enter__(self) -> LibraryCache:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write_waiting()
        # Damage of an index shows as files that are never found again; where nothing was missing, nothing is checked.
        if self._has_new and self._ask("PRAGMA integrity_check(1)") not in ([], [("ok",)]):
            self._start_anew()
        self._close()

    def get(self, path: Path, stamp: str) -> Reading | None:
        """What is known of the file at `path`, absolute, as it was at `stamp` (its size and time); None if nothing."""
        found = self._ask(
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
        known = self._ask("SELECT path FROM files WHERE path >= ? AND path < ?", begin, end)
        gone = [(key,) for (key,) in known if key not in keys]
        if gone:
            self._write("DELETE FROM files WHERE path = ?", gone)

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._has_new = True
            self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", waiting)

    def _ask(self, question: str, *values: object) -> list[Any]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(question, values).fetchall()
        except _FAILURES as error:
            if self._path is not None and _is_damage(self._path, error):
                self._start_anew()
            else:  # locked for longer than anybody writes, or the disk is gone
                self._close()
        return []

    def _write(self, statement: str, rows: Collection[tuple[object, ...]]) -> None:
        if self._connection is None or not self._writable:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")
        except _FAILURES as error:
            if self._path is not None and _is_damage(self._path, error):
                self._start_anew()
                return
            self._writable = False  # what is there can still be read
            with suppress(*_FAILURES):
                self._connection.rollback()

    def _open(self) -> None:
        if self._path is not None:
            self._connection = _opened(self._path)
            self._opened_file = _identity(self._path)

    def _start_anew(self) -> None:
        self._close()
        if self._path is not None and _thrown_away(self._path, self._opened_file):
            self._open()

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(*_FAILURES):
                self._connection.close()
        self._connection = None


def _opened(path: Path) -> sqlite3.Connection | None:
    """The cache in `path`, made anew where there is none or something else; None if that is impossible."""
    with suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        examined = _identity(path)
        if examined is not None and not path.is_file():  # a pipe or a device
            return None
        try:
            connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
        except _FAILURES:  # also a null character in the path
            return None
        try:
            if _is_ours(connection):
                return connection
            is_damaged = True
        except _FAILURES as error:
            is_damaged = _is_damage(path, error)
        connection.close()
        if not is_damaged or not _thrown_away(path, examined):
            return None
    return None


def _is_damage(path: Path, error: Exception) -> bool:
    """Whether `error` is the fault of what is in the file at `path`, and not of where it lies and who uses it."""
    message = str(error).lower()
    if "readonly" in message:  # SQLite also calls a file so that says to be of a future version
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return not isinstance(error, sqlite3.OperationalError) or not any(said in message for said in _CIRCUMSTANCES)


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Whether this is a cache of this version; an empty file becomes one."""
    connection.execute("PRAGMA synchronous = NORMAL")  # less may be lost by a power cut than is worth waiting for
    if _says(connection) == (0, 0, []):
        connection.execute("BEGIN IMMEDIATE")
        if _says(connection) == (0, 0, []):  # nobody was faster
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {CACHE_VERSION}")
        connection.execute("COMMIT")
    return _says(connection) == (_APPLICATION_ID, CACHE_VERSION, [_SCHEMA])


def _says(connection: sqlite3.Connection) -> tuple[int, int, list[str]]:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT CAST(sql AS BLOB) FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return application, version, [bytes(sql).decode("utf-8", "replace") for (sql,) in tables]


def _thrown_away(path: Path, examined: tuple[int, int] | None) -> bool:
    """Remove the file at `path`, unless it is no longer the one that was `examined`; whether to try again.

    Another process may have been faster, and its new file shall stay.
    """
    try:
        if _identity(path) == examined:
            # A journal left behind would be played back into the new file.
            for companion in _COMPANIONS:
                path.with_name(path.name + companion).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


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
