"""One SQLite file that remembers what was computed, and only ever saves time.

A file that is damaged, of another version or no cache at all is thrown away; one that cannot be written, or that
another process keeps to itself, is gone without. Several processes may share it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WAIT_S = 2.0  # for another process that writes; it takes milliseconds
COMPANIONS = ("-journal", "-wal", "-shm")
# How a damaged file shows; its messages need not be UTF-8, its sizes may be any, and its rows may break its own rules.
DAMAGE = (sqlite3.InternalError, sqlite3.IntegrityError, sqlite3.DataError, UnicodeDecodeError)
# And what is said of one as an OperationalError, as which SQLite also refuses questions, and files that are busy.
SAID_OF_DAMAGE = ("could not decode", "unsupported file format", "no such table", "no such column")
FAILURES = (sqlite3.Error, ValueError, OverflowError, MemoryError)


@dataclass(frozen=True)
class CacheFormat:
    """How a cache is told from other SQLite files: by its application's number, its version, and its tables' SQL."""

    application_id: int
    version: int
    tables: tuple[str, ...]


class CacheFile:
    """The cache of one format in the file at `path`; None remembers nothing.

    No method raises: where the file is of no use, nothing is known and nothing is kept. `reason` then says why;
    `renewals` counts how often what was there had to be thrown away, `openings` how often it was opened.
    """

    def __init__(self, path: Path | None, format: CacheFormat) -> None:
        self.reason: str | None = None
        self.renewals = self.openings = 0
        self._path = path
        self._format = format
        self._connection: sqlite3.Connection | None = None
        self._opened_file: tuple[int, int] | None = None
        self._writable = True

    def open(self) -> None:
        """Open the file, or make it; it may be used by one thread at a time. What was wrong before is forgotten."""
        self.reason, self._writable = None, True
        self.openings += 1
        if self._path is not None:
            self._connection = self._opened(self._path)
            self._opened_file = _identity(self._path)
            if self._connection is None:
                self._note("it cannot be opened here, or another program keeps it to itself")

    @property
    def problem(self) -> str | None:
        """Why the file is of no use, in a sentence; None while all is well."""
        return None if self.reason is None else f"{self._path} remembers nothing from here on: {self.reason}."

    @property
    def is_open(self) -> bool:
        """Whether what is there can be read."""
        return self._connection is not None

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            with suppress(*FAILURES):
                self._connection.close()
        self._connection = None

    def ask(self, question: str, *values: object) -> list[Any]:
        """The rows that answer `question`; none where the file is of no use."""
        if self._connection is None:
            return []
        try:
            return self._connection.execute(question, values).fetchall()
        except FAILURES as error:
            if self._path is not None and _is_damage(self._path, error):
                self.start_anew()
            else:  # locked for longer than anybody writes, the disk is gone, or a question that is none
                self._note(str(error))
                self.close()
        return []

    def write(self, *statements: tuple[str, Collection[Sequence[object]]]) -> None:
        """Do each statement with each of its rows; all of it or nothing."""
        if self._connection is None or not self._writable:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, rows in statements:
                self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")
        except FAILURES as error:
            if self._path is not None and _is_damage(self._path, error):
                self.start_anew()
                return
            self._note(str(error))
            self._writable = False  # what is there can still be read
            with suppress(*FAILURES):
                self._connection.rollback()

    def check(self) -> None:
        """Start anew where the file is damaged: an index that is shows as rows that are never found again."""
        if self.ask("PRAGMA integrity_check(1)") not in ([], [("ok",)]):
            self.start_anew()

    def start_anew(self) -> None:
        """Throw away what is there."""
        self.renewals += 1
        self.close()
        if self._path is not None and _thrown_away(self._path, self._opened_file):
            self.open()
        else:
            self._note("it is damaged, and cannot be removed")

    def _note(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason

    def _opened(self, path: Path) -> sqlite3.Connection | None:
        """The cache in `path`, made anew where there is none or something else; None if that is impossible."""
        with suppress(OSError, ValueError):
            path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            examined = _identity(path)
            if examined is not None and not path.is_file():  # a pipe or a device
                return None
            try:
                connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
            except FAILURES:  # also a null character in the path
                return None
            try:
                if self._is_ours(connection):
                    return connection
                is_damaged = True
            except FAILURES as error:
                is_damaged = _is_damage(path, error)
            connection.close()
            if not is_damaged or not _thrown_away(path, examined):
                return None
        return None

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Whether this is a cache of this version; an empty file becomes one."""
        connection.execute("PRAGMA synchronous = NORMAL")  # less may be lost by a power cut than is worth waiting for
        connection.execute("PRAGMA cache_size = -16384")  # kB, for the index of 200,000 rows
        wanted = self._format
        if _says(connection) == (0, 0, []):
            connection.execute("BEGIN IMMEDIATE")
            if _says(connection) == (0, 0, []):  # nobody was faster
                for table in wanted.tables:
                    connection.execute(table)
                connection.execute(f"PRAGMA application_id = {wanted.application_id}")
                connection.execute(f"PRAGMA user_version = {wanted.version}")
            connection.execute("COMMIT")
        return _says(connection) == (wanted.application_id, wanted.version, sorted(wanted.tables))


def stamp_of(status: os.stat_result) -> str:
    """Size and time of a file; as long as they stay, it is taken for unchanged."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def _is_damage(path: Path, error: Exception) -> bool:
    """Whether `error` is the fault of what is in the file at `path`, and not of where it lies and who uses it."""
    message = str(error).lower()
    if "readonly" in message:  # SQLite also calls a file so that says to be of a future version
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    if isinstance(error, sqlite3.OperationalError):
        return any(said in message for said in SAID_OF_DAMAGE)
    return isinstance(error, DAMAGE) or type(error) is sqlite3.DatabaseError  # malformed, or no database


def _says(connection: sqlite3.Connection) -> tuple[int, int, list[str]]:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT CAST(sql AS BLOB) FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return application, version, sorted(bytes(sql).decode("utf-8", "replace") for (sql,) in tables)


def _thrown_away(path: Path, examined: tuple[int, int] | None) -> bool:
    """Remove the file at `path`, unless it is no longer the one that was `examined`; whether to try again.

    Another process may have been faster, and its new file shall stay.
    """
    try:
        if _identity(path) == examined:
            # A journal left behind would be played back into the new file.
            for companion in COMPANIONS:
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
