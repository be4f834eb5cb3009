"""Jobs that somebody watches by an id that nobody can guess: those under way, and the latest that have ended."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ..errors import SettingsError


class Job(Protocol):
    """Work in a thread of its own."""

    def begin(self) -> bool:
        """Begin it."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        ...

    @property
    def bytes_kept(self) -> int:
        """How much memory what it made takes."""
        ...

    def cancel(self) -> None:
        """End soon."""

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""

    def forget(self) -> None:
        """Let go of what it keeps on the disk; nobody finds it any more."""


AnyJob = TypeVar("AnyJob", bound=Job)


class KeptJobs(Generic[AnyJob]):
    """At most `most_under_way` at a time and `most_ended` of those that have ended, with `most_bytes` together.

    `busy` and `gone` are what is said where there are too many, and where a job is no longer kept.
    """

    def __init__(self, most_under_way: int, most_ended: int, most_bytes: int, busy: str, gone: str) -> None:
        self._most_under_way, self._most_ended, self._most_bytes = most_under_way, most_ended, most_bytes
        self._busy, self._gone = busy, gone
        self._lock = threading.Lock()
        self._jobs: dict[str, AnyJob] = {}  # the oldest first

    def begin(self, make: Callable[[str], AnyJob]) -> AnyJob:
        """The job that `make` makes, which begins, by its id. Raises SettingsError where too many are under way."""
        with self._lock:
            self._tidy()
            if sum(not job.has_ended for job in self._jobs.values()) >= self._most_under_way:
                raise SettingsError(self._busy)
            id = secrets.token_urlsafe()
            job = self._jobs[id] = make(id)
        job.begin()
        return job

    def job(self, id: str) -> AnyJob:
        """The job called `id`. Raises SettingsError where there is none, or none any more."""
        with self._lock:
            if id not in self._jobs:
                raise SettingsError(self._gone)
            return self._jobs[id]

    def end(self) -> None:
        """Cancel what is under way, wait for its end, and forget all."""
        with self._lock:
            jobs = list(self._jobs.values())
            self._jobs.clear()
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.wait()
            job.forget()

    def _tidy(self) -> None:
        """Forget the oldest that have ended, where there are too many, or they take too much memory."""
        kept, size = 0, 0
        for id, job in reversed(list(self._jobs.items())):
            if job.has_ended:
                kept, size = kept + 1, size + job.bytes_kept
                if kept > self._most_ended or (size > self._most_bytes and kept > 1):
                    self._jobs.pop(id).forget()
