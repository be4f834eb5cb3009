"""Ctrl-C while something is being done that should come to a good end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """Ended by Ctrl-C, with everything saved; the message says how to go on."""


@contextmanager
def deferred(on_first: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Inside, the first Ctrl-C only calls `on_first` and is remembered; a second one interrupts as usual.

    Gives a function that tells whether there was one. Where Ctrl-C is ignored, as in a shell's background jobs, or
    belongs to another thread, nothing is changed.
    """
    came = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and callable(before)
    if not ours:
        yield came.is_set
        return

    def remember(number: int, frame: FrameType | None) -> None:
        if came.is_set() and callable(before):
            before(number, frame)
        came.set()
        on_first()

    signal.signal(signal.SIGINT, remember)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGINT, before)
