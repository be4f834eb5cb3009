"""The trainings of one host: one has its turn, others wait, and what was interrupted is found again."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ...diffusion import BetweenPasses
from ...errors import JobError, ModelError, PseudowordError, SettingsError, TrainingError
from ...training.captions import BUILT_IN_TEMPLATES
from ...training.dataset import files_without, find_pictures
from ...training.naming import check_new_word
from ...training.run_folder import RunFolder, reporting_failed_writes, write_whole
from ...training.settings import TrainSettings
from ...training.trainer import TrainingRun
from ...training.vectors import given_start
from ..host import Host
from ..job_board import JobBoard
from ..job_queue import JobQueue, Work
from ..library.words import check_is_free
from ..server.folders import check_may_name, check_pictures_may_be_named
from ..server.measures import TimedTurns
from ..server.people import ALONE, Person
from ..set_check.set_checks import SetChecks
from ..store.found_runs import (
    INTERRUPTED,
    SOURCE,
    Found,
    ending,
    found_jobs,
    read_settings,
    steps_saved,
    word_of,
    write_facts,
)
from ..store.job_store import Job
from .run_files import UPLOADED, changed_at, copy_to, pictures_of, remove_folder
from .training_job import WAITS, TrainingJob


class Trainings:
    """Starts trainings on `host`, which get their turns one after the other, and knows the latest."""

    def __init__(self, host: Host, board: JobBoard | None = None) -> None:
        self._host = host
        self.checks = SetChecks(host)
        self.board = JobBoard(host) if board is None else board
        self.board.kinds["training"] = self
        self._queue = self.board.queue
        self._starting = threading.Lock()

    @property
    def host(self) -> Host:
        """The program it runs in."""
        return self._host

    @property
    def queue(self) -> JobQueue:
        """Where its trainings wait."""
        return self._queue

    def open(self) -> None:
        """Find what there was before this start; done before anything else that needs it. Raises JobError."""
        self.board.open()

    def end(self) -> list[str]:
        """Save what is under way, begin nothing more; returns the names of those that can go on at the next start."""
        self.checks.end()
        under_way = [job for job in self._in_memory() if job.standing().state == "running"]
        self.board.close()
        return [job.settings.name for job in under_way if not job.has_ended]

    # ---- what there is ---------------------------------------------------------------------------------------------

    def jobs(self) -> list[TrainingJob]:
        """The trainings that are in memory, the latest first."""
        with suppress(JobError):  # who starts or lists jobs is told; those that are here go on in any case
            self.open()
        return self._in_memory()

    def _in_memory(self) -> list[TrainingJob]:
        return [work for work in reversed(self._queue.works().values()) if isinstance(work, TrainingJob)]

    @property
    def latest(self) -> TrainingJob | None:
        """The training that is under way, or the one that was last."""
        return self.followed_by(ALONE)

    def followed_by(self, person: Person) -> TrainingJob | None:
        """The training of `person` that is under way, or the one whose state changed last."""
        jobs = [job for job in self.jobs() if person == ALONE or job.owner == person.owner]
        under_way = [job for job in jobs if job.standing().state == "running"]
        return next(iter(under_way), None) or max(jobs, key=lambda job: job.changed_at, default=None)

    def called(self, name: str) -> TrainingJob | None:
        """The latest training in memory that is called `name`."""
        return next((job for job in self.jobs() if job.settings.name == name), None)

    def earlier(self, person: Person = ALONE) -> list[str]:
        """Names of the runs that are not under way and that `person` may steer, the newest first."""
        self.open()
        under_way = {job.settings.name for job in self.jobs() if not (job.has_ended or job.is_at_rest)}
        folders = [path.parent for path in self._host.runs.glob(f"*/{SOURCE}") if path.parent.name not in under_way]
        folders.sort(key=changed_at, reverse=True)
        if person.is_admin:
            return [folder.name for folder in folders]
        own = {job.folder for job in self._queue.store.jobs(owner=person.owner)[0]}
        return [folder.name for folder in folders if folder.name in own]

    def interrupted(self, person: Person = ALONE) -> list[str]:
        """Those of `earlier` that have no word yet."""
        runs = self._host.runs
        return [name for name in self.earlier(person) if not word_of(RunFolder(runs / name)).exists()]

    def check_name(self, name: str) -> None:
        """Raise SettingsError where no new word can be called `name`."""
        check_new_word(name, self._host.model().text_encoders[0].tokenizer)
        check_is_free(name, RunFolder(self._host.runs / name), self._host.runs)
        self._host.refuse_name(name)
        if (self._host.runs / name).exists():
            raise SettingsError(
                f"There is a run called {name!r} already; resume it, remove it, or choose another name."
            )

    # ---- what can be done ------------------------------------------------------------------------------------------

    def start(
        self,
        settings: TrainSettings,
        pictures: Sequence[Path],
        uploaded: bool,
        person: Person = ALONE,
        left_out: Collection[Path] = (),
    ) -> TrainingJob:
        """Train on `pictures`, files or folders, as soon as it is the turn of this training of `person`.

        Those that were `uploaded` are copied to the run's folder. Files that are `left_out`, also such in the folders,
        are none of its pictures. Raises PseudowordError where what it was given is
        wrong, or it cannot begin; nothing is left behind then.
        """
        self.open()
        with self._starting:
            self.check_name(settings.name)
            self._check_files(settings, () if uploaded else pictures)
            if left_out:
                pictures = files_without(pictures, left_out)
            self._check_limits(settings, pictures)
            found = find_pictures(pictures, settings)
            model = self._host.model()
            given_start(model, settings, self._host.scorer())
            files = RunFolder(self._host.runs / settings.name)
            facts = {"model": model.title, "model_sha256": model.sha256, "pictures": len(found.pictures)}
            job = Job(
                "training", person.owner, settings.name, {**settings.to_dict(), **facts}, settings.name, message=WAITS
            )
            try:
                files.make()
                with reporting_failed_writes(files.path):
                    if uploaded:
                        pictures = copy_to(files.path / UPLOADED, pictures)
                    source = [str(path.resolve()) for path in pictures]
                    write_facts(files, job)
                    write_whole(files.settings, json.dumps(settings.to_dict(), indent=2).encode())
                    write_whole(files.path / SOURCE, json.dumps(source).encode())
                training = self._job(job, settings)
                self._queue.submit(job, training, self._host.limits.jobs)
            except (TrainingError, JobError):
                shutil.rmtree(files.path, ignore_errors=True)
                raise
            return training

    def go_on(self, name: str, person: Person = ALONE) -> TrainingJob:
        """Continue the interrupted run called `name` from its checkpoint, as soon as it is its turn.

        Raises TrainingError where it is not there or cannot be read, NotYours where it is somebody else's.
        """
        self.open()
        with self._starting:
            job = self._queue.store.of_folder(name)
            if name not in self.interrupted() or job is None:
                raise TrainingError(f"There is no interrupted run called {name!r} that could go on.")
            person.check_may(job)
            training = self.board.steered(job.id)
            assert isinstance(training, TrainingJob)
            training.resume()
            return training

    def remove(self, name: str, person: Person = ALONE) -> None:
        """Remove the earlier run called `name` with all that is in its folder. Raises TrainingError, NotYours."""
        self.open()
        with self._starting:
            job = self._queue.store.of_folder(name)
            if name not in self.earlier():
                raise TrainingError(f"There is no earlier run called {name!r}; reload the page to see those there are.")
            if job is not None:
                person.check_may(job)
                self.board.delete(job)
            else:
                remove_folder(self._host.runs / name)

    # ---- as one kind of jobs ---------------------------------------------------------------------------------------

    def unlisted(self, known: Collection[str]) -> Iterator[Job]:
        """As in `JobKind`."""
        return found_jobs(self._host.runs, known)

    def recovered(self, job: Job) -> Work:
        """As in `JobKind`."""
        files = self._files(job)
        if word_of(files).exists():  # it was killed between its last file and the list of jobs
            with suppress(PseudowordError):  # it is in its run's folder in any case
                self._host.publish(word_of(files))
            state, result = ending(files)
            state = state if job.state == "running" else "stopped"
            return Found(state, "It was learned before a restart.", job, result)
        if not files.path.is_dir():
            return Found("cancelled", "Its folder is gone.", job)
        try:
            settings = read_settings(files)
        except TrainingError as problem:
            return Found("failed", str(problem), job)
        if job.state == "waiting" or (job.state == "running" and self._host.resumes):
            return self._job(job, settings)
        return self._job(job, settings, paused=INTERRUPTED if job.state == "running" else job.message)

    def brought_back(self, job: Job) -> TrainingJob:
        """As in `JobKind`."""
        return self._job(job, read_settings(self._files(job)), paused=job.message or INTERRUPTED)

    def note(self, job: Job) -> None:
        """As in `JobKind`."""
        write_facts(self._files(job), job)

    def route_of(self, job: Job) -> str:
        """As in `JobKind`."""
        return ""

    # ---- of one training -------------------------------------------------------------------------------------------

    def _files(self, job: Job) -> RunFolder:
        return RunFolder(self._host.runs / job.folder)

    def _job(self, job: Job, settings: TrainSettings, paused: str | None = None) -> TrainingJob:
        """The training of `job`, which waits; or which is paused, for the reason `paused`."""
        files, host = self._files(job), self._host

        def make_run(between_passes: BetweenPasses) -> TrainingRun:
            model = host.model()
            wanted = job.settings.get("model_sha256", model.sha256)
            if wanted != model.sha256:
                raise ModelError(
                    f"{settings.name} was started for the model {job.settings.get('model')}; choose that one again, "
                    "then resume it."
                )
            pictures = pictures_of(files, settings).large_enough(settings.size or model.native_size)
            return TrainingRun(model, settings, pictures, files.path, host.scorer(), between_passes)

        return TrainingJob(
            settings,
            files,
            make_run,
            TimedTurns(host.turns, host.measures),
            host.slice_s,
            host.publish,
            lambda: self._heard(job.id),
            job.id,
            job.owner,
            state="waiting" if paused is None else "paused",
            message=WAITS if paused is None else paused,
            step=steps_saved(files) if paused is not None else 0,
        )

    def _heard(self, id: str) -> None:
        """The training of the job called `id` has changed."""
        work = self._queue.work(id)
        if work is not None and (standing := work.standing()).state == "running":
            self._host.measures.trained(id, standing.done)
        self._queue.heard(id)

    # ---- what is checked -------------------------------------------------------------------------------------------

    def _check_limits(self, settings: TrainSettings, pictures: Sequence[Path]) -> None:
        limits = self._host.limits
        limits.check_settings(settings)
        limits.check_files(pictures)
        limits.check_disk(self._host.runs)

    def _check_files(self, settings: TrainSettings, pictures: Sequence[Path]) -> None:
        """Raise SettingsError for a file outside of the host's folders, and for templates that are not there."""
        templates = None if settings.templates in BUILT_IN_TEMPLATES else Path(settings.templates)
        for path, offered in ((settings.start_file, self._host.words), (templates, self._host.templates)):
            if path is not None and path not in offered().values():
                check_may_name(self._host, path)
        check_pictures_may_be_named(self._host, pictures)
        if templates is not None and not os.path.isfile(templates):
            raise SettingsError(f"templates is {settings.templates!r}, which is no file; write object or style.")
