"""What a page or a program sees of the training that is under way, under `/pseudoword/v1/training`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import FileResponse

from ..errors import MissingExtra
from ..jobs.training_job import TrainingJob, Watched
from ..jobs.trainings import Trainings
from ..training.curve import curve_picture
from .answers import without_folders

PREFIX = "/pseudoword/v1/training"


def add_training_routes(app: FastAPI, trainings: Trainings, dependencies: Sequence[Any] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI. All of them only read."""

    def latest() -> TrainingJob:
        if trainings.latest is None:
            raise HTTPException(404, "Nothing has been trained since the start of the server.")
        return trainings.latest

    def watch() -> dict[str, Any]:
        return {"state": "idle"} if trainings.latest is None else seen(trainings, trainings.latest)

    def curve() -> Response:
        job = latest()
        try:
            return Response(curve_picture(job.watch().records, job.settings.name), media_type="image/png")
        except MissingExtra as problem:
            raise HTTPException(501, str(problem)) from problem

    def preview(step: int) -> FileResponse:
        return picture(latest().files.preview(step))

    def edits(step: int) -> FileResponse:
        return picture(latest().files.preview(step, "-edits"))

    def contact_sheet() -> FileResponse:
        return picture(latest().files.contact_sheet)

    routes: dict[str, Callable[..., Any]] = {
        "": watch,
        "/curve.png": curve,
        "/previews/{step}.png": preview,
        "/previews/{step}/edits.png": edits,
        "/contact-sheet.png": contact_sheet,
    }
    for path, answer in routes.items():
        app.add_api_route(PREFIX + path, answer, methods=["GET"], response_model=None, dependencies=list(dependencies))


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
