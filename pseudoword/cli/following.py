"""Following a training run to its end, for every command that trains."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..embedding import save_embedding
from ..training.dataset import PictureSet
from ..training.events import Event, Finished, Preparing
from ..training.run_folder import RunFolder
from ..training.settings import TrainSettings
from ..training.trainer import TrainingRun
from .console import Console
from .interruption import Stopped, deferred


@dataclass(frozen=True)
class Outcome:
    """What a finished run left behind: the word's file, pictures that show how it went, and figures."""

    name: str
    embedding: Path
    files: RunFolder
    finished: Finished

    def values(self) -> dict[str, Any]:
        """All of it as JSON values; pictures that were not made are None."""
        pictures = {"curve": self.files.curve, "contact_sheet": self.files.contact_sheet}
        return {
            "word": self.name,
            "embedding": str(self.embedding),
            "folder": str(self.files.path),
            **{what: str(path) if path.exists() else None for what, path in pictures.items()},
            "reason": self.finished.reason,
            "step": self.finished.step,
            "best_step": self.finished.best_step,
            "figures": dict(self.finished.figures),
        }

    def text(self) -> str:
        """All of it for a person, in a few lines."""
        figures = self.finished.figures
        early = (
            " (stopped early, since the validation loss no longer improved)" if self.finished.reason != "steps" else ""
        )
        lines = [
            f"The word {self.name} is in {self.embedding}",
            f"  best at step {self.finished.best_step} of {self.finished.step}{early}",
        ]
        for what in ("validation loss", "likeness", "editability"):
            if f"best {what}" in figures:
                before = f", {figures[f'start {what}']:.3f} before" if f"start {what}" in figures else ""
                lines.append(f"  {what} {figures[f'best {what}']:.3f}{before}")
        shown = [path for path in (self.files.contact_sheet, self.files.curve) if path.exists()]
        lines += [f"  see {' and '.join(map(str, shown))}"] if shown else []
        return "\n".join(lines)


def usable(pictures: PictureSet, size: int, console: Console) -> PictureSet:
    """`pictures` that are large enough for training at `size` pixels; says which were skipped, and why."""
    pictures = pictures.large_enough(size)
    for skip in pictures.skipped:
        console.warn(f"{skip.path.name} was skipped: {skip.reason}.")
    console.note(f"Pictures: {len(pictures.pictures)}.")
    return pictures


def follow(
    training: TrainingRun, settings: TrainSettings, files: RunFolder, command_line: str, console: Console
) -> Outcome:
    """Go through a run to its end and put its best word into its folder.

    Raises Stopped after Ctrl-C, when all is saved, with the `command_line` that goes on.
    """
    if files.checkpoint.exists():
        console.note(f"Going on with the run in {files.path}.")
    finished, step = None, 0
    with contextlib.closing(training.events()) as events:
        first = first_after_preparing(events, console)  # with nothing to save meanwhile: Ctrl-C ends it as usual
        with deferred(lambda: console.note("Stopping, and saving; Ctrl-C once more stops at once.")) as interrupted:
            for event in itertools.chain([first], events):
                console.event(event)
                step = event.step
                if isinstance(event, Finished):
                    finished = event
                elif interrupted():
                    events.close()  # saves
                    raise Stopped(
                        f"Stopped at step {step}, and saved. The same command goes on from there: {command_line}"
                    )
    if finished is None:
        raise RuntimeError("the run ended without saying so")
    path = files.path / f"{settings.name}.safetensors"
    save_embedding(training.result("best"), path, overwrite=True)
    return Outcome(settings.name, path, files, finished)


def first_after_preparing(events: Iterator[Event], console: Console) -> Event:
    """The first event of the training itself; `console` gets those before it, which takes seconds to minutes."""
    for event in events:
        if not isinstance(event, Preparing):
            return event
        console.event(event)
    raise RuntimeError("the run ended without saying so")
