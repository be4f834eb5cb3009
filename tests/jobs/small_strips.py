"""Strips of a tiny word on a tiny model."""

from __future__ import annotations

from collections.abc import Sequence

from pseudoword.inspect.strips import Row, contribution_row
from pseudoword.jobs.host import Host
from pseudoword.jobs.strips.strip_job import StripJob
from pseudoword.jobs.strips.strips import Strips
from pseudoword.jobs.turns import Turns
from tests.inspect.words import random_rows, word
from tests.jobs.small_host import PATIENCE_S

ROW = contribution_row(word(random_rows(3), "my-cup"))


def start(strips: Strips, rows: Sequence[Row] = (ROW,), seeds: Sequence[int] = (7, 8), steps: int = 4) -> StripJob:
    """Begin a strip of 4 shots, or of `rows`."""
    return strips.start(rows, seeds, steps, 5.0)


def ended(job: StripJob) -> StripJob:
    """`job`, after its end."""
    job.wait(PATIENCE_S)
    assert job.has_ended
    return job


def is_free(host: Host) -> bool:
    """Whether nobody has a turn at the model."""
    assert isinstance(host.turns, Turns)
    return not host.turns._is_taken
