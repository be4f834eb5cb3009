"""The strips of one host: those that are waited for, and the latest that were made."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from ..errors import SettingsError
from ..inspect.strips import Row
from .host import Host
from .measures import TimedTurns
from .strip_job import StripJob
from .turns import Turns

MOST_SEEDS, HIGHEST_SEED = 8, 2**32 - 1
MOST_STEPS = 100
MOST_IN_A_ROW, MOST_PICTURES = 100, 200
MOST_UNDER_WAY, MOST_ENDED = 8, 16
MOST_BYTES = 500_000_000  # of the pictures of those that have ended


class Strips:
    """Makes strips on `host`, several at a time, and keeps the latest; nobody finds one without its id."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._turns = OneInTheQueue(TimedTurns(host.turns, host.measures))
        self._lock = threading.Lock()
        self._jobs: dict[str, StripJob] = {}  # the oldest first

    @property
    def host(self) -> Host:
        """The program it runs in."""
        return self._host

    def start(self, rows: Sequence[Row], seeds: Sequence[int], steps: int, guidance: float) -> StripJob:
        """Begin to make a picture of every shot in `rows` for every one of `seeds`.

        Raises SettingsError for too many, for settings outside their ranges, and where too many strips are under way.
        """
        check(rows, seeds, steps, guidance)
        with self._lock:
            self._forget()
            if sum(not job.has_ended for job in self._jobs.values()) >= MOST_UNDER_WAY:
                raise SettingsError(
                    f"{MOST_UNDER_WAY} strips of pictures are being made already; wait or cancel one of yours."
                )
            id = secrets.token_urlsafe()
            self._jobs[id] = StripJob(id, rows, seeds, steps, guidance, self._host, self._turns)
            return self._jobs[id]

    def job(self, id: str) -> StripJob:
        """The strip called `id`. Raises SettingsError where there is none, or none any more."""
        with self._lock:
            if id not in self._jobs:
                raise SettingsError("These pictures are no longer kept; make them again.")
            return self._jobs[id]

    def end(self) -> None:
        """Cancel what is under way and wait for its end: a program that ends in the middle of a pass crashes."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if not job.has_ended]
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.wait()

    def _forget(self) -> None:
        """Forget the oldest that have ended, where there are too many, or their pictures take too much memory."""
        kept, size = 0, 0
        for id, job in reversed(list(self._jobs.items())):
            if job.has_ended:
                kept, size = kept + 1, size + job.bytes_kept
                if kept > MOST_ENDED or (size > MOST_BYTES and kept > 1):
                    del self._jobs[id]


class OneInTheQueue:
    """`turns` for all strips together: whoever else waits there has one of them before him, not eight."""

    def __init__(self, turns: AbstractContextManager[None]) -> None:
        self._among_strips = Turns()
        self._turns = turns

    def __enter__(self) -> None:
        self._among_strips.__enter__()
        try:
            self._turns.__enter__()
        except BaseException:
            self._among_strips.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._turns.__exit__(kind, error, traceback)
        finally:
            self._among_strips.__exit__(None, None, None)


def check(rows: Sequence[Row], seeds: Sequence[int], steps: int, guidance: float) -> None:
    """Raise SettingsError where a strip cannot be made so, or would be too much."""
    if not 1 <= len(seeds) <= MOST_SEEDS or len(set(seeds)) < len(seeds):
        raise SettingsError(f"There are {len(seeds)} seeds; give 1 to {MOST_SEEDS} different ones.")
    if not all(0 <= seed <= HIGHEST_SEED for seed in seeds):
        raise SettingsError(f"The seeds are {min(seeds)} to {max(seeds)}; take such from 0 to {HIGHEST_SEED}.")
    if not 1 <= steps <= MOST_STEPS:
        raise SettingsError(f"A picture cannot be made in {steps} steps here; ask for 1 to {MOST_STEPS}.")
    if not math.isfinite(guidance):
        raise SettingsError(f"The guidance is {guidance}; give a number such as 5.")
    counts = [len(row.shots) * len(seeds) for row in rows]
    if not counts or not all(counts):
        raise SettingsError("There is nothing to show; choose an embedding.")
    if max(counts) > MOST_IN_A_ROW or sum(counts) > MOST_PICTURES:
        raise SettingsError(
            f"These would be {sum(counts)} pictures, {max(counts)} in a row, and at most {MOST_PICTURES} are made, "
            f"{MOST_IN_A_ROW} in a row; take fewer seeds, layers or steps between."
        )
