"""What people do with jobs on the list: every order by the job's id, and only where the job and the person allow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import JobError, NotYours
from .job_board import JobBoard
from .job_queue import SteeringOrder
from .server.people import Person
from .store.job_states import JobState
from .store.job_store import Job


@dataclass(frozen=True)
class Order:
    """In which states an order makes sense, and what a job is then called that got it."""

    sensible: tuple[JobState, ...]
    participle: str


ORDERS: Mapping[SteeringOrder, Order] = {
    "pause": Order(("waiting", "running"), "paused"),
    "resume": Order(("paused", "failed"), "resumed"),
    "stop": Order(("running", "paused"), "stopped"),
    "cancel": Order(("waiting", "running", "paused"), "cancelled"),
}
PRIORITIES = {-1: "after all others", 0: "usual", 1: "before all others"}


def steer(board: JobBoard, id: str, order: SteeringOrder, person: Person) -> None:
    """Give `order`, one of `ORDERS`, to a job. Raises NotYours, NoSuchJob, and JobError where it makes no sense now."""
    job = _own(board, id, person)
    wanted = ORDERS[order]
    if job.state not in wanted.sensible:
        *most, last = wanted.sensible
        states = f"{', '.join(most)} or {last}"
        raise JobError(f"{job.title} is {job.state}; only a job that is {states} can be {wanted.participle}.")
    board.steered(id).follow(order)


def share(board: JobBoard, id: str, shared: bool, person: Person) -> None:
    """Let everybody see a job's pictures and settings, or its owner and admins alone. Raises NotYours, NoSuchJob."""
    job = board.queue.store.change(_own(board, id, person).id, shared=shared)
    board.note(job)


def move(board: JobBoard, id: str, before: str | None, person: Person) -> None:
    """Put a job that waits before another of the same owner, or last of his. Raises NotYours, NoSuchJob, JobError."""
    board.queue.move(_own(board, id, person).id, before)


def prefer(board: JobBoard, id: str, priority: int, person: Person) -> None:
    """Give a job another priority. Raises NotYours: only admins let one go before those of others."""
    job = _own(board, id, person)
    if priority not in PRIORITIES:
        raise JobError(f"The priority is {priority}; it can be {', '.join(map(str, PRIORITIES))}.")
    if priority > max(job.priority, 0) and not person.is_admin:
        raise NotYours("Only an admin lets a job go before those of others; put it in another order among your own.")
    board.queue.store.change(id, priority=priority)


def delete(board: JobBoard, id: str, person: Person) -> None:
    """Delete a job with all its files. Raises NotYours, NoSuchJob, JobError for one that is under way."""
    board.delete(_own(board, id, person))


def _own(board: JobBoard, id: str, person: Person) -> Job:
    job = board.job(id)
    person.check_may(job)
    return job
