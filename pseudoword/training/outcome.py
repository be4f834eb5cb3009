"""What a run leaves behind: the word as an embedding that says how it was made, and the figures of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from torch import Tensor

from ..diffusion import DiffusionModel
from ..embedding import Embedding, EmbeddingMetadata
from .settings import TrainSettings

RECIPE_SETTINGS = (
    "learning_rate",
    "warmup",
    "decay",
    "batch",
    "accumulate",
    "norm",
    "hold",
    "min_snr",
    "weight_decay",
    "clip_grad",
)


@dataclass(frozen=True)
class TrainingFacts:
    """What the embedding says of how it was trained; `validation_loss` is None where nothing was validated."""

    step: int
    start_words: str
    picture_count: int
    size: int
    validation_loss: float | None


def make_embedding(
    model: DiffusionModel, settings: TrainSettings, vectors: Mapping[str, Tensor], facts: TrainingFacts
) -> Embedding:
    """The word with `vectors` (n, D) by encoder, ready to be saved. No path of this machine goes into it."""
    recipe = {key: value for key, value in settings.to_dict().items() if key in RECIPE_SETTINGS}
    extra = {
        "pseudoword.pictures": str(facts.picture_count),
        "pseudoword.learning_rate": str(settings.learning_rate),
        "pseudoword.seed": str(settings.seed),
        "pseudoword.start_words": facts.start_words,
    }
    if facts.validation_loss is not None:
        extra["pseudoword.validation_loss"] = f"{facts.validation_loss:.6f}"
    metadata = EmbeddingMetadata(
        title=settings.name,
        trigger_phrase=settings.name,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        resolution=f"{facts.size}x{facts.size}",
        trained_on=model.title,
        trained_on_sha256=model.sha256,
        steps=facts.step,
        clip_skip=settings.clip_skip,
        recipe=json.dumps({"method": "textual inversion", **recipe}),
        extra=extra,
    )
    return Embedding(settings.name, dict(vectors), metadata)


def figures(records: Sequence[Mapping[str, Any]], best_step: int, last_step: int, seconds: float) -> dict[str, float]:
    """Numbers by name: the seconds trained; validation loss, likeness and editability at the start, best and last step.

    What was not measured at one of these steps is left out.
    """
    found: dict[str, float] = {"seconds": seconds}
    for when, step in (("start", 0), ("best", best_step), ("last", last_step)):
        for record in records:
            if record["step"] != step:
                continue
            if record["event"] == "validated":
                found[f"{when} validation loss"] = record["loss"]
            elif record["event"] == "preview" and record["likeness"] is not None:
                found[f"{when} likeness"] = record["likeness"]
                found[f"{when} editability"] = record["editability"]
    return found
