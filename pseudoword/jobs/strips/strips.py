"""The strips of one host: those that are waited for, and the latest that were made."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...errors import SettingsError
from ...inspect.strips import Row
from ..host import Host
from ..job_board import JobBoard
from ..kept_jobs import KeptJobs
from ..layers.layers_job import Comparison, LayersJob
from ..queued_jobs import QueuedJobs, cancelled
from ..server.measures import TimedTurns
from ..server.people import ALONE, Person
from ..turns import Turns
from ..watched_job import Queued
from .strip_job import StripJob

MOST_SEEDS, HIGHEST_SEED = 8, 2**32 - 1
MOST_STEPS = 100
MOST_IN_A_ROW, MOST_PICTURES = 100, 200
MOST_UNDER_WAY, MOST_ENDED = 8, 16
MOST_BYTES = 500_000_000  # of the pictures of those that have ended
BUSY = f"{MOST_UNDER_WAY} strips of pictures are being made already; wait or cancel one of yours."
GONE = "These pictures are no longer kept; make them again."


class Strips:
    """Makes strips on `host`, several at a time, and keeps the latest; nobody finds one without its id.

    Comparisons of layers take longer, and are jobs of the queue on `board` where there is one.
    """

    def __init__(self, host: Host, board: JobBoard | None = None) -> None:
        self._host = host
        self._turns = TimedTurns(host.turns, host.measures)
        self._among = Turns()
        self._kept: KeptJobs[StripJob] = KeptJobs(MOST_UNDER_WAY, MOST_ENDED, MOST_BYTES, BUSY, GONE)
        self._comparisons = None
        if board is not None:
            self._comparisons = QueuedJobs(board, LayersJob.KIND, self._loaded, "strips")

    @property
    def host(self) -> Host:
        """The program it runs in."""
        return self._host

    def start(
        self, rows: Sequence[Row], seeds: Sequence[int], steps: int, guidance: float, person: Person = ALONE
    ) -> StripJob:
        """Begin to make a picture of every shot in `rows` for every one of `seeds`.

        Raises SettingsError for too many, for settings outside their ranges, and where too many strips are under way;
        for a comparison of layers, which `person` finds on the list of jobs, also ModelError, JobError, LimitReached.
        """
        check(rows, seeds, steps, guidance)
        if self._comparisons is None or len(rows) > 1 or rows[0].kind != "layers":
            return self._kept.begin(
                lambda id: StripJob(id, rows, seeds, steps, guidance, self._host, self._turns, self._among)
            )
        model = self._host.model()
        asked = Comparison(rows[0], tuple(seeds), steps, guidance, (model.sha256, model.title))
        total = len(rows[0].shots) * len(seeds)
        return self._comparisons.start(person, f"Layers of {model.title}", asked.shown, asked.write, total)

    def job(self, id: str) -> StripJob:
        """The strip called `id`. Raises SettingsError where there is none, or none any more."""
        comparison = None if self._comparisons is None else self._comparisons.find(id)
        return self._kept.job(id) if comparison is None else comparison

    def cancelled(self, id: str, person: Person) -> StripJob:
        """The strip called `id`, which ends soon.

        Raises SettingsError where there is none, NotYours for a comparison on the list that is somebody else's.
        """
        return cancelled(self.job(id), self._comparisons, person)

    def _loaded(self, id: str, queued: Queued) -> LayersJob:
        return LayersJob(id, self._host, self._turns, self._among, queued)

    def end(self) -> None:
        """Cancel what is under way and wait for its end: a program that ends in the middle of a pass crashes."""
        self._kept.end()


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
