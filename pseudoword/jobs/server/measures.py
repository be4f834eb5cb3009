"""What is counted and timed while a server works, for those who watch over it."""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

SLICE_BOUNDS = (0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)  # seconds
JOB_BOUNDS = (1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)
PACE_S = 30.0  # over which the latest steps are counted
MOST_STEPS_KEPT = 10_000


@dataclass(frozen=True)
class Durations:
    """How often something took at most so many seconds: `counts` by `bounds`, and last those that took longer."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    seconds: float


class Timer:
    """Adds up durations. Any thread may call everything."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._lock = threading.Lock()
        self._bounds, self._counts, self._seconds = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, seconds: float) -> None:
        """Something took so long."""
        with self._lock:
            self._counts[bisect_left(self._bounds, seconds)] += 1
            self._seconds += seconds

    def read(self) -> Durations:
        """All so far."""
        with self._lock:
            return Durations(self._bounds, tuple(self._counts), self._seconds)


class Measures:
    """The figures of one server since its start. Any thread may call everything."""

    def __init__(self) -> None:
        self.slice_waits = Timer(SLICE_BOUNDS)
        self.job_waits = Timer(JOB_BOUNDS)
        self._lock = threading.Lock()  # guards what follows
        self._done: dict[str, int] = {}
        self._steps = 0
        self._latest: deque[float] = deque(maxlen=MOST_STEPS_KEPT)
        self._errors: Counter[str] = Counter()

    def trained(self, id: str, done: int) -> None:
        """The training called `id` has done so many steps; those from before the first call are not counted."""
        with self._lock:
            new = max(0, done - self._done.setdefault(id, done))
            self._done[id] = max(done, self._done[id])
            self._steps += new
            self._latest.extend([time.monotonic()] * min(new, MOST_STEPS_KEPT))

    def forget(self, id: str) -> None:
        """The training called `id` has ended."""
        with self._lock:
            self._done.pop(id, None)

    def failed(self, place: str) -> None:
        """Something went wrong in `place`."""
        with self._lock:
            self._errors[place] += 1

    @property
    def steps(self) -> int:
        """Training steps done."""
        with self._lock:
            return self._steps

    @property
    def steps_per_second(self) -> float:
        """The pace of the last half minute."""
        now = time.monotonic()
        with self._lock:
            while self._latest and now - self._latest[0] > PACE_S:
                self._latest.popleft()
            return len(self._latest) / PACE_S

    @property
    def errors(self) -> dict[str, int]:
        """How many there were, by place."""
        with self._lock:
            return dict(self._errors)


class TimedTurns:
    """The lock `turns`, of which is measured how long it is waited for."""

    def __init__(self, turns: AbstractContextManager[None], measures: Measures) -> None:
        self._turns, self._measures = turns, measures

    def __enter__(self) -> None:
        asked_at = time.monotonic()
        self._turns.__enter__()
        self._measures.slice_waits.add(time.monotonic() - asked_at)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._turns.__exit__(kind, error, traceback)


class CountedErrors(logging.Handler):
    """Counts what is logged as an error, by the module that logs it."""

    def __init__(self, measures: Measures) -> None:
        super().__init__(logging.ERROR)
        self._measures = measures

    def emit(self, record: logging.LogRecord) -> None:
        """Count it."""
        self._measures.failed(record.name.removeprefix("pseudoword."))
