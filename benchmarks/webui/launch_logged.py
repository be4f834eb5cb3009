"""Run by the WebUI's own Python in place of launch.py, which it calls: writes down who held the model, and when.

Arguments: the file to write to, launch.py, and the flags of that. Each line is a JSON list of the thread's name and of
three times of the machine's monotonic clock: when it wanted the queue's lock, when it had it, when it gave it back.
"""

from __future__ import annotations

import json
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

log: TextIO = open(sys.argv[1], "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - as long as the process lives
sys.argv = sys.argv[2:]
sys.path[0] = str(Path(sys.argv[0]).parent)

from modules import fifo_lock  # noqa: E402 - the WebUI must be found first


class LoggedLock(fifo_lock.FIFOLock):  # type: ignore[misc]
    """The WebUI's lock, which tells of every hold once it is over."""

    def __init__(self) -> None:
        super().__init__()
        self._held = (0.0, 0.0)  # wanted and got; of whoever has it

    def acquire(self, blocking: bool = True) -> bool:
        """As it was."""
        wanted = time.monotonic()
        is_ours: bool = super().acquire(blocking)
        if is_ours:
            self._held = (wanted, time.monotonic())
        return is_ours

    def release(self) -> None:
        """As it was."""
        told = [threading.current_thread().name, *self._held, time.monotonic()]
        super().release()
        log.write(json.dumps(told) + "\n")

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


fifo_lock.FIFOLock = LoggedLock  # before `call_queue` makes its one
runpy.run_path(sys.argv[0], run_name="__main__")
