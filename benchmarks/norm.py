"""Learning the direction of a vector only, at the vocabulary's mean length, against learning its length, too."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from .training import Bench, object_folders, train

OBJECTS = 4
NORMS = ("vocabulary", "free")


def measure(bench: Bench, work: Path) -> dict[str, Any]:
    """Both ways on the first objects: validation loss, likeness and editability at the best step, and length; means."""
    result: dict[str, Any] = {}
    for norm in NORMS:
        runs = [train(bench, source, work / norm / source.name, norm=norm) for source in object_folders()[:OBJECTS]]
        names = ("best validation loss", "best likeness", "best editability")
        result[norm] = {name: round(fmean(run.finished.figures[name] for run in runs), 4) for name in names}
        lengths = [vectors.norm(dim=1).mean().item() for run in runs for vectors in run.embedding.vectors.values()]
        result[norm]["length of the vectors"] = round(fmean(lengths), 4)
        result[norm]["seconds"] = round(fmean(run.seconds for run in runs), 1)
    return result
