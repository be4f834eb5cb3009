"""Who may work now: jobs wait for their turn, get it one after the other, and what they do is written down."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from ..errors import JobError, NoSuchJob, PseudowordError
from .store.job_states import ENDED, JobState
from .store.job_store import FILE, Job, JobStore
from .store.living_servers import LivingServer
from .turn_order import Estimate, estimates, in_turn, position_between

log = logging.getLogger(__name__)

GPU, BESIDE, CPU = "gpu", "gpu, beside a training", "cpu"
LANES: Mapping[str, str] = {"training": GPU, "layers": BESIDE, "scoring": CPU, "indexing": CPU}
"""What each kind of job needs while it runs. Layers are compared in slices between those of a training: a minute's work
never waits for hours."""
WRITTEN_EVERY_S = 2.0  # progress, which is in memory meanwhile
KEPT = 20  # works that ended, of which more is in memory than in their folders


@dataclass(frozen=True)
class Standing:
    """How a work stands: `done` of `total` units, and what came of it in `result`, once it has ended."""

    state: JobState
    message: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    warnings: tuple[str, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)


class Work(Protocol):
    """What a job does. It waits until `begin`, and tells `JobQueue.heard` whenever its state has changed."""

    def begin(self) -> bool:
        """Its turn has come; returns at once, and False where it wants none any more."""
        ...

    def standing(self) -> Standing:
        """How it stands now."""
        ...


SteeringOrder: TypeAlias = Literal["pause", "resume", "stop", "cancel"]


@runtime_checkable
class SteeredWork(Work, Protocol):
    """Work that people steer."""

    def follow(self, order: SteeringOrder) -> None:
        """Do what somebody wants of it: stop ends it and keeps what there is, cancel keeps nothing."""

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end, once it was told to end."""

    def wait_for_rest(self, timeout_s: float) -> None:
        """Wait until nobody works at it: it has ended, or is paused."""


class JobQueue:
    """The jobs of one server with the folder `runs`; `places` says how many of each lane run at a time.

    Nothing begins before the server `is_ready`. The store says what there is, the works that are in memory say how they
    stand. Any thread may call everything.
    """

    def __init__(
        self,
        runs: Path,
        places: Mapping[str, int] | None = None,
        is_ready: Callable[[], bool] = lambda: True,
        store: JobStore | None = None,
    ) -> None:
        self._is_ready = is_ready
        self.store = JobStore(runs / FILE) if store is None else store
        self._places = {GPU: 1, BESIDE: 1, CPU: 2, **(places or {})}
        self._server = LivingServer(runs)
        self._lock = threading.RLock()  # held while a turn is given or taken back; a work's own lock comes after it
        self._works: dict[str, Work] = {}  # the oldest first
        self._written: dict[str, tuple[JobState, int, float]] = {}  # by job its state, warnings told, and when
        self._interrupted: set[str] = set()  # by a restart: these have their turn before all others
        self._is_open = True

    # ---- what becomes of a job -------------------------------------------------------------------------------------

    def submit(self, job: Job, work: Work, most_open: int | None = None) -> None:
        """Let a new job wait for its turn, and begin where one is free. Raises JobError, LimitReached."""
        with self._lock:
            self._server.begin()
            self.settle()  # its name may be that of one that was cancelled just now
            self.store.add(replace(job, server=self._server.name), most_open)
            self._works[job.id] = work
            self._fill()

    def adopt(self, job: Job, work: Work) -> None:
        """Take in a job that is in the store already, in the state it is in there."""
        with self._lock:
            self._server.begin()
            if job.server != self._server.name:
                self.store.change(job.id, server=self._server.name)
            self._works.pop(job.id, None)
            self._works[job.id] = work
            self._fill()

    def heard(self, id: str) -> None:
        """A work has changed: write it down, and give its turn to the next where it has left."""
        work = self._works.get(id)
        if work is None or not self._is_open:
            return
        standing = work.standing()
        if standing.state == "running" and not self._is_due(id, standing):
            return
        with self._lock:
            if not self._is_open:
                return
            self._write_safely(id, work.standing())
            self._fill()

    def begin_next(self) -> None:
        """Give free places to those who are next, as is done by itself after every change."""
        with self._lock:
            self._fill()

    def settle(self) -> None:
        """Write down what has changed and was not heard of yet."""
        with self._lock:
            for id, work in self.works().items():
                standing = work.standing()
                if self._is_open and self._written.get(id, (None,))[0] != standing.state:
                    self._write_safely(id, standing)

    def move(self, id: str, before: str | None) -> None:
        """Put a job that waits before another of the same owner, or behind all of them. Raises JobError."""
        with self._lock:
            job = self.store.job(id)
            own = [one for one in self.order() if one.owner == job.owner]
            try:
                position = position_between(sorted(own, key=lambda one: (one.position, one.created)), id, before)
            except ValueError as problem:
                raise JobError("Only jobs that wait can be put in another order; read the list again.") from problem
            self.store.change(id, position=position)

    def delete(self, id: str) -> None:
        """Forget a job that has ended."""
        with self._lock:
            self._works.pop(id, None)
            self._written.pop(id, None)
            self.store.delete(id)

    def stop(self) -> None:
        """Begin nothing more, and write nothing more down: what runs now is found running at the next start."""
        with self._lock:
            self.settle()
            self._is_open = False

    def end(self) -> None:
        """Let go of everything, once nothing works any more: from now on another server may take over."""
        self.stop()
        self.store.close()
        self._server.end()

    # ---- after a start ---------------------------------------------------------------------------------------------

    def take_over(self, recover: Callable[[Job], Work]) -> None:
        """Find the jobs of servers that are gone, and go on with them as `recover` says."""
        with self._lock:
            for server in self.store.servers():
                if self._server.is_gone(server):
                    self._server.begin()
                    for job in sorted(self.store.take_over(server, self._server.name), key=lambda one: one.position):
                        self._works[job.id] = recover(job)
                        if job.state == "running":
                            self._interrupted.add(job.id)
                        self._write_safely(job.id, self._works[job.id].standing())
            self._fill()

    # ---- how it stands ---------------------------------------------------------------------------------------------

    def work(self, id: str) -> Work | None:
        """The work of a job, where it is in memory."""
        return self._works.get(id)

    def works(self) -> dict[str, Work]:
        """All works in memory by their job's id, the oldest first."""
        with self._lock:
            return dict(self._works)

    def is_here(self, job: Job) -> bool:
        """Whether this server runs `job`, or nobody does."""
        return not job.server or job.server == self._server.name or self._server.is_gone(job.server)

    def order(self) -> list[Job]:
        """The jobs of this server that wait, in the order of their turns."""
        with self._lock:
            waiting, _ = self.store.jobs(states=["waiting"], server=self._server.name)
            order = in_turn([job for job in waiting if job.id in self._works], self.store.last_begun())
            return sorted(order, key=lambda job: job.id not in self._interrupted)

    def estimates(self, seconds_of: Callable[[Job], float | None]) -> dict[str, Estimate]:
        """By id when those that wait begin and end; `seconds_of` tells how long one will take."""
        order, found = self.order(), dict[str, Estimate]()
        for lane, places in self._places.items():
            left = [standing.seconds_left for standing in self._running(lane)]
            found.update(estimates([job for job in order if LANES[job.kind] == lane], places, left, seconds_of))
        return found

    # ---- with the lock held ----------------------------------------------------------------------------------------

    def _running(self, lane: str) -> list[Standing]:
        running, _ = self.store.jobs(states=["running"], server=self._server.name)
        works = [self._works[job.id] for job in running if LANES[job.kind] == lane and job.id in self._works]
        return [work.standing() for work in works]

    def _fill(self) -> None:
        """Give free places to those who are next."""
        if not self._is_open or not self._is_ready():
            return
        try:
            full = set[str]()  # asked for once, not for each that waits
            for job in self.order():
                lane = LANES[job.kind]
                if lane not in full and len(self._running(lane)) >= self._places[lane]:
                    full.add(lane)
                if lane not in full:
                    # In this order: what is written as running and never began is found again, the other way round not.
                    # One that wants no turn any more has changed, and will be heard as soon as the lock is free.
                    self.store.become(job.id, "running")
                    self._interrupted.discard(job.id)
                    self._works[job.id].begin()
        except PseudowordError:  # a full disk: whoever waits goes on waiting, until something is heard again
            log.exception("No further job could begin")

    def _write_safely(self, id: str, standing: Standing) -> None:
        try:
            self._write(id, standing)
        except PseudowordError:  # the work itself goes on, others too; what it made is in its folder
            log.exception("How the job %s stands could not be written down", id)

    def _write(self, id: str, standing: Standing) -> None:
        facts: dict[str, Any] = {"done": standing.done, "total": standing.total}
        if standing.state in ENDED:
            facts["result"] = standing.result
        if standing.state == "cancelled":
            facts["folder"] = ""
        with contextlib.suppress(NoSuchJob):  # deleted meanwhile
            if self.store.job(id).state == standing.state == "running":
                self.store.change(id, **facts)
            else:
                self.store.become(id, standing.state, standing.message, **facts)
            for warning in standing.warnings[self._told(id) :]:
                self.store.note(id, warning)
        self._written[id] = (standing.state, len(standing.warnings), time.monotonic())
        self._forget()

    def _is_due(self, id: str, standing: Standing) -> bool:
        state, told, at = self._written.get(id, ("waiting", 0, 0.0))
        return state != "running" or len(standing.warnings) > told or time.monotonic() - at >= WRITTEN_EVERY_S

    def _told(self, id: str) -> int:
        return self._written[id][1] if id in self._written else 0

    def _forget(self) -> None:
        ended = [id for id, work in self._works.items() if work.standing().state in ENDED]
        for id in ended[:-KEPT]:
            del self._works[id]
            self._written.pop(id, None)
