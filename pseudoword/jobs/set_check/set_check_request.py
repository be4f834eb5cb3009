"""What is asked for when a training set is to be checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...training.settings import TrainSettings


@dataclass(frozen=True)
class CheckRequest:
    """Which `pictures`, files or folders, are to be checked for a training with `settings`.

    Those that were `uploaded` may lie apart from their captions and are brought together. `clip` is the name of a CLIP
    model, "" for the default; without `round_trips` the diffusion model is only asked for its size.
    """

    pictures: tuple[Path, ...]
    settings: TrainSettings
    uploaded: bool = False
    clip: str = ""
    round_trips: bool = True
