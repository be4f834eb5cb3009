"""Which state of a job may follow which."""

from __future__ import annotations

from typing import get_args

import pytest

from pseudoword.errors import JobError
from pseudoword.jobs.store.job_states import ENDED, FOLLOWING, OPEN, JobState, check_may_follow

STATES = get_args(JobState)


def test_every_state_is_either_open_or_ended() -> None:
    assert sorted((*OPEN, *ENDED)) == sorted(STATES) == sorted(FOLLOWING)


@pytest.mark.parametrize(
    "way",
    [
        "waiting running finished",
        "waiting running paused waiting running stopped",
        "waiting paused waiting cancelled",
        "waiting running failed waiting running finished",
        "running waiting running",  # a restart of the server
        "running paused stopped",
        "waiting failed",
    ],
)
def test_the_ways_that_a_job_goes(way: str) -> None:
    states = way.split()
    for state, following in zip(states, states[1:], strict=False):
        check_may_follow(state, following)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["finished", "stopped", "cancelled"])
def test_what_has_ended_stays_so(state: JobState) -> None:
    for wanted in STATES:
        with pytest.raises(JobError, match=f"that is {state} cannot become {wanted}"):
            check_may_follow(state, wanted)


@pytest.mark.parametrize(
    ("state", "wanted"), [("waiting", "finished"), ("paused", "finished"), ("failed", "paused"), ("failed", "finished")]
)
def test_nothing_is_finished_that_did_not_run(state: JobState, wanted: JobState) -> None:
    with pytest.raises(JobError):
        check_may_follow(state, wanted)
