"""What a person sees of the jobs: the list, one job, and two beside each other, as plain JSON values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import JobError
from ..training.run_folder import RunFolder
from ..training.settings import FILE_PREFIX, describe_settings
from .job_board import JobBoard
from .job_queue import Standing
from .server.people import ALONE, Person, shown_owner
from .store.job_states import OPEN, JobState
from .store.job_store import Job
from .training.run_pictures import picture_count, preview_steps
from .turn_order import Estimate

ROWS = 50
SEARCHED_LETTERS = 100
STATES: Mapping[str, tuple[JobState, ...]] = {
    "open": OPEN,
    "finished": ("finished", "stopped"),
    "failed": ("failed", "cancelled"),
}
FIGURES = ("best_step", "best_loss", "best likeness", "best editability", "seconds")
UNKNOWN = Estimate(None, None)
ABOUT = "about"  # in a job's settings: what it is about, for who may look into it; the title is everybody's to read
SAYS = "says"  # in its result: sentences about what came of it


def listed(
    board: JobBoard, person: Person, mine: bool = True, states: str = "", search: str = "", count: int = ROWS
) -> dict[str, Any]:
    """The first `count` jobs of `person`, or of everybody, and how many there are. Raises JobError."""
    board.open()
    queue = board.queue
    queue.settle()
    owner = person.owner if mine and person != ALONE else None
    search = search.strip()[:SEARCHED_LETTERS]
    jobs, total = queue.store.jobs(owner=owner, states=STATES.get(states, ()), search=search, count=count)
    places = {job.id: place for place, job in enumerate(queue.order(), start=1)}
    jobs.sort(key=lambda job: (OPEN.index(job.state) if job.state in OPEN else len(OPEN), places.get(job.id, 0)))
    estimates = queue.estimates(seconds_of(board)) if places else {}
    rows = [row(board, person, job, estimates.get(job.id, UNKNOWN), places.get(job.id)) for job in jobs]
    return {"jobs": rows, "total": total, "waiting": len(places), "alone": person == ALONE, "admin": person.is_admin}


def row(
    board: JobBoard, person: Person, job: Job, estimate: Estimate = UNKNOWN, place: int | None = None
) -> dict[str, Any]:
    """One line of the list. Of other people's jobs it tells that they are there, and how far."""
    work = board.queue.work(job.id)
    standing = Standing(job.state, job.message, job.done, job.total) if work is None else work.standing()
    may_look = person.may_look_into(job)
    has_previews = may_look and job.folder and job.kind == "training"
    steps = preview_steps(files_of(board, job)) if has_previews else []
    return {
        "id": job.id,
        "kind": job.kind,
        "title": job.title,
        "owner": "you" if job.owner == person.owner else shown_owner(job.owner),
        "may_steer": person.may(job),
        "may_look": may_look,
        "shared": job.shared,
        "state": standing.state,
        "message": standing.message if may_look else "",
        "done": standing.done,
        "total": standing.total,
        "seconds_left": standing.seconds_left,
        "place": place,
        "begins_in": estimate.begins,
        "ends_in": estimate.ends,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "priority": job.priority,
        "figures": {name: job.result[name] for name in FIGURES if name in job.result} if may_look else {},
        "preview": steps[-1] if steps else None,
        "about": str(job.settings.get(ABOUT, "")) if may_look else "",
        "says": list(job.result.get(SAYS, ())) if may_look else [],
        "result": board.route_of(job) if may_look else "",
    }


def detailed(board: JobBoard, person: Person, id: str) -> dict[str, Any]:
    """All there is to see of one job. Raises NoSuchJob, NotYours."""
    job = looked_into(board, person, id)
    files = files_of(board, job)
    return {
        **row(board, person, job),
        "settings": shown_settings(job),
        "log": board.queue.store.log(id),
        "previews": preview_steps(files),
        "has_history": files.history.is_file(),
        "has_contact_sheet": files.contact_sheet.is_file(),
        "pictures": picture_count(files),
    }


def compared(board: JobBoard, person: Person, ids: tuple[str, str]) -> dict[str, Any]:
    """Two trainings: each as a line of the list, and their settings and figures side by side.

    Raises NoSuchJob, NotYours, JobError for jobs that are no trainings.
    """
    jobs = [looked_into(board, person, id) for id in ids]
    for job in jobs:
        check_is_training(job)
    settings = [shown_settings(job) for job in jobs]
    names = list(dict.fromkeys([*settings[0], *settings[1]]))
    return {
        "jobs": [row(board, person, job) for job in jobs],
        "settings": [{"name": name, "values": [one.get(name) for one in settings]} for name in names],
        "figures": [{"name": name, "values": [job.result.get(name) for job in jobs]} for name in FIGURES],
        "contact_sheets": [files_of(board, job).contact_sheet.is_file() for job in jobs],
    }


def looked_into(board: JobBoard, person: Person, id: str) -> Job:
    """The job called `id`, for who may look into it. Raises NoSuchJob, NotYours."""
    job = board.job(id)
    person.check_may_look_into(job)
    return job


def files_of(board: JobBoard, job: Job) -> RunFolder:
    """The files of a job's run."""
    return RunFolder(board.host.runs / (job.folder or f".{job.id}"))  # where it has none, one that is not there


def shown_settings(job: Job) -> dict[str, Any]:
    """Settings, a training's in the order of the form, without the folders of the server."""
    if job.kind != "training":
        return {name: value for name, value in job.settings.items() if name != ABOUT}
    names = [description.name for description in describe_settings()]
    shown = {name: job.settings[name] for name in [*names, "model", "pictures"] if name in job.settings}
    for name, prefix in (("start", FILE_PREFIX), ("templates", "")):
        value = shown.get(name)
        if isinstance(value, str) and value.startswith(prefix) and ("/" in value or "\\" in value):
            shown[name] = prefix + Path(value.replace("\\", "/")).name
    return shown


def check_is_training(job: Job) -> None:
    """Raise JobError for a job of another kind."""
    if job.kind != "training":
        raise JobError(f"{job.title} is no training; choose jobs that taught a word.")


def seconds_of(board: JobBoard) -> Callable[[Job], float | None]:
    """How long a job that waits will take, by the pace of its kind: of one that runs, or of the last that ran."""
    paces: dict[str, float | None] = {}  # asked for once

    def estimate(job: Job) -> float | None:
        if job.kind not in paces:
            paces[job.kind] = pace_of(board, job.kind)
        pace = paces[job.kind]
        return None if pace is None or not job.total else pace * (job.total - job.done)

    return estimate


def pace_of(board: JobBoard, kind: str) -> float | None:
    """Seconds that a step, or a picture, takes in jobs of that kind; None where nothing is known about it."""
    running, _ = board.queue.store.jobs(states=["running"], kinds=[kind])
    works = [work.standing() for job in running if (work := board.queue.work(job.id)) is not None]
    paces = [
        one.seconds_left / (one.total - one.done)
        for one in works
        if one.seconds_left is not None and one.total > one.done
    ]
    if not paces:
        latest, _ = board.queue.store.jobs(states=["finished"], kinds=[kind], count=5)
        paces = [one.result["seconds"] / one.done for one in latest if one.result.get("seconds") and one.done]
    return paces[0] if paces else None


def cloned_settings(board: JobBoard, person: Person, id: str) -> tuple[str, dict[str, Any]]:
    """A job's title, and its settings for a new word, without files that are no longer offered.

    Raises NoSuchJob, NotYours, JobError for a job that is no training.
    """
    job = looked_into(board, person, id)
    check_is_training(job)
    known = {description.name for description in describe_settings()}
    settings = {name: value for name, value in job.settings.items() if name in known - {"name"}}
    offered = {str(path) for path in board.host.words().values()}
    if str(settings.get("start", "")).startswith(FILE_PREFIX) and settings["start"][len(FILE_PREFIX) :] not in offered:
        settings["start"] = "auto"
    templates = {str(path) for path in board.host.templates().values()}
    if settings.get("templates") not in {"object", "style", *templates}:
        settings.pop("templates", None)
    return job.title, settings
