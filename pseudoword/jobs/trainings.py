"""The trainings of one host: at most one is under way, and those that were interrupted wait in their folders."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

from ..diffusion import BetweenPasses
from ..errors import SettingsError, TrainingError
from ..training.captions import BUILT_IN_TEMPLATES
from ..training.dataset import PictureSet, find_pictures
from ..training.naming import check_new_word
from ..training.run_folder import RunFolder, reporting_failed_writes, write_whole
from ..training.settings import TrainSettings
from ..training.trainer import TrainingRun
from ..training.vectors import given_start
from .folders import check_readable
from .host import Host
from .training_job import TrainingJob
from .words import check_is_free

SOURCE = "pictures.json"  # in the run's folder: where its training pictures are
UPLOADED = "pictures"  # in the run's folder: those that were uploaded


class Trainings:
    """Starts trainings on `host`, one at a time, and knows the latest."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._starting = threading.Lock()
        self._latest: TrainingJob | None = None

    @property
    def host(self) -> Host:
        """The program it runs in."""
        return self._host

    @property
    def latest(self) -> TrainingJob | None:
        """The training that is under way, or the one that was last."""
        return self._latest

    def check_name(self, name: str) -> None:
        """Raise SettingsError where no new word can be called `name`."""
        check_new_word(name, self._host.model().text_encoders[0].tokenizer)
        check_is_free(name, RunFolder(self._host.runs / name), self._host.runs)
        self._host.refuse_name(name)
        if (self._host.runs / name).exists():
            raise SettingsError(
                f"There is a run called {name!r} already; resume it, remove it, or choose another name."
            )

    def start(self, settings: TrainSettings, pictures: Sequence[Path], uploaded: bool) -> TrainingJob:
        """Begin to train on `pictures`, files or folders; those that were `uploaded` are copied to the run's folder.

        Raises PseudowordError where what it was given is wrong, or it cannot begin; nothing is left behind then.
        """
        with self._starting:
            self._check_is_idle()
            self.check_name(settings.name)
            self._check_files(settings, () if uploaded else pictures)
            find_pictures(pictures, settings)
            given_start(self._host.model(), settings, self._host.scorer())
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

    def earlier(self) -> list[str]:
        """Names of the runs that are not under way, the newest first."""
        under_way = None if self._latest is None or self._latest.has_ended else self._latest.settings.name
        folders = [path.parent for path in self._host.runs.glob(f"*/{SOURCE}")]
        folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        return [folder.name for folder in folders if folder.name != under_way]

    def interrupted(self) -> list[str]:
        """Those of `earlier` that have no word yet."""
        runs = self._host.runs
        return [name for name in self.earlier() if not (runs / name / f"{name}.safetensors").exists()]

    def remove(self, name: str) -> None:
        """Remove the earlier run called `name` with all that is in its folder. Raises TrainingError."""
        with self._starting:
            if name not in self.earlier():
                raise TrainingError(f"There is no earlier run called {name!r}; reload the page to see those there are.")
            try:
                shutil.rmtree(self._host.runs / name)
            except OSError as problem:
                raise TrainingError(f"The run {name!r} could not be removed whole ({problem.strerror}).") from problem

    def go_on(self, name: str) -> TrainingJob:
        """Continue the interrupted run called `name` from its checkpoint.

        Raises TrainingError where it is not there or cannot be read, DatasetError where its pictures are gone.
        """
        with self._starting:
            self._check_is_idle()
            if name not in self.interrupted():
                raise TrainingError(f"There is no interrupted run called {name!r} that could go on.")
            files = RunFolder(self._host.runs / name)
            try:
                settings = TrainSettings.from_dict(json.loads(files.settings.read_bytes()))
            except (OSError, ValueError, TypeError, SettingsError) as problem:
                raise TrainingError(f"The settings of the run {name!r} cannot be read: {problem}") from problem
            return self._begin(settings, files)

    def _check_files(self, settings: TrainSettings, pictures: Sequence[Path]) -> None:
        """Raise SettingsError for a file outside of the host's folders, and for templates that are not there."""
        templates = None if settings.templates in BUILT_IN_TEMPLATES else Path(settings.templates)
        if self._host.folders is not None:
            offered = {*self._host.words().values(), *self._host.templates().values()}
            for path in (settings.start_file, templates, *pictures):
                if path is not None and path not in offered:
                    check_readable(path, self._host.folders)
        if templates is not None and not templates.is_file():
            raise SettingsError(f"templates is {settings.templates!r}, which is no file; write object or style.")

    def _check_is_idle(self) -> None:
        if self._latest is not None and not self._latest.has_ended:
            raise TrainingError(
                f"{self._latest.settings.name} is being learned right now; wait for it, or stop or cancel it first."
            )

    def _begin(self, settings: TrainSettings, files: RunFolder) -> TrainingJob:
        def make_run(between_passes: BetweenPasses) -> TrainingRun:
            model = self._host.model()
            pictures = pictures_of(files, settings).large_enough(settings.size or model.native_size)
            return TrainingRun(model, settings, pictures, files.path, self._host.scorer(), between_passes)

        host = self._host
        self._latest = TrainingJob(settings, files, make_run, host.turns, host.slice_s, host.publish)
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
