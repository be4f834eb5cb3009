"""Whose turn it is at the model: first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from .slices import Interrupted


class Turns:
    """A lock that is handed to whoever has waited longest; for `with`, one turn at a time.

    Who lets go of a usual lock and takes it again at once overtakes those who wait for it. A training, which does just
    that about once a second, would never let anybody in.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._is_taken = False

    def __enter__(self) -> None:
        self.take(threading.Event(), lambda: True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._mutex:
            self._hand_on()

    def take(self, called: threading.Event, is_wanted: Callable[[], bool]) -> None:
        """Wait for a turn. Raises Interrupted where that is not wanted any more, once somebody has set `called`."""
        with self._mutex:
            called.clear()
            if not self._is_taken:
                self._is_taken = True
                return
            self._waiting.append(called)
        try:
            while True:
                if not is_wanted():
                    raise Interrupted
                called.wait()
                with self._mutex:
                    if called not in self._waiting:
                        return
                    called.clear()
        except BaseException:  # Ctrl-C, too: whoever waits after us must not wait for us
            with self._mutex:
                if called not in self._waiting:  # it was handed to us meanwhile
                    self._hand_on()
                else:
                    self._waiting.remove(called)
            raise

    def _hand_on(self) -> None:
        """Give the turn to the next who waits; called with the mutex held."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._is_taken = False


class WantedTurns:
    """`turns` for one who may not want them any more while he waits: `look_again` then makes Interrupted of it.

    What is in `then` is taken within each turn.
    """

    def __init__(
        self, turns: Turns, is_wanted: Callable[[], bool], then: AbstractContextManager[None] | None = None
    ) -> None:
        self._turns, self._is_wanted, self._then = turns, is_wanted, then
        self._called = threading.Event()

    def __enter__(self) -> None:
        self._turns.take(self._called, self._is_wanted)
        if self._then is not None:
            try:
                self._then.__enter__()
            except BaseException:
                self._turns.__exit__(None, None, None)
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._then is not None:
                self._then.__exit__(kind, error, traceback)
        finally:
            self._turns.__exit__(None, None, None)

    def look_again(self) -> None:
        """Find out whether a turn that is waited for is still wanted."""
        self._called.set()
