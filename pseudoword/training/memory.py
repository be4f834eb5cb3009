"""What to do where memory runs out, on a GPU or on the CPU: make do with less, or say what the user can do."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import torch

from ..errors import PseudowordError

T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    message = str(error).lower()
    return "out of memory" in message or "can't allocate memory" in message or "not enough memory" in message


@contextmanager
def out_of_memory_as(refusal: Callable[[], PseudowordError]) -> Iterator[None]:
    """Raise `refusal()` in the place of what torch says when memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise refusal() from error


def within_memory(work: Callable[[], T], shrink: Callable[[], PseudowordError | None]) -> T:
    """What `work` gives, tried again after each `shrink` as long as memory runs out.

    `shrink` makes the next attempt smaller; where that is not possible, it gives the error to raise.
    """
    while True:
        try:
            return work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            refusal = shrink()
            if refusal is not None:
                raise refusal from error
        # Outside the handler, where the exception no longer keeps the tensors of the failed attempt alive.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def give_back_memory() -> None:
    """Give to the system what is free in this process; on Linux, elsewhere nothing happens.

    glibc keeps it, apart for each of many threads: a server that works for a team would grow for hours.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library, or Windows
        ctypes.CDLL(None).malloc_trim(0)
