"""The trainings of one host: at most one is under way, and those that were interrupted wait in their folders."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..diffusion import DiffusionModel
from ..errors import SettingsError, TrainingError
from ..training.dataset import PictureSet, find_pictures
from ..training.naming import check_new_word
from ..training.run_folder import RunFolder, reporting_failed_writes, write_whole
from ..training.settings import TrainSettings
from ..training.trainer import TrainingRun
from .training_job import TrainingJob
from .words import check_is_free

if TYPE_CHECKING:
    from ..scoring import ClipScorer

SOURCE = "pictures.json"  # in the run's folder: where its training pictures are
UPLOADED = "pictures"  # in the run's folder: those that were uploaded


@dataclass(frozen=True)
class Host:
    """What trainings need of the program they run in.

    `model` and `scorer` are asked for inside `turns`, the lock of whoever uses the model. Every run gets a folder of
    its own in `runs`.
    """

    model: Callable[[], DiffusionModel]
    scorer: Callable[[], ClipScorer | None]
    turns: AbstractContextManager[None]
    runs: Path


class Trainings:
    """Starts trainings on `host`, one at a time, and knows the latest."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._starting = threading.Lock()
        self._latest: TrainingJob | None = None

    @property
    def latest(self) -> TrainingJob | None:
        """The training that is under way, or the one that was last."""
        return self._latest

    def check_name(self, name: str) -> None:
        """Raise SettingsError where no new word can be called `name`."""
        check_new_word(name, self._host.model().text_encoders[0].tokenizer)
        check_is_free(name, RunFolder(self._host.runs / name), self._host.runs)
        if (self._host.runs / name).exists():
            raise SettingsError(
                f"There is a run called {name!r} already; resume it, remove it, or choose another name."
            )

    def start(self, settings: TrainSettings, pictures: Sequence[Path], uploaded: bool) -> TrainingJob:
        """Begin to train on `pictures`, files or folders; those that were `uploaded` are copied to the run's folder.

        Raises SettingsError, DatasetError and TrainingError where it cannot begin; nothing is left behind then.
        """
        with self._starting:
            self._check_is_idle()
            self.check_name(settings.name)
            find_pictures(pictures, settings)
            files = RunFolder(self._host.runs / settings.name)
            try:
                files.make()
                with reporting_failed_writes(files.path):
                    if uploaded:
                        pictures = copy_to(files.path / UPLOADED, pictures)
                    source = [str(path.resolve()) for path in pictures]
                    write_whole(files.path / SOURCE, json.dumps(source).encode())
                    write_whole(files.settings, json.dumps(settings.to_dict(), indent=2).encode())
            except TrainingError:
                shutil.rmtree(files.path, ignore_errors=True)
                raise
            return self._begin(settings, files)

    def interrupted(self) -> list[str]:
        """Names of the runs that have no word yet and are not under way, the newest first."""
        under_way = None if self._latest is None or self._latest.has_ended else self._latest.settings.name
        folders = [path.parent for path in self._host.runs.glob(f"*/{SOURCE}")]
        unfinished = [folder for folder in folders if not (folder / f"{folder.name}.safetensors").exists()]
        unfinished.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        return [folder.name for folder in unfinished if folder.name != under_way]

    def go_on(self, name: str) -> TrainingJob:
        """Continue the interrupted run called `name` from its checkpoint.

        Raises TrainingError where it is not there or cannot be read, DatasetError where its pictures are gone.
        """
        with self._starting:
            self._check_is_idle()
            if name not in self.interrupted():
                raise TrainingError(
                    f"There is no interrupted run called {name!r}; reload the page to see those there are."
                )
            files = RunFolder(self._host.runs / name)
            try:
                settings = TrainSettings.from_dict(json.loads(files.settings.read_bytes()))
            except (OSError, ValueError, TypeError, SettingsError) as problem:
                raise TrainingError(f"The settings of the run {name!r} cannot be read: {problem}") from problem
            return self._begin(settings, files)

    def _check_is_idle(self) -> None:
        if self._latest is not None and not self._latest.has_ended:
            raise TrainingError(
                f"{self._latest.settings.name} is being learned right now; wait for it, or stop or cancel it first."
            )

    def _begin(self, settings: TrainSettings, files: RunFolder) -> TrainingJob:
        def make_run() -> TrainingRun:
            model = self._host.model()
            pictures = pictures_of(files, settings).large_enough(settings.size or model.native_size)
            return TrainingRun(model, settings, pictures, files.path, self._host.scorer())

        self._latest = TrainingJob(settings, files, make_run, self._host.turns)
        return self._latest


def copy_to(folder: Path, pictures: Sequence[Path]) -> list[Path]:
    """Copy files to `folder`, a number before the name of each that is there already; returns the folder."""
    folder.mkdir()
    for number, path in enumerate(pictures):
        target = folder / path.name
        shutil.copyfile(path, folder / f"{number}-{path.name}" if target.exists() else target)
    return [folder]


def pictures_of(files: RunFolder, settings: TrainSettings) -> PictureSet:
    """The training pictures of the run in `files`. Raises TrainingError and DatasetError where they are gone."""
    try:
        source = [Path(path) for path in json.loads((files.path / SOURCE).read_bytes())]
    except (OSError, ValueError, TypeError) as problem:
        raise TrainingError(f"Where the pictures of {settings.name!r} are cannot be read: {problem}") from problem
    return find_pictures(source, settings)
