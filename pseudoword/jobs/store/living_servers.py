"""Which of the processes that share a folder of runs are alive: each holds a lock, which goes with it."""

from __future__ import annotations

import contextlib
import secrets
import time
import weakref
from pathlib import Path
from typing import IO

from ...training.run_folder import lock_file, reporting_failed_writes

FOLDER = ".servers"
SETTLED_S = 60.0  # a younger one may just be about to take its lock


class LivingServer:
    """This process, as one that runs jobs in `runs`. `name` is another one after every start."""

    def __init__(self, runs: Path) -> None:
        self._folder = runs / FOLDER
        self._held: IO[bytes] | None = None
        self.name = secrets.token_hex(8)

    def begin(self) -> None:
        """Take the lock, where that was not done yet. Raises TrainingError where the folder cannot be written."""
        if self._held is None:
            path = self._folder / self.name
            with reporting_failed_writes(path):
                self._folder.mkdir(parents=True, exist_ok=True)
                file = open(path, "ab")  # noqa: SIM115 - closed when the server ends
                weakref.finalize(self, file.close)
                lock_file(file.fileno())
            self._held = file
            self._sweep()

    def _sweep(self) -> None:
        """Remove the files of servers that were killed."""
        with contextlib.suppress(OSError):  # another process does the same
            for other in list(self._folder.iterdir()):
                if time.time() - other.stat().st_mtime > SETTLED_S:
                    self.is_gone(other.name)

    def end(self) -> None:
        """Give the lock back: from now on another process may take over."""
        if self._held is not None:
            self._held.close()
            self._held = None
            with contextlib.suppress(OSError):
                (self._folder / self.name).unlink()

    def is_gone(self, name: str) -> bool:
        """Whether the server called `name` has ended, so that its jobs may be taken over."""
        path = self._folder / name
        if name == self.name:
            return False
        try:
            with open(path, "rb+") as file:
                lock_file(file.fileno())
        except FileNotFoundError:
            return True
        except OSError:  # it is alive
            return False
        with contextlib.suppress(OSError):
            path.unlink()
        return True
