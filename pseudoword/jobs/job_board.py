"""All jobs of one host, of whatever kind: one list and one queue, and what becomes of them after a restart."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Protocol

from ..errors import JobError, NoSuchJob, TrainingError
from .host import Host
from .job_queue import CPU, JobQueue, SteeredWork, Work
from .store.found_runs import Found
from .store.job_states import ENDED
from .store.job_store import FILE, Job
from .store.observed_store import ObservedStore
from .training.run_files import put_away, remove_folder

DELETED = ".deleted"  # among the runs: what is being removed, called by its job's id
REMOVED_WITHIN_S = 30.0
ENDS_WITHIN_S = 60.0


class JobKind(Protocol):
    """What is to be known of one kind of jobs."""

    def unlisted(self, known: Collection[str]) -> Iterator[Job]:
        """The jobs of this kind that folders speak of which are not `known`, the oldest first."""
        ...

    def recovered(self, job: Job) -> Work:
        """A job of a server that has ended, as this one goes on with it."""
        ...

    def brought_back(self, job: Job) -> SteeredWork:
        """A job that is paused, or has failed, and is in no memory: paused. Raises PseudowordError."""
        ...

    def note(self, job: Job) -> None:
        """Write into its folder whose the job is. Raises PseudowordError."""

    def route_of(self, job: Job) -> str:
        """Where what came of it can be seen, below the routes' prefix; "" where only the list tells of it."""
        ...


class JobBoard:
    """The jobs of `host`, of all `kinds`, which are put there before the board is opened. Any thread may use it."""

    def __init__(self, host: Host, queue: JobQueue | None = None) -> None:
        self.host = host
        self.kinds: dict[str, JobKind] = {}
        if queue is None:
            store = ObservedStore(host.runs / FILE, host.measures)
            queue = JobQueue(host.runs, {CPU: host.cpu_jobs}, host.is_ready, store)
        self.queue = queue
        self._opening = threading.Lock()
        self._is_open = False

    def open(self) -> None:
        """Find what there was before this start; done before anything else that needs it. Raises JobError."""
        with self._opening:
            if not self._is_open:
                self._delete_rest()
                self.queue.take_over(self._recovered)
                known = self.queue.store.folders()
                for kind in self.kinds.values():
                    for job in kind.unlisted(known):
                        self.queue.store.add(job)
                self._is_open = True

    def close(self) -> None:
        """Save what is under way, and begin nothing more; what runs is found again at the next start."""
        self.queue.stop()
        works = [work for work in self.queue.works().values() if isinstance(work, SteeredWork)]
        under_way = [work for work in works if work.standing().state == "running"]
        for work in under_way:
            work.follow("pause")
        for work in under_way:
            work.wait_for_rest(ENDS_WITHIN_S)
        self.queue.end()

    def job(self, id: str) -> Job:
        """The job called `id`, as it stands now. Raises NoSuchJob."""
        self.open()
        self.queue.settle()
        return self.queue.store.job(id)

    def steered(self, id: str) -> SteeredWork:
        """The work of a job, brought back to memory where it is not there: paused then.

        Raises JobError where that cannot be, another PseudowordError where its folder cannot be read.
        """
        work = self.queue.work(id)
        if isinstance(work, SteeredWork) and work.standing().state != "failed":
            return work
        job = self.queue.store.job(id)
        if job.state not in ("paused", "failed") or job.kind not in self.kinds:
            raise JobError(f"{job.title} has ended ({job.state}); nothing of it is under way.")
        self._check_is_here(job)
        work = self.kinds[job.kind].brought_back(job)
        self.queue.adopt(job, work)
        return work

    def delete(self, job: Job) -> None:
        """Remove all that there is of `job`, which has ended or is paused. Raises JobError, TrainingError."""
        work = self.queue.work(job.id)
        if isinstance(work, SteeredWork) and (state := work.standing().state) not in ENDED:
            if state != "paused":
                raise JobError(f"{job.title} is under way; stop or cancel it first.")
            work.follow("cancel")  # nobody can resume it meanwhile
            work.wait(REMOVED_WITHIN_S)
        else:
            self._check_is_here(job)
        away = self.host.runs / DELETED / job.id
        if job.folder:
            put_away(self.host.runs / job.folder, away)
        self.queue.delete(job.id)
        remove_folder(away)

    def note(self, job: Job) -> None:
        """Write into its folder whose `job` is, where it has one. Raises PseudowordError."""
        if job.kind in self.kinds and job.folder and (self.host.runs / job.folder).is_dir():
            self.kinds[job.kind].note(job)

    def route_of(self, job: Job) -> str:
        """Where what came of `job` can be seen, below the routes' prefix; "" where only the list tells of it."""
        return self.kinds[job.kind].route_of(job) if job.kind in self.kinds else ""

    def _delete_rest(self) -> None:
        """Delete what a server that was killed did not delete to the end."""
        for away in (self.host.runs / DELETED).glob("*"):
            with suppress(NoSuchJob):
                self.queue.store.delete(away.name)
            with suppress(TrainingError):  # another time
                remove_folder(away)

    def _recovered(self, job: Job) -> Work:
        if job.kind in self.kinds:
            return self.kinds[job.kind].recovered(job)
        return Found("paused", "This program cannot go on with it; use the one that began it.", job)

    def _check_is_here(self, job: Job) -> None:
        if not self.queue.is_here(job):
            raise JobError(f"{job.title} belongs to another server with the same folder of runs; ask that one.")
