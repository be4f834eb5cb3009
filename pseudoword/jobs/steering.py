"""What people do with jobs on the list: every order by the job's id, and only where the job and the person allow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import JobError, NotYours
from ..training.run_folder import RunFolder
from .found_runs import write_facts
from .job_states import JobState
from .job_store import Job
from .people import Person
from .trainings import Trainings


@dataclass(frozen=True)
class Order:
    """In which states an order makes sense, and what a job is then called that got it."""

    sensible: tuple[JobState, ...]
    participle: str


ORDERS: Mapping[str, Order] = {
    "pause": Order(("waiting", "running"), "paused"),
    "resume": Order(("paused", "failed"), "resumed"),
    "stop": Order(("running", "paused"), "stopped"),
    "cancel": Order(("waiting", "running", "paused"), "cancelled"),
}
PRIORITIES = {-1: "after all others", 0: "usual", 1: "before all others"}


def steer(trainings: Trainings, id: str, order: str, person: Person) -> None:
    """Give `order`, one of `ORDERS`, to a job. Raises NotYours, NoSuchJob, and JobError where it makes no sense now."""
    job = _own(trainings, id, person)
    wanted = ORDERS[order]
    if job.state not in wanted.sensible:
        *most, last = wanted.sensible
        states = f"{', '.join(most)} or {last}"
        raise JobError(f"{job.title} is {job.state}; only a job that is {states} can be {wanted.participle}.")
    getattr(trainings.training(id), order)()


def share(trainings: Trainings, id: str, shared: bool, person: Person) -> None:
    """Let everybody see a job's pictures and settings, or its owner and admins alone. Raises NotYours, NoSuchJob."""
    job = trainings.queue.store.change(_own(trainings, id, person).id, shared=shared)
    files = RunFolder(trainings.host.runs / job.folder)
    if job.folder and files.path.is_dir():
        write_facts(files, job)


def move(trainings: Trainings, id: str, before: str | None, person: Person) -> None:
    """Put a job that waits before another of the same owner, or last of his. Raises NotYours, NoSuchJob, JobError."""
    trainings.queue.move(_own(trainings, id, person).id, before)


def prefer(trainings: Trainings, id: str, priority: int, person: Person) -> None:
    """Give a job another priority. Raises NotYours: only admins let one go before those of others."""
    job = _own(trainings, id, person)
    if priority not in PRIORITIES:
        raise JobError(f"The priority is {priority}; it can be {', '.join(map(str, PRIORITIES))}.")
    if priority > max(job.priority, 0) and not person.is_admin:
        raise NotYours("Only an admin lets a job go before those of others; put it in another order among your own.")
    trainings.queue.store.change(id, priority=priority)


def delete(trainings: Trainings, id: str, person: Person) -> None:
    """Delete a job with all its files. Raises NotYours, NoSuchJob, JobError for one that is under way."""
    trainings.delete(_own(trainings, id, person))


def _own(trainings: Trainings, id: str, person: Person) -> Job:
    trainings.open()
    trainings.queue.settle()
    job = trainings.queue.store.job(id)
    person.check_may(job)
    return job
