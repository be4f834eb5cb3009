"""Whose turn it is at the model: first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


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
        with self._mutex:
            if not self._is_taken:
                self._is_taken = True
                return
            called = threading.Event()
            self._waiting.append(called)
        try:
            called.wait()
        except BaseException:  # Ctrl-C: whoever waits after us must not wait for us
            with self._mutex:
                if called not in self._waiting:  # it was handed to us meanwhile
                    self._hand_on()
                else:
                    self._waiting.remove(called)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._mutex:
            self._hand_on()

    def _hand_on(self) -> None:
        """Give the turn to the next who waits; called with the mutex held."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._is_taken = False
