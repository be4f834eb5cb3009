"""What a training run says of itself, one event at a time.

The loop belongs to the caller: `TrainingRun.events()` yields these, and a terminal bar, a panel or a log draws them.
Each event that is worth keeping also becomes one line of the run's `history.jsonl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

FinishReason = Literal["steps", "early stop"]


@dataclass(frozen=True)
class Preparing:
    """Before the first step, `done` of `total` pictures are encoded; `step` is where the run will begin or go on."""

    step: int
    done: int
    total: int


@dataclass(frozen=True)
class StepDone:
    """One optimiser step; `seconds` is its own time, `seconds_left` the estimate for the rest of the run."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    seconds: float
    seconds_left: float


@dataclass(frozen=True)
class Validated:
    """The loss on the fixed validation set; `stale` counts validations since the last one that gained enough."""

    step: int
    loss: float
    best_step: int
    best_loss: float
    stale: int


@dataclass(frozen=True)
class PreviewMade:
    """Pictures of the word at `step`, with the two figures of the textual-inversion paper where a scorer was given.

    `pictures` are paths inside the run's folder. Likeness and editability are cosines in [-1, 1].
    """

    step: int
    pictures: tuple[Path, ...]
    likeness: float | None
    editability: float | None


@dataclass(frozen=True)
class Saved:
    """A checkpoint, complete on the disk."""

    step: int
    path: Path


@dataclass(frozen=True)
class Warned:
    """Something went wrong and was put right; `message` is a sentence for the user."""

    step: int
    message: str


@dataclass(frozen=True)
class Finished:
    """The run is over. `figures` holds numbers by name.

    They are the seconds trained, and loss, likeness and editability at start, best and last, where they were measured.
    """

    reason: FinishReason
    step: int
    best_step: int
    figures: Mapping[str, float] = field(default_factory=dict)


Event: TypeAlias = Preparing | StepDone | Validated | PreviewMade | Saved | Warned | Finished

_RECORD_NAMES: dict[type, str] = {
    Preparing: "preparing",
    StepDone: "step",
    Validated: "validated",
    PreviewMade: "preview",
    Saved: "saved",
    Warned: "warned",
    Finished: "finished",
}


def to_record(event: Event, folder: Path | None = None) -> dict[str, Any]:
    """`event` as plain JSON values with its kind under "event"; paths are made relative to `folder` if given."""
    record: dict[str, Any] = {"event": _RECORD_NAMES[type(event)], **asdict(event)}
    for key, value in record.items():
        if isinstance(value, Path):
            record[key] = _relative(value, folder)
        elif isinstance(value, tuple):
            record[key] = [_relative(path, folder) for path in value]
    return record


def _relative(path: Path, folder: Path | None) -> str:
    if folder is not None and path.is_relative_to(folder):
        path = path.relative_to(folder)
    return path.as_posix()
