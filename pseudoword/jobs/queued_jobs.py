"""Jobs of the queue that somebody watches by an id that nobody can guess: each has a folder, and outlives a restart.

In `.jobs/ID` of the runs are `job.json`, the job as the list has it, and what the job itself needs to go on and what it
made. The list's own id is everybody's to see, and leads to none of that.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from ..embedding.whole_file import write_whole
from ..errors import EmbeddingFileError, JobError, LimitReached, PseudowordError
from .job_board import JobBoard
from .job_queue import Work
from .server.people import Person
from .store.found_runs import INTERRUPTED, Found
from .store.job_states import ENDED, OPEN, JobState
from .store.job_store import Job
from .watched_job import WAITS, Queued, State, WatchedJob

FOLDER = ".jobs"  # among the runs
NOTE = "job.json"
KINDS = ("layers", "scoring", "indexing")
MOST_OPEN = 50  # of one kind and person: each has a folder
KEPT_ENDED = 100  # of one person; the oldest are forgotten, with their folders
MOST_LOADED = 16
SECRET = re.compile(r"[\w-]{43}")
SHOWN_AS: Mapping[JobState, State] = {
    "waiting": "waiting",
    "paused": "paused",
    "finished": "finished",
    "stopped": "cancelled",
    "failed": "failed",
}

AnyWork = TypeVar("AnyWork", bound=WatchedJob)


class QueuedJobs(Generic[AnyWork]):
    """The jobs of one `kind` on `board`. `load` makes the work of a folder, by its id.

    What came of a job is seen below `route`, with its id.
    """

    def __init__(self, board: JobBoard, kind: str, load: Callable[[str, Queued], AnyWork], route: str = "") -> None:
        self._board, self._kind, self._load, self._route = board, kind, load, route
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, AnyWork] = OrderedDict()  # such as have ended, the latest last
        board.kinds[kind] = self

    # ---- for those who ask for work --------------------------------------------------------------------------------

    def start(
        self,
        person: Person,
        title: str,
        settings: Mapping[str, Any],
        write: Callable[[Path], None],
        total: int = 0,
    ) -> AnyWork:
        """Let a new job of `person` wait for its turn; `write` puts what it needs into its folder.

        `settings` and `title` are what the list shows. Raises LimitReached, and JobError where it cannot be kept.
        """
        self._board.open()
        limits, store, runs = self._board.host.limits, self._board.queue.store, self._board.host.runs
        limits.check_disk(runs)
        if store.jobs(owner=person.owner, states=OPEN, kinds=[self._kind], count=0)[1] >= MOST_OPEN:
            raise LimitReached(f"{MOST_OPEN} such jobs of yours have not ended; wait, or cancel some on the jobs page.")
        job = Job(
            self._kind,
            person.owner,
            title,
            settings,
            f"{FOLDER}/{secrets.token_urlsafe()}",
            message=WAITS,
            total=total,
        )
        folder = self._folder(job)
        try:
            folder.mkdir(parents=True)
            write(folder)
            self.note(job)
            work = self._work(job)
            self._board.queue.submit(job, work, limits.jobs)
        except (OSError, EmbeddingFileError) as problem:
            shutil.rmtree(folder, ignore_errors=True)
            reason = getattr(problem, "strerror", None) or problem
            raise JobError(f"The job cannot be kept ({reason}); make room on the server's disk.") from problem
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._forget_old(person)
        return work

    def find(self, id: str) -> AnyWork | None:
        """The job called `id`, from its folder where the queue has it no more; None where there is none."""
        found = self.in_memory(id)
        row = self.row(id) if found is None else None
        if row is None or row.state not in ENDED:
            return found
        key = f"{id} {row.ended}"  # one that failed may be tried again
        with self._lock:
            if key not in self._loaded:
                try:
                    self._loaded[key] = self._work(row)
                except PseudowordError:  # its folder is damaged
                    return None
                while len(self._loaded) > MOST_LOADED:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key]

    def in_memory(self, id: str) -> AnyWork | None:
        """The job called `id` where the queue has it."""
        for work in self._board.queue.works().values():
            if isinstance(work, WatchedJob) and work.id == id and self._kind == work.KIND:
                return cast(AnyWork, work)
        return None

    def row(self, id: str) -> Job | None:
        """The job called `id` as the list has it; None where it has none, or cannot be read."""
        try:
            found = self._board.queue.store.of_folder(f"{FOLDER}/{id}") if SECRET.fullmatch(id) else None
        except JobError:
            return None
        return found if found is not None and found.kind == self._kind else None

    def check_may(self, id: str, person: Person) -> None:
        """Raise NotYours where the list has a job called `id` that `person` may not steer: who sees it knows its id."""
        row = self.row(id)
        if row is not None:
            person.check_may(row)

    # ---- as a kind of jobs -----------------------------------------------------------------------------------------

    def unlisted(self, known: Collection[str]) -> Iterator[Job]:
        """As in `JobKind`."""
        found = [self._noted(path.parent) for path in (self._board.host.runs / FOLDER).glob(f"*/{NOTE}")]
        ours = [job for job in found if job is not None and job.kind == self._kind and job.folder not in known]
        for job in sorted(ours, key=lambda one: one.created):
            if job.state in ENDED:
                yield replace(job, server="")
            else:
                yield replace(job, server="", state="paused", message=INTERRUPTED)

    def recovered(self, job: Job) -> Work:
        """As in `JobKind`."""
        if not self._folder(job).is_dir():
            return Found("cancelled", "Its folder is gone.", job)
        noted = self._noted(self._folder(job))
        if noted is not None and noted.state in ENDED:  # it was killed between that and the list of jobs
            return Found(noted.state, noted.message, replace(job, done=noted.done, total=noted.total), noted.result)
        goes_on = job.state == "waiting" or (job.state == "running" and self._board.host.resumes)
        message = WAITS if goes_on else INTERRUPTED if job.state == "running" else job.message
        try:
            return self._work(replace(job, state="waiting" if goes_on else "paused", message=message))
        except PseudowordError as problem:
            return Found("failed", str(problem), job)

    def brought_back(self, job: Job) -> AnyWork:
        """As in `JobKind`."""
        return self._work(replace(job, state="paused"))

    def note(self, job: Job) -> None:
        """As in `JobKind`."""
        write_whole(self._folder(job) / NOTE, (json.dumps(asdict(job), indent=2) + "\n").encode(), overwrite=True)

    def route_of(self, job: Job) -> str:
        """As in `JobKind`."""
        return f"{self._route}/{Path(job.folder).name}" if self._route and job.folder else ""

    # ---- of one job ------------------------------------------------------------------------------------------------

    def _work(self, job: Job) -> AnyWork:
        queued = Queued(
            self._folder(job),
            lambda: self._heard(job.id),
            SHOWN_AS.get(job.state, "paused"),
            job.message,
            job.done,
            job.total,
            float(job.result.get("seconds", 0.0)),
        )
        return self._load(Path(job.folder).name, queued)

    def _heard(self, id: str) -> None:
        """The job of the list that is called `id` has changed."""
        queue = self._board.queue
        work = queue.work(id)
        standing = None if work is None else work.standing()
        if standing is not None and standing.state in ENDED:
            with suppress(PseudowordError, OSError):  # its work is done, and the list says so in any case
                job = queue.store.job(id)
                if standing.state == "cancelled":
                    shutil.rmtree(self._folder(job), ignore_errors=True)
                elif job.folder:
                    told: dict[str, Any] = {"done": standing.done, "total": standing.total, "result": standing.result}
                    ended = job.ended or time.time()
                    self.note(replace(job, state=standing.state, message=standing.message, ended=ended, **told))
        queue.heard(id)

    def _noted(self, folder: Path) -> Job | None:
        """The job that its folder speaks of; None where that cannot be read."""
        try:
            return Job(**{**json.loads((folder / NOTE).read_bytes()), "folder": f"{FOLDER}/{folder.name}"})
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def _folder(self, job: Job) -> Path:
        return self._board.host.runs / (job.folder or f"{FOLDER}/.{job.id}")  # of one without: where nothing is

    def _forget_old(self, person: Person) -> None:
        """Delete the oldest that have ended, where the person has very many."""
        with suppress(PseudowordError):  # another time
            for job in self._board.queue.store.jobs(owner=person.owner, states=ENDED, kinds=KINDS, start=KEPT_ENDED)[0]:
                self._board.delete(job)


def cancelled(job: AnyWork, listed: QueuedJobs[Any] | None, person: Person) -> AnyWork:
    """`job`, which ends soon. Raises NotYours where it is `listed` as somebody else's: who sees it knows its id."""
    if listed is not None:
        listed.check_may(job.id, person)
    job.cancel()
    return job
