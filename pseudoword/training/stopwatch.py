"""Where the time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds spent, by name of the phase. Phases inside a phase count for the outer one.

    On a GPU, which works behind the clock, work may show in a later phase.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running = False

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add what passes inside to `name`."""
        if self._running:
            yield
            return
        self._running = True
        start = time.perf_counter()
        try:
            yield
        finally:
            self._running = False
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
