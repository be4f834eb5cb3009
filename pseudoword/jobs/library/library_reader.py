"""The table of a library, read in the background, for everybody who looks at it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...inspect.library_table import LibraryTable, scan

log = logging.getLogger(__name__)

PATIENCE_S = 10.0


@dataclass(frozen=True)
class LibraryReading:
    """How far reading is: `done` of `total` files, and the last table that was read, empty before the first.

    `version` counts the tables.
    """

    is_under_way: bool
    done: int
    total: int
    table: LibraryTable
    version: int


class LibraryReader:
    """Reads what is in `places()`, folders and files, when it is asked to; the last table stays until the next."""

    def __init__(self, places: Callable[[], Sequence[Path]], cache: Path | None) -> None:
        self._places = places
        self._cache = cache
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._should_stop = False
        self._progress = (0, 0)
        self._table = LibraryTable(())
        self._version = 0

    def read(self) -> None:
        """Begin to read, unless that is under way."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._should_stop, self._progress = False, (0, 0)
            self._thread = threading.Thread(target=self._read, name="pseudoword-library", daemon=True)
            self._thread.start()

    def read_anew(self, patience_s: float = PATIENCE_S) -> None:
        """Read what is there now, also where a reading is under way, which may be past a file; wait for its end."""
        ends = time.monotonic() + patience_s
        for begin in (lambda: None, self.read):
            begin()
            self.wait(ends - time.monotonic())

    def wait(self, patience_s: float) -> None:
        """Return when what is under way has been read, or after `patience_s` seconds."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(max(patience_s, 0.0))

    def stop(self) -> None:
        """End reading; the table has the rows so far."""
        self._should_stop = True

    def watch(self) -> LibraryReading:
        """How far it is."""
        with self._lock:
            is_under_way = self._thread is not None and self._thread.is_alive()
            return LibraryReading(is_under_way, *self._progress, self._table, self._version)

    def table(self) -> LibraryTable:
        """The last table; the first is waited for."""
        if not self._version:
            self.read()
            thread = self._thread
            if thread is not None:
                thread.join()
        return self._table

    def _read(self) -> None:
        try:
            table = scan(self._places(), self._cache, self._note, lambda: self._should_stop)
        except Exception as problem:
            log.exception("the library could not be read")
            table = LibraryTable((), skipped=(f"The library could not be read: {problem}",), complete=False)
        with self._lock:
            self._table, self._version = table, self._version + 1

    def _note(self, done: int, total: int) -> None:
        self._progress = (done, total)
