"""What an index knows of its pictures besides their features: one row of SQLite for each, by the number of its slot.

A slot is a place among the features. A picture counts once its row is there, which is written after its feature; so
whatever happens in between, no row is without its feature.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..cache_file import CacheFile, CacheFormat
from ..errors import IndexUnreadable

_VERSION = 1
_TABLES = (
    # Names of files may hold halves of characters, which no TEXT can.
    "CREATE TABLE folders (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE)",
    "CREATE TABLE checkpoints (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE pictures (slot INTEGER PRIMARY KEY, folder INTEGER NOT NULL, name BLOB NOT NULL, "
    "stamp TEXT NOT NULL, changed_s REAL NOT NULL, score REAL, checkpoint INTEGER NOT NULL, prompt TEXT NOT NULL, "
    "UNIQUE (folder, name))",
    "CREATE TABLE unreadable (folder INTEGER NOT NULL, name BLOB NOT NULL, stamp TEXT NOT NULL, "
    "reason TEXT NOT NULL, PRIMARY KEY (folder, name)) WITHOUT ROWID",
)
_FORMAT = CacheFormat(0x50735069, _VERSION, _TABLES)  # "PsPi"
_AT_ONCE = 900  # of SQLite's 999 values in a question
_LOADED_AT_ONCE = 50_000  # rows


class Seen(NamedTuple):
    """A picture's file as it was looked at: where, size and time as `stamp_of` has them, and when it was changed.

    The stamp is "" where the file was so young that it may have changed since without a trace.
    """

    folder: str
    name: str
    stamp: str
    changed_s: float

    @property
    def path(self) -> str:
        """The whole path."""
        return os.path.join(self.folder, self.name)


class Facts(NamedTuple):
    """What a picture's file says of itself: checkpoint and prompt, "" where it does not, and its CLIPScore with it."""

    checkpoint: str = ""
    prompt: str = ""
    score: float | None = None


class Row(NamedTuple):
    """A picture of the index."""

    slot: int
    file: Seen
    facts: Facts


@dataclass(frozen=True, eq=False)
class Columns:
    """What pictures are filtered by, for each slot (N,): whether there is one, its folder, time, score, checkpoint."""

    taken: np.ndarray
    folder: np.ndarray
    changed_s: np.ndarray
    score: np.ndarray
    checkpoint: np.ndarray

    @classmethod
    def empty(cls, count: int) -> Columns:
        """Of `count` slots without a picture."""
        whole = (np.zeros(count, dtype) for dtype in (bool, np.int32, np.float64, np.float32, np.int32))
        return cls(*whole)

    def grown(self, count: int) -> Columns:
        """The same with `count` slots."""
        more = Columns.empty(count - len(self.taken))
        return Columns(*(np.concatenate([old, new]) for old, new in zip(self.each, more.each, strict=True)))

    @property
    def each(self) -> tuple[np.ndarray, ...]:
        """All of them."""
        return self.taken, self.folder, self.changed_s, self.score, self.checkpoint

    def put(self, slots: Sequence[int], folder: object, changed_s: object, score: object, checkpoint: object) -> None:
        """Say what is in `slots`; that there is something, last."""
        for column, values in ((self.folder, folder), (self.changed_s, changed_s), (self.checkpoint, checkpoint)):
            column[slots] = values
        self.score[slots] = np.asarray(score, dtype=np.float32)  # None becomes NaN
        self.taken[slots] = True


class PictureTable:
    """The rows in the file at `path`; for one thread at a time.

    Every question raises IndexUnreadable where the file cannot be read just now: that is not to be taken for no rows.
    """

    def __init__(self, path: Path) -> None:
        self.file = CacheFile(path, _FORMAT)

    # ---- what there is ---------------------------------------------------------------------------------------------

    def _ask(self, question: str, *values: object) -> list[Any]:
        """The rows that answer `question`; none where the file turns out to be damaged, and is made anew."""
        if not self.file.is_open:  # what was in the way may be over
            self.file.open()
        rows = self.file.ask(question, *values)
        if not self.file.is_open:
            why = self.file.reason
            raise IndexUnreadable(f"The index of pictures cannot be read just now ({why}); try again in a moment.")
        return rows

    @property
    def version(self) -> tuple[int, int, int]:
        """Changes whenever another process has written, and with each opening; first, how often it was damaged."""
        written = int(next(iter(self._ask("PRAGMA data_version")), (0,))[0])
        return self.file.renewals, self.file.openings, written

    def slots_end(self) -> int:
        """The first number above all slots."""
        return int(next(iter(self._ask("SELECT coalesce(max(slot) + 1, 0) FROM pictures")), (0,))[0])

    def columns(self) -> Columns:
        """All rows, in little memory; of those that another process adds meanwhile, perhaps some."""
        end = self.slots_end()
        columns = Columns.empty(end)
        for start in range(0, end, _LOADED_AT_ONCE):
            question = "SELECT slot, folder, changed_s, score, checkpoint FROM pictures WHERE slot >= ? AND slot < ?"
            rows = self._ask(question, start, min(start + _LOADED_AT_ONCE, end))
            if rows:
                slots, *values = zip(*rows, strict=True)
                columns.put(list(slots), *values)
        return columns

    def known_in(self, folder: str) -> tuple[dict[str, tuple[int, str]], dict[str, str]]:
        """The pictures of `folder`, with slot and stamp, and what could not be read there, with its stamp."""
        pictures = self._ask(
            "SELECT p.name, p.slot, p.stamp FROM folders f JOIN pictures p ON p.folder = f.id WHERE f.path = ?",
            os.fsencode(folder),
        )
        unreadable = self._ask(
            "SELECT u.name, u.stamp FROM folders f JOIN unreadable u ON u.folder = f.id WHERE f.path = ?",
            os.fsencode(folder),
        )
        known = {os.fsdecode(name): (int(slot), str(stamp)) for name, slot, stamp in pictures}
        return known, {os.fsdecode(name): str(stamp) for name, stamp in unreadable}

    def folders(self) -> dict[str, int]:
        """All folders, with their numbers."""
        return {os.fsdecode(path): int(id) for id, path in self._ask("SELECT id, path FROM folders")}

    def checkpoints(self) -> dict[str, int]:
        """All checkpoints, with their numbers."""
        return {str(name): int(id) for id, name in self._ask("SELECT id, name FROM checkpoints")}

    def rows(self, slots: Iterable[int]) -> dict[int, Row]:
        """The pictures in `slots`, where there are some."""
        found = {}
        for some in _parts(list(slots)):
            question = (
                "SELECT slot, f.path, p.name, stamp, changed_s, c.name, prompt, score FROM pictures p "
                "JOIN folders f ON f.id = p.folder LEFT JOIN checkpoints c ON c.id = p.checkpoint "
                f"WHERE slot IN ({','.join('?' * len(some))})"
            )
            for slot, folder, name, stamp, changed_s, checkpoint, prompt, score in self._ask(question, *some):
                seen = Seen(os.fsdecode(folder), os.fsdecode(name), stamp, changed_s)
                found[int(slot)] = Row(int(slot), seen, Facts(checkpoint or "", prompt, score))
        return found

    def slots_with(self, words: Sequence[str]) -> list[int]:
        """The pictures whose prompts hold all `words`, A to Z in any case."""
        wanted = [word.translate({ord(sign): f"\\{sign}" for sign in "\\%_"}) for word in words[:_AT_ONCE]]
        conditions = " AND ".join(["prompt LIKE ? ESCAPE '\\'"] * len(wanted))
        rows = self._ask(f"SELECT slot FROM pictures WHERE {conditions}", *(f"%{word}%" for word in wanted))
        return [int(slot) for (slot,) in rows]

    def unreadable(self) -> list[tuple[str, str, str]]:
        """What could not be read: folder, name, and why."""
        rows = self._ask("SELECT f.path, name, reason FROM unreadable u JOIN folders f ON f.id = u.folder")
        return [(os.fsdecode(path), os.fsdecode(name), str(reason)) for path, name, reason in rows]

    # ---- changes ---------------------------------------------------------------------------------------------------

    def add(self, rows: Sequence[Row], unreadable: Sequence[tuple[Seen, str]]) -> None:
        """Put pictures in, and what could not be read; all of it or, where that is impossible, nothing."""
        files = [*(row.file for row in rows), *(file for file, _ in unreadable)]
        folders = {(os.fsencode(file.folder),) for file in files}
        checkpoints = {(row.facts.checkpoint,) for row in rows}
        self.file.write(
            ("INSERT OR IGNORE INTO folders (path) VALUES (?)", folders),
            ("INSERT OR IGNORE INTO checkpoints (name) VALUES (?)", checkpoints),
            (
                "INSERT OR REPLACE INTO pictures VALUES (?, (SELECT id FROM folders WHERE path = ?), ?, ?, ?, ?, "
                "(SELECT id FROM checkpoints WHERE name = ?), ?)",
                [_values(row) for row in rows],
            ),
            (
                "INSERT OR REPLACE INTO unreadable VALUES ((SELECT id FROM folders WHERE path = ?), ?, ?, ?)",
                [(os.fsencode(one.folder), os.fsencode(one.name), one.stamp, why) for one, why in unreadable],
            ),
        )

    def remove(self, slots: Sequence[int], unreadable: Sequence[tuple[str, str]] = ()) -> None:
        """Take the pictures in `slots` out, and those of what could not be read, by folder and name."""
        self.file.write(
            ("DELETE FROM pictures WHERE slot = ?", [(slot,) for slot in slots]),
            (
                "DELETE FROM unreadable WHERE folder = (SELECT id FROM folders WHERE path = ?) AND name = ?",
                [(os.fsencode(folder), os.fsencode(name)) for folder, name in unreadable],
            ),
        )


def _values(row: Row) -> tuple[object, ...]:
    file, facts = row.file, row.facts
    checkpoint, prompt = (text.encode("utf-8", "replace").decode() for text in (facts.checkpoint, facts.prompt))
    where = (row.slot, os.fsencode(file.folder), os.fsencode(file.name), file.stamp, file.changed_s)
    return (*where, facts.score, checkpoint, prompt)


def _parts(slots: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(slots), _AT_ONCE):
        yield slots[start : start + _AT_ONCE]
