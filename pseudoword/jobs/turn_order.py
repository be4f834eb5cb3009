"""In which order those who wait get their turn, and when that will be about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .store.job_store import Job


@dataclass(frozen=True)
class Estimate:
    """When a job begins and ends, in seconds from now; None where nothing is known about it."""

    begins: float | None
    ends: float | None


def in_turn(waiting: Sequence[Job], last_begun: Mapping[str, float]) -> list[Job]:
    """The jobs in the order in which they get their turn.

    Higher priority comes first. Then people take turns: the next is whoever's latest job began longest ago
    (`last_begun`, by owner), with the first of his own.
    """
    left = sorted(waiting, key=lambda job: (job.position, job.created))
    began, order = dict(last_begun), list[Job]()
    later = max([0.0, *began.values()])
    while left:
        job = min(left, key=lambda one: (-one.priority, began.get(one.owner, 0.0)))  # the first of equals
        left.remove(job)
        order.append(job)
        later += 1
        began[job.owner] = later
    return order


def estimates(
    order: Sequence[Job],
    places: int,
    seconds_left: Sequence[float | None],
    seconds_of: Callable[[Job], float | None],
) -> dict[str, Estimate]:
    """By id when the jobs in `order` begin and end, where `places` run at a time.

    `seconds_left` are those of the jobs that run now, `seconds_of` how long one that waits will take.
    """
    free: list[float | None] = [*seconds_left, *[0.0] * (places - len(seconds_left))]
    found = {}
    for job in order:
        # A place of which nothing is known may be free at any time: what comes after it is not known either.
        begins = None if None in free else min(one for one in free if one is not None)
        seconds = seconds_of(job)
        ends = None if begins is None or seconds is None else begins + seconds
        found[job.id] = Estimate(begins, ends)
        free[free.index(begins)] = ends
    return found


def position_between(own: Sequence[Job], id: str, before: str | None) -> float:
    """The position that puts the job called `id` before the one called `before`, or last, among its owner's, in order.

    Raises ValueError where one of them is not among `own`.
    """
    ids = [job.id for job in own]
    ids.index(id)
    rest = [job for job in own if job.id != id]
    if before is None:
        return rest[-1].position + 1 if rest else 0.0
    place = [job.id for job in rest].index(before)
    after = rest[place].position
    return after - 1 if place == 0 else (rest[place - 1].position + after) / 2
