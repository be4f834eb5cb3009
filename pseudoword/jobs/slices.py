"""The model, for about a second at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

SLICE_S = 1.0  # how long others wait at most, besides the pass that is under way


class Interrupted(BaseException):
    """Ends work in the middle, wherever it may end: no error, and no handler of errors is meant."""


class Slices:
    """Holds `turns`, and within them `borrowed()`, for about `seconds()`; then whoever waits has the next turn.

    `may_go_on` says whether the work is still wanted.
    """

    def __init__(
        self,
        turns: AbstractContextManager[None],
        borrowed: Callable[[], AbstractContextManager[None]],
        seconds: Callable[[], float],
        may_go_on: Callable[[], bool],
    ) -> None:
        self._turns = turns
        self._borrowed = borrowed
        self._seconds = seconds
        self._may_go_on = may_go_on
        self._held = ExitStack()
        self._ends = 0.0

    @contextmanager
    def one(self) -> Iterator[None]:
        """A slice, or several where `between_passes` ends one and begins the next."""
        self._enter()
        try:
            yield
        finally:
            self._held.close()

    @property
    def is_over(self) -> bool:
        """Whether the time of this slice is up."""
        return time.monotonic() >= self._ends

    def between_passes(self) -> None:
        """Let others in where the time is up. Raises Interrupted where the work is no longer wanted."""
        if not self._may_go_on():
            raise Interrupted
        if self.is_over:
            self._held.close()
            self._enter()

    def _enter(self) -> None:
        seconds = self._seconds()
        with ExitStack() as stack:
            stack.enter_context(self._turns)
            stack.enter_context(self._borrowed())
            self._ends = time.monotonic() + seconds
            self._held = stack.pop_all()
