"""Checks of training sets on a host with a tiny model, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pseudoword.jobs.set_check.set_check_job import SetCheckJob, SetCheckWatched
from pseudoword.jobs.set_check.set_check_request import CheckRequest
from pseudoword.jobs.set_check.set_checks import SetChecks
from tests.jobs.small_host import PATIENCE_S
from tests.training.small_runs import settings


def request_for(pictures: Sequence[Path], uploaded: bool = False, **changes: object) -> CheckRequest:
    """A check for a small training with these settings changed."""
    return CheckRequest(tuple(pictures), settings(**changes), uploaded)


def ended(job: SetCheckJob) -> SetCheckWatched:
    """How `job` stands after its end."""
    job.wait(PATIENCE_S)
    assert job.has_ended
    return job.watch()


def found_in(checks: SetChecks, folder: Path) -> SetCheckWatched:
    """What a check of `folder` finds."""
    watched = ended(checks.start(request_for([folder])))
    assert watched.state == "finished", watched
    return watched
