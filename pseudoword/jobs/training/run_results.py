"""What is kept of a run's history after its end: in memory, and on the list of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def without_steps(records: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """`records` without the single steps, but the last: all together they would be the larger part of the memory."""
    last = max((place for place, record in enumerate(records) if record["event"] == "step"), default=-1)
    return tuple(record for place, record in enumerate(records) if record["event"] != "step" or place == last)


def result_of(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What came of a run, for the list of jobs, from its `records`: best step and loss, and its figures by name."""
    found: dict[str, Any] = {}
    for record in records:
        if record["event"] == "validated":
            found.update(best_step=record["best_step"], best_loss=record["best_loss"])
        elif record["event"] == "finished":
            found.update(record["figures"])
    return found
