"""What a page shows of the training that who looks at it follows, under `/pseudoword/v1/training`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse

from ..errors import NotYours
from ..jobs.training.training_job import TrainingJob, Watched
from ..jobs.training.trainings import Trainings
from ..training.curve import curve_picture
from ..training.history import read_history
from .answers import drawing, telling, without_folders

PREFIX = "/pseudoword/v1/training"


def add_training_routes(app: FastAPI, trainings: Trainings, dependencies: Sequence[Any] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI. All of them only read."""

    def followed(request: Request) -> TrainingJob | None:
        try:
            return trainings.followed_by(trainings.host.people.of(request))
        except NotYours:  # a browser that has no cookie yet has no training either
            return None

    def latest(request: Request) -> TrainingJob:
        job = followed(request)
        if job is None:
            raise HTTPException(404, "Nothing has been trained since the start of the server.")
        return job

    def watch(request: Request) -> dict[str, Any]:
        job = followed(request)
        return {"state": "idle"} if job is None else seen(trainings, job)

    def curve(request: Request) -> Response:
        job = latest(request)
        with telling(trainings.host), drawing:
            return Response(curve_picture(records_of(job), job.settings.name), media_type="image/png")

    def preview(request: Request, step: int) -> FileResponse:
        return picture(latest(request).files.preview(step))

    def edits(request: Request, step: int) -> FileResponse:
        return picture(latest(request).files.preview(step, "-edits"))

    def contact_sheet(request: Request) -> FileResponse:
        return picture(latest(request).files.contact_sheet)

    routes: dict[str, Callable[..., Any]] = {
        "": watch,
        "/curve.png": curve,
        "/previews/{step}.png": preview,
        "/previews/{step}/edits.png": edits,
        "/contact-sheet.png": contact_sheet,
    }
    for path, answer in routes.items():
        app.add_api_route(PREFIX + path, answer, methods=["GET"], response_model=None, dependencies=list(dependencies))


def records_of(job: TrainingJob) -> Sequence[Mapping[str, Any]]:
    """The whole history of `job`, from its folder where it is no longer in memory."""
    return list(read_history(job.files.history)) if job.has_ended else job.watch().records


def picture(path: Path) -> FileResponse:
    """A PNG, or 404 where it was not made."""
    if not path.is_file():
        raise HTTPException(404, "This picture was not made.")
    return FileResponse(path, media_type="image/png")


def seen(trainings: Trainings, job: TrainingJob) -> dict[str, Any]:
    """What a page shows of `job`, without the folders of this server."""
    answer = as_json(job.watch())
    answer["message"] = without_folders(trainings.host, answer["message"])
    answer["warnings"] = [without_folders(trainings.host, warning) for warning in answer["warnings"]]
    return answer


def as_json(watched: Watched) -> dict[str, Any]:
    """What a page shows of it, as plain JSON values.

    `version` counts what was recorded: a picture made from the records is as new as that.
    """
    latest = {record["event"]: record for record in watched.records}
    validated, step = latest.get("validated", {}), latest.get("step", {})
    previews = [record for record in watched.records if record["event"] == "preview"]
    done, total = watched.prepared
    return {
        "state": watched.state,
        "message": watched.message,
        "name": watched.name,
        "pictures_prepared": done,
        "pictures": total,
        "step": watched.step,
        "steps": watched.steps,
        "seconds_left": watched.seconds_left,
        "loss": step.get("loss"),
        "learning_rate": step.get("learning_rate"),
        "validation_loss": validated.get("loss"),
        "best_step": validated.get("best_step"),
        "best_loss": validated.get("best_loss"),
        "previews": [{key: record[key] for key in ("step", "likeness", "editability")} for record in previews],
        "warnings": list(watched.warnings),
        "version": sum(record["event"] in ("validated", "preview", "finished") for record in watched.records),
    }
