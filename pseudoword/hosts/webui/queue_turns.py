"""The WebUI's queue as turns that are taken fairly."""

from __future__ import annotations

import time
from types import TracebackType

from modules import call_queue

MOMENT_S = 0.005  # in which a thread that was woken takes the lock
PATIENCE_S = 1.0  # for a machine that is busy


class QueueTurns:
    """`call_queue.queue_lock`, which every generation holds, given to those who wait before it is taken again.

    That lock wakes who waits longest and then frees itself; who takes it again at once, as a training in slices does,
    is faster than the one just woken, and would never let anybody in.
    """

    def __enter__(self) -> None:
        call_queue.queue_lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        lock = call_queue.queue_lock
        someone_waits = bool(lock._pending_threads)
        lock.release()
        time.sleep(MOMENT_S)
        ends = time.monotonic() + PATIENCE_S
        while someone_waits and not lock._lock.locked() and time.monotonic() < ends:
            time.sleep(MOMENT_S)
