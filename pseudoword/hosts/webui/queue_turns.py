"""The WebUI's queue as turns that are taken fairly."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

MOMENT_S = 0.01  # in which a thread that was woken takes the lock
PATIENCE_S = 1.0  # for a machine that is busy


class QueueTurns:
    """The WebUI's `call_queue.queue_lock`, a `FIFOLock`, given to those who wait before it is taken again.

    Every generation holds it. That lock wakes who waits longest and then frees itself; who takes it again at once, as
    a training in slices does, is faster than the one just woken, and would never let anybody in.
    """

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        while True:
            self._lock.acquire()
            # Whoever was woken before us and is slower stands at the bare lock, which we took from under him.
            self._lock._lock.release()
            time.sleep(MOMENT_S)
            if self._lock._lock.acquire(False):
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        someone_waits = bool(self._lock._pending_threads)
        self._lock.release()
        time.sleep(MOMENT_S)
        ends = time.monotonic() + PATIENCE_S
        while someone_waits and not self._lock._lock.locked() and time.monotonic() < ends:
            time.sleep(MOMENT_S)
