"""The states of a job, and which may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from ...errors import JobError

JobState: TypeAlias = Literal["waiting", "running", "paused", "finished", "stopped", "cancelled", "failed"]
"""waiting: for its turn; running: it has it; paused: saved, and it wants none; stopped: ended early, its result kept;
cancelled: ended, and nothing of it kept; failed: it cannot go on as things are, and may be tried again."""

ENDED: tuple[JobState, ...] = ("finished", "stopped", "cancelled", "failed")
OPEN: tuple[JobState, ...] = ("running", "waiting", "paused")

FOLLOWING: Mapping[JobState, frozenset[JobState]] = {
    "waiting": frozenset({"running", "paused", "stopped", "cancelled", "failed"}),
    "running": frozenset({"waiting", "paused", "finished", "stopped", "cancelled", "failed"}),  # waiting: a restart
    "paused": frozenset({"waiting", "running", "stopped", "cancelled", "failed"}),
    "failed": frozenset({"waiting", "running"}),
    "finished": frozenset(),
    "stopped": frozenset(),
    "cancelled": frozenset(),
}


def check_may_follow(state: JobState, wanted: JobState) -> None:
    """Raise JobError where a job that is in `state` cannot become `wanted`."""
    if wanted not in FOLLOWING[state]:
        raise JobError(f"A job that is {state} cannot become {wanted}; look at it again, and see how it stands now.")
