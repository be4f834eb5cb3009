"""What the folders of runs say of the jobs that made them: enough to make the list of jobs anew."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import SettingsError, TrainingError
from ...training.checkpoint import load_checkpoint
from ...training.run_folder import RunFolder, write_whole
from ...training.settings import TrainSettings
from ..job_queue import Standing
from .job_states import JobState
from .job_store import Job

SOURCE = "pictures.json"  # in the run's folder: where its training pictures are
FACTS = "job.json"  # in the run's folder: whose it is, and what else the settings don't say
TAIL_BYTES = 8192  # of a history; its last record fits
INTERRUPTED = "The server ended meanwhile; it goes on from its last checkpoint."


def write_facts(files: RunFolder, job: Job) -> None:
    """Note in its folder whose `job` is. Raises TrainingError."""
    facts = {"id": job.id, "owner": job.owner, "created": job.created, "shared": job.shared}
    write_whole(files.path / FACTS, (json.dumps(facts, indent=2) + "\n").encode())


def read_settings(files: RunFolder) -> TrainSettings:
    """What the run was asked to do. Raises TrainingError where that cannot be read."""
    try:
        return TrainSettings.from_dict(json.loads(files.settings.read_bytes()))
    except (OSError, ValueError, TypeError, SettingsError) as problem:
        name = files.path.name
        raise TrainingError(f"The settings of the run {name!r} cannot be read: {problem}") from problem


def read_source(files: RunFolder) -> list[Path]:
    """Where the training pictures of the run are, files and folders. Raises TrainingError."""
    try:
        return [Path(path) for path in json.loads((files.path / SOURCE).read_bytes())]
    except (OSError, ValueError, TypeError) as problem:
        name = files.path.name
        raise TrainingError(f"Where the pictures of {name!r} are cannot be read: {problem}") from problem


def word_of(files: RunFolder) -> Path:
    """Where the word is that the run taught, once it has ended."""
    return files.path / f"{files.path.name}.safetensors"


def steps_saved(files: RunFolder) -> int:
    """How many steps are in the checkpoint of the run; 0 without one that can be read."""
    try:
        return load_checkpoint(files.checkpoint).state.step
    except TrainingError:
        return 0


def ending(files: RunFolder) -> tuple[JobState, dict[str, Any]]:
    """How a run that left its word ended, and the figures of its end."""
    try:
        with open(files.history, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            last = json.loads(file.read().splitlines()[-1])
        if last["event"] == "finished":
            return "finished", {**last["figures"], "best_step": last["best_step"]}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        pass
    return "stopped", {}


def found_jobs(runs: Path, known: Collection[str]) -> Iterator[Job]:
    """The jobs of the folders in `runs` that are not `known`, the oldest first."""
    sources = [path for path in runs.glob(f"*/{SOURCE}") if path.parent.name not in known]
    for source in sorted(sources, key=lambda path: path.stat().st_mtime):
        yield found_job(RunFolder(source.parent))


def found_job(files: RunFolder) -> Job:
    """The job of one folder. What cannot be read is left out."""
    facts, settings = _read(files.path / FACTS), _read(files.settings)
    created = (files.path / SOURCE).stat().st_mtime
    shared, steps = facts.get("shared") is True, settings.get("steps")
    total = steps if isinstance(steps, int) else 0
    more = {"id": facts["id"]} if isinstance(facts.get("id"), str) else {}
    known: dict[str, Any] = {
        "kind": "training",
        "owner": str(facts.get("owner", "")),
        "title": files.path.name,
        "settings": settings,
        "folder": files.path.name,
        "created": facts["created"] if isinstance(facts.get("created"), float) else created,
        "shared": shared,
        "total": total,
        **more,
    }
    if word_of(files).exists():
        state, result = ending(files)
        step = int(result.get("best_step", 0))
        ended = word_of(files).stat().st_mtime
        return Job(**known, state=state, done=step, started=created, ended=ended, result=result)
    return Job(**known, state="paused", message=INTERRUPTED, done=steps_saved(files))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class Found:
    """A job whose end was found in its folder: it wants no turn."""

    def __init__(self, state: JobState, message: str, job: Job, result: Mapping[str, Any] | None = None) -> None:
        self._standing = Standing(state, message, job.done, job.total, result=result or {})

    def begin(self) -> bool:
        """Never."""
        return False

    def standing(self) -> Standing:
        """How it ended."""
        return self._standing
