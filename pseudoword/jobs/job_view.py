"""What a person sees of the jobs: the list, one job, and two beside each other, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..training.run_folder import RunFolder
from ..training.settings import FILE_PREFIX, describe_settings
from .job_queue import Standing
from .job_states import OPEN, JobState
from .job_store import Job
from .people import ALONE, Person, shown_owner
from .run_pictures import picture_count, preview_steps
from .trainings import Trainings
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


def listed(
    trainings: Trainings, person: Person, mine: bool = True, states: str = "", search: str = "", count: int = ROWS
) -> dict[str, Any]:
    """The first `count` jobs of `person`, or of everybody, and how many there are. Raises JobError."""
    trainings.open()
    queue = trainings.queue
    queue.settle()
    owner = person.owner if mine and person != ALONE else None
    search = search.strip()[:SEARCHED_LETTERS]
    jobs, total = queue.store.jobs(owner=owner, states=STATES.get(states, ()), search=search, count=count)
    places = {job.id: place for place, job in enumerate(queue.order(), start=1)}
    jobs.sort(key=lambda job: (OPEN.index(job.state) if job.state in OPEN else len(OPEN), places.get(job.id, 0)))
    pace = pace_of(trainings) if places else None  # of all that wait the same, and asked for once
    estimates = queue.estimates(lambda job: None if pace is None else pace * (job.total - job.done)) if places else {}
    rows = [row(trainings, person, job, estimates.get(job.id, UNKNOWN), places.get(job.id)) for job in jobs]
    return {"jobs": rows, "total": total, "waiting": len(places), "alone": person == ALONE, "admin": person.is_admin}


def row(
    trainings: Trainings, person: Person, job: Job, estimate: Estimate = UNKNOWN, place: int | None = None
) -> dict[str, Any]:
    """One line of the list. Of other people's jobs it tells that they are there, and how far."""
    work = trainings.queue.work(job.id)
    standing = Standing(job.state, job.message, job.done, job.total) if work is None else work.standing()
    may_look = person.may_look_into(job)
    steps = preview_steps(files_of(trainings, job)) if may_look and job.folder else []
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
    }


def detailed(trainings: Trainings, person: Person, id: str) -> dict[str, Any]:
    """All there is to see of one job. Raises NoSuchJob, NotYours."""
    job = looked_into(trainings, person, id)
    files = files_of(trainings, job)
    return {
        **row(trainings, person, job),
        "settings": shown_settings(job.settings),
        "log": trainings.queue.store.log(id),
        "previews": preview_steps(files),
        "has_history": files.history.is_file(),
        "has_contact_sheet": files.contact_sheet.is_file(),
        "pictures": picture_count(files),
    }


def compared(trainings: Trainings, person: Person, ids: tuple[str, str]) -> dict[str, Any]:
    """Two jobs: each as a line of the list, and their settings and figures side by side. Raises NoSuchJob, NotYours."""
    jobs = [looked_into(trainings, person, id) for id in ids]
    settings = [shown_settings(job.settings) for job in jobs]
    names = list(dict.fromkeys([*settings[0], *settings[1]]))
    return {
        "jobs": [row(trainings, person, job) for job in jobs],
        "settings": [{"name": name, "values": [one.get(name) for one in settings]} for name in names],
        "figures": [{"name": name, "values": [job.result.get(name) for job in jobs]} for name in FIGURES],
        "contact_sheets": [files_of(trainings, job).contact_sheet.is_file() for job in jobs],
    }


def looked_into(trainings: Trainings, person: Person, id: str) -> Job:
    """The job called `id`, for who may look into it. Raises NoSuchJob, NotYours."""
    trainings.open()
    trainings.queue.settle()
    job = trainings.queue.store.job(id)
    person.check_may_look_into(job)
    return job


def files_of(trainings: Trainings, job: Job) -> RunFolder:
    """The files of a job's run."""
    return RunFolder(trainings.host.runs / (job.folder or f".{job.id}"))  # where it has none, one that is not there


def shown_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in the order of the form, without the folders of the server."""
    names = [description.name for description in describe_settings()]
    shown = {name: settings[name] for name in [*names, "model", "pictures"] if name in settings}
    for name, prefix in (("start", FILE_PREFIX), ("templates", "")):
        value = shown.get(name)
        if isinstance(value, str) and value.startswith(prefix) and ("/" in value or "\\" in value):
            shown[name] = prefix + Path(value.replace("\\", "/")).name
    return shown


def pace_of(trainings: Trainings) -> float | None:
    """Seconds a step takes: of the job that runs, or of the last that ran."""
    running = [work.standing() for work in trainings.queue.works().values()]
    paces = [
        one.seconds_left / (one.total - one.done)
        for one in running
        if one.state == "running" and one.seconds_left is not None and one.total > one.done
    ]
    if not paces:
        latest, _ = trainings.queue.store.jobs(states=["finished"], count=5)
        paces = [one.result["seconds"] / one.done for one in latest if one.result.get("seconds") and one.done]
    return paces[0] if paces else None


def cloned_settings(trainings: Trainings, person: Person, id: str) -> tuple[str, dict[str, Any]]:
    """A job's title, and its settings for a new word, without files that are no longer offered.

    Raises NoSuchJob, NotYours.
    """
    job = looked_into(trainings, person, id)
    known = {description.name for description in describe_settings()}
    settings = {name: value for name, value in job.settings.items() if name in known - {"name"}}
    offered = {str(path) for path in trainings.host.words().values()}
    if str(settings.get("start", "")).startswith(FILE_PREFIX) and settings["start"][len(FILE_PREFIX) :] not in offered:
        settings["start"] = "auto"
    templates = {str(path) for path in trainings.host.templates().values()}
    if settings.get("templates") not in {"object", "style", *templates}:
        settings.pop("templates", None)
    return job.title, settings
