"""A run that is in its folder already: whether it can go on, and how it makes way for a new one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..diffusion import DiffusionModel
from ..errors import TrainingError
from ..training.checkpoint import identify, load_fitting
from ..training.dataset import PictureSet
from ..training.run_folder import RunFolder, locked
from ..training.settings import TrainSettings


def check_goes_on(files: RunFolder, model: DiffusionModel, settings: TrainSettings, pictures: PictureSet) -> None:
    """Raise TrainingError where the folder's run, if there is one, was started with something else."""
    load_fitting(files.checkpoint, identify(model, settings, pictures))


def remove_run(files: RunFolder) -> None:
    """Remove what a run wrote into its folder, and nothing else; without a checkpoint there is none.

    Raises TrainingError where another process trains there, or the system refuses.
    """
    if not files.checkpoint.exists():
        return
    with locked(files.path):
        try:
            for path in _written(files):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise TrainingError(
                f"{error.filename} of the earlier run cannot be removed ({error.strerror}); close programs that have "
                "it open, or train into another folder."
            ) from error


def _written(files: RunFolder) -> Iterator[Path]:
    """The checkpoint comes last: as long as it is there, the rest is known to belong to a run."""
    words = [path for which in ("best", "last") for path in sorted((files.path / which).glob("*.safetensors"))]
    yield from {files.path / word.name for word in words}
    yield from words
    yield from sorted(files.previews.glob("step-*.png"))
    yield from (files.curve, files.contact_sheet, files.history, files.settings, files.checkpoint)
