"""A host that scores with a tiny CLIP model, for tests."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from pseudoword.jobs.host import Host
from pseudoword.jobs.scoring.clip_models import ClipModels
from pseudoword.jobs.scoring.score_job import ScoreJob
from pseudoword.jobs.scoring.score_request import NamedPicture, ScoreRequest
from pseudoword.jobs.scoring.score_result import ScoreResult
from pseudoword.jobs.scoring.scorings import Scorings
from tests.jobs.small_host import PATIENCE_S, small_host
from tests.scoring.pictures import fill


def scoring_host(folder: Path, clip: Path, **changes: Any) -> Host:
    """A host whose CLIP models are the built-in one and that in `clip`, which is the default."""
    clips = ClipModels(nullcontext(), lambda: [clip])
    return replace(small_host(folder / "runs"), clips=clips, **changes)


def named_pictures(folder: Path, count: int) -> tuple[NamedPicture, ...]:
    """So many pictures, each called by its number."""
    paths = fill(folder, count)
    return tuple(NamedPicture(f"picture {number}", path) for number, path in enumerate(paths))


def ended(job: ScoreJob) -> ScoreJob:
    """`job`, after its end."""
    job.wait(PATIENCE_S)
    assert job.has_ended
    return job


def result_of(scorings: Scorings, request: ScoreRequest) -> ScoreResult:
    """What comes of scoring so."""
    watched = ended(scorings.start(request)).watch()
    assert watched.state == "finished" and watched.result is not None, watched
    return watched.result
