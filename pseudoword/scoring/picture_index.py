"""An index of pictures on the disk: what is like a text or a picture, of up to some millions, in a moment.

It belongs to one model. Each search first goes through short codes of all features, then takes an exact look at the
best two thousand. Deleted files, and those that were changed since they were read, are never found.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from ..cache_file import stamp_of
from ..embedding.metadata import encodable
from ..errors import DatasetError
from .index_filter import Wanted, is_below
from .index_shards import ROWS, Shard, Shards, exact_scores, rough_scores
from .index_table import Columns, Facts, PictureTable, Row, Seen

FEWEST_LOOKED_AT, LOOKED_AT_FOR_EACH = 2048, 16  # exactly, after the codes
_GROWN_BY = 4096  # slots
BUSY = "Another program is bringing this index up to date; wait for it, or end it first."
_NEVER = (-1, -1, -1)
_TABLE, _WRITER = "pictures.sqlite", "writer.lock"


@dataclass(frozen=True)
class Hit:
    """A picture that was found, and its cosine with what was looked for, None where that was nothing."""

    row: Row
    cosine: float | None


@dataclass(frozen=True)
class Found:
    """The best pictures, the best first; of how many, and whether files were gone or changed since they were read.

    `note` is what is to be said of the question, "" for nothing.
    """

    hits: tuple[Hit, ...]
    among: int
    is_stale: bool
    note: str = ""


class PictureIndex:
    """The index of the model `identity`, of features (N, `width`), in `folder`. To be used in a `with`, or closed.

    Every method may be called from any thread. What is damaged is thrown away: it can be made anew. Where the table
    cannot be read just now, whatever needs it raises IndexUnreadable; it is opened again the next time.
    """

    def __init__(self, folder: Path, identity: str, width: int) -> None:
        self.folder = folder
        self._kept = Shards(folder, identity, width)
        self._lock = threading.RLock()
        self._table = PictureTable(folder / _TABLE)
        self._shards: list[Shard] = []
        self._columns = Columns.empty(0)
        self._next = (
            0  # slots that become free are used again after the next opening: who searches may still look there
        )
        self._free: list[int] = []
        self._version = _NEVER
        self._of_words: tuple[object, np.ndarray] = (None, np.zeros(0, bool))
        self._changes = 0

    def open(self) -> PictureIndex:
        """Read what there is. Raises DatasetError where nothing can be kept there."""
        with self._lock:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise DatasetError(_unusable(problem.strerror or "")) from problem
            self._table.file.open()
            self._check_kept()
            self._load()
            self._free = np.flatnonzero(~self._columns.taken[: self._next]).tolist()
        return self

    def __enter__(self) -> PictureIndex:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._table.file.close()
            self._shards = []

    @property
    def problem(self) -> str | None:
        """Why nothing more is kept, in a sentence; None while all is well."""
        return self._table.file.problem

    # ---- what is in it ---------------------------------------------------------------------------------------------

    def count(self, roots: Sequence[str] | None = None) -> int:
        """How many pictures there are, in all or below `roots`."""
        with self._lock:
            self._refresh()
            return int(self._allowed(Wanted(tuple(roots))).sum() if roots is not None else self._columns.taken.sum())

    def checkpoints(self, roots: Sequence[str]) -> list[str]:
        """The checkpoints that pictures below `roots` were made with, in alphabetical order."""
        with self._lock:
            self._refresh()
            used = np.bincount(self._columns.checkpoint[: self._next][self._allowed(Wanted(tuple(roots)))])
            known = self._table.checkpoints().items()
            return sorted(name for name, number in known if name and number < len(used) and used[number])

    def unreadable(self, roots: Sequence[str]) -> list[tuple[str, str, str]]:
        """What could not be read below `roots`: folder, name, and why."""
        with self._lock:
            return [one for one in self._table.unreadable() if is_below(one[0], roots)]

    def row(self, slot: int) -> Row | None:
        """The picture in `slot`, None where there is none."""
        with self._lock:
            return self._table.rows([slot]).get(slot)

    def feature(self, slot: int) -> Tensor | None:
        """The feature (D,) of the picture in `slot`, None where there is none."""
        with self._lock:
            if not 0 <= slot < self._next or not self._columns.taken[slot]:
                return None
            return self._shards[slot // ROWS].features[slot % ROWS].float()

    def find(self, feature: Tensor | None, wanted: Wanted, count: int, first: int = 0) -> Found:
        """`count` pictures from `first` on, those first that are like `feature` (D,) of unit length; or the latest."""
        with self._lock:
            self._refresh()
            shards, allowed, changed_s = list(self._shards), self._allowed(wanted), self._columns.changed_s
        among = int(allowed.sum())
        looked_at = min(max(FEWEST_LOOKED_AT, LOOKED_AT_FOR_EACH * (first + count)), among)
        if not looked_at:
            return Found((), among, is_stale=False)
        figures = changed_s[: len(allowed)].copy() if feature is None else rough_scores(shards, feature, len(allowed))
        figures[~allowed] = -np.inf
        slots = torch.from_numpy(figures).topk(looked_at, sorted=False).indices.numpy()
        figures = figures[slots] if feature is None else exact_scores(shards, feature, slots)
        order = np.argsort(-figures, kind="stable")
        cosines = [None] * len(slots) if feature is None else figures[order].clip(-1, 1).tolist()  # lengths are rounded
        return self._hits(slots[order].tolist(), cosines, among, count, first)

    def _hits(self, slots: Sequence[int], cosines: Sequence[float | None], among: int, count: int, first: int) -> Found:
        """Those whose files are still what they were, and what was found otherwise."""
        hits: list[Hit] = []
        gone: list[int] = []
        for start in range(0, len(slots), count + first):
            some = slots[start : start + count + first]
            with self._lock:
                rows = self._table.rows(some)
            for slot, cosine in zip(some, cosines[start:], strict=False):
                if slot in rows and is_as_it_was(rows[slot].file):
                    hits.append(Hit(rows[slot], cosine))
                else:
                    gone.append(slot)
            if len(hits) >= first + count:
                break
        return Found(tuple(hits[first : first + count]), among - len(gone), is_stale=bool(gone))

    def _allowed(self, wanted: Wanted) -> np.ndarray:
        """Which slots (N,) come into question."""
        every = Columns(*(column[: self._next] for column in self._columns.each))
        checkpoints = self._table.checkpoints() if wanted.checkpoint else {}
        allowed = wanted.among(every, self._table.folders(), checkpoints)
        return allowed & self._with_words(wanted.words) if wanted.words else allowed

    def _with_words(self, words: tuple[str, ...]) -> np.ndarray:
        key = (words, self._changes, self._version)
        if self._of_words[0] != key:
            found = np.zeros(self._next, bool)
            found[
                [slot for slot in self._table.slots_with([encodable(word) for word in words]) if slot < self._next]
            ] = 1
            self._of_words = (key, found)
        return self._of_words[1]

    # ---- changes ---------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Only who is in here may change the index. Raises DatasetError where another process is, or none can."""
        with self._lock:
            if self.problem is not None:  # there may be room again
                self._table.file.close()
                self._table.file.open()
                self._check_kept()
        with self._alone():
            with self._lock:
                self._refresh()
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            lock = sqlite3.connect(self.folder / _WRITER, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as problem:
            raise DatasetError(_unusable(str(problem))) from problem
        try:
            try:
                lock.execute("BEGIN EXCLUSIVE")  # let go of by the system when this process ends, however it does
            except sqlite3.Error as problem:
                raise DatasetError(BUSY if "locked" in str(problem) else _unusable(str(problem))) from problem
            yield
        finally:
            lock.close()

    def known_in(self, folder: str) -> tuple[dict[str, tuple[int, str]], dict[str, str]]:
        """The pictures of `folder`, with slot and stamp, and what could not be read there, with its stamp."""
        with self._lock:
            return self._table.known_in(folder)

    def folders_below(self, root: str) -> list[str]:
        """The folders that pictures are known of, `root` and below."""
        with self._lock:
            return [path for path in self._table.folders() if is_below(path, (root,))]

    def add(
        self,
        files: Sequence[Seen],
        facts: Sequence[Facts],
        features: Tensor,
        unreadable: Sequence[tuple[Seen, str]] = (),
    ) -> None:
        """Put pictures in with their `features` (N, D), and what could not be read. To be called in `writing`.

        Raises DatasetError where the disk is full or gone: then none of them is in.
        """
        slots = self._slots(len(files))
        try:
            for number in sorted({slot // ROWS for slot in slots}):
                places = [place for place, slot in enumerate(slots) if slot // ROWS == number]
                while len(self._shards) <= number:
                    shard = self._kept.added(len(self._shards))
                    with self._lock:
                        self._shards.append(shard)
                self._shards[number].write([slots[place] % ROWS for place in places], features[places])
        except OSError as problem:
            raise DatasetError(_unusable(problem.strerror or str(problem))) from problem
        rows = [Row(slot, file, fact) for slot, file, fact in zip(slots, files, facts, strict=True)]
        with self._lock:
            self._table.add(rows, [(seen, encodable(why)) for seen, why in unreadable])
            self._check_kept()
            self._put(rows)

    def remove(self, slots: Sequence[int], unreadable: Sequence[tuple[str, str]] = ()) -> None:
        """Take pictures out, and what could not be read, by folder and name. To be called in `writing`."""
        with self._lock:
            self._columns.taken[list(slots)] = False
            self._table.remove(slots, unreadable)
            self._changes += 1
            self._check_kept()

    def _slots(self, count: int) -> list[int]:
        """Places for so many pictures, ascending."""
        with self._lock:
            again, self._free = self._free[:count], self._free[count:]
            fresh = list(range(self._next, self._next + count - len(again)))
            self._next += len(fresh)
            if self._next > len(self._columns.taken):
                self._columns = self._columns.grown(self._next + _GROWN_BY)
        return [*again, *fresh]

    def _put(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        folders, checkpoints = self._table.folders(), self._table.checkpoints()
        self._columns.put(
            [row.slot for row in rows],
            [folders.get(row.file.folder, 0) for row in rows],
            [row.file.changed_s for row in rows],
            [row.facts.score for row in rows],
            [checkpoints.get(row.facts.checkpoint, 0) for row in rows],
        )
        self._changes += 1

    def _check_kept(self) -> None:
        """Raise DatasetError where nothing can be kept, and where the table had to be thrown away just now."""
        if (reason := self._table.file.reason) is not None:
            raise DatasetError(_unusable(reason))
        if self._table.file.renewals != self._version[0] and self._version != _NEVER:
            raise DatasetError("The index was damaged, and has to be made anew; begin once more.")

    def _refresh(self) -> None:
        """Read anew what another process wrote, or what is left where the table had to be thrown away."""
        if self._table.version != self._version:
            self._load()

    def _load(self) -> None:
        """Read the table, and open the features; where they are damaged, begin with none. Raises DatasetError."""
        try:
            version = self._table.version  # before the rows: what is written meanwhile is read the next time
            try:
                columns, shards = self._table.columns(), self._kept.opened()
                if len(columns.taken) > len(shards) * ROWS:
                    raise ValueError("features are missing")
            except ValueError:
                self._table.file.start_anew()
                for path in self.folder.glob("rows-*.bin"):
                    path.unlink()
                version, columns, shards = self._table.version, Columns.empty(0), []
        except OSError as problem:
            raise DatasetError(_unusable(problem.strerror or str(problem))) from problem
        self._next = max(len(columns.taken), self._next)  # others may still look at slots of ours that were not written
        self._shards, self._columns, self._free = shards, columns.grown(self._next), []
        self._version = version
        self._changes += 1


def is_as_it_was(file: Seen) -> bool:
    """Whether a picture's file is there, and unchanged since it was read."""
    try:
        status = os.stat(file.path, follow_symlinks=False)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and file.stamp in ("", stamp_of(status))


def _unusable(reason: str) -> str:
    return f"The index of pictures cannot be kept ({reason}); make room on its disk, or check that it may be written."
