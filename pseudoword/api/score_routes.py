"""What a page sees of pictures that are scored, and of the models for that, under `/pseudoword/v1`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response

from ..jobs.host import Host
from ..jobs.scoring.score_job import ScoreJob, ScoreWatched
from ..jobs.scoring.score_picture import FORMS, Figure, score_picture
from ..jobs.scoring.score_result import ScoreResult, result_table
from ..jobs.scoring.scorings import Scorings
from ..jobs.server.people import Person
from ..scoring.models import BUILT_IN_KNOWS, ClipModel
from ..training.contact_sheet import png_bytes
from .answers import drawing, job_called, telling, without_folders

PREFIX = "/pseudoword/v1"
PUT_ONE = "put one into the WebUI's folder models/CLIP, or name its folder to the studio with --clip-place."
BETTER = f"Download a larger model in Score, under CLIP models, or {PUT_ONE}"
BETTER_BY_OTHERS = f"Whoever runs this server can download a larger model, or {PUT_ONE}"
KEPT = {"Cache-Control": "private, max-age=86400"}


def add_score_routes(app: FastAPI, scorings: Scorings, dependencies: Sequence[Any] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI. All of them only read."""

    def watch(id: str) -> dict[str, Any]:
        """How it stands, in the end with all figures."""
        return seen(scorings.host, job_called(scorings.job, id).watch())

    def picture(id: str, row: int) -> Response:
        """A picture that was scored, small."""
        found = job_called(scorings.job, id).thumbnail(row)
        if found is None:
            raise HTTPException(404, "This picture is not there any more.")
        return Response(found, media_type="image/jpeg", headers=KEPT)

    def sheet(id: str, figure: str = "cosine") -> Response:
        """The matrix as one picture."""
        job = job_called(scorings.job, id)
        shown: Figure = next((name for name in FORMS if name == figure), "cosine")
        with telling(scorings.host), drawing:
            return Response(png_bytes(score_picture(result_of(job), shown, job.thumbnail)), media_type="image/png")

    def table(id: str) -> Response:
        """All figures as CSV."""
        return Response(result_table(result_of(job_called(scorings.job, id))), media_type="text/csv")

    def figures(id: str) -> dict[str, Any]:
        """All figures as JSON."""
        return result_json(scorings.host, result_of(job_called(scorings.job, id)))

    def clips(request: Request) -> dict[str, Any]:
        """The CLIP models on this disk, and those that would have to be downloaded."""
        with telling(scorings.host):
            return clips_json(scorings, scorings.host.people.of(request, is_program=True))

    routes: dict[str, Callable[..., Any]] = {
        "/scores/{id}": watch,
        "/scores/{id}/pictures/{row}.jpg": picture,
        "/scores/{id}/sheet.png": sheet,
        "/scores/{id}/scores.csv": table,
        "/scores/{id}/scores.json": figures,
        "/clips": clips,
    }
    for path, answer in routes.items():
        app.add_api_route(PREFIX + path, answer, methods=["GET"], response_model=None, dependencies=list(dependencies))


def result_of(job: ScoreJob) -> ScoreResult:
    """What came of it; 404 where nothing did, or nothing yet."""
    result = job.watch().result
    if result is None:
        raise HTTPException(404, "There are no scores yet.")
    return result


def seen(host: Host, watched: ScoreWatched) -> dict[str, Any]:
    """What a page shows, as plain JSON values, without the folders of this server."""
    return {
        "id": watched.id,
        "state": watched.state,
        "message": without_folders(host, watched.message),
        "done": watched.done,
        "total": watched.total,
        "seconds_left": watched.seconds_left,
        "model": watched.model,
        "result": None if watched.result is None else result_json(host, watched.result),
    }


def result_json(host: Host, result: ScoreResult) -> dict[str, Any]:
    """A result as plain JSON values: rows are pictures, columns texts."""
    scores = result.scores
    return {
        "model": result.model,
        "width": result.width,
        "logit_scale": result.logit_scale,
        "pictures": list(result.pictures),
        "labels": list(result.labels),
        "are_classes": result.are_classes,
        "cosines": [] if scores is None else rounded(scores.cosines.tolist()),
        "clip_scores": [] if scores is None else rounded(scores.clip_scores.tolist()),
        "probabilities": [] if scores is None else rounded(scores.probabilities.tolist()),
        "best_labels": [] if scores is None else scores.best_texts,
        "best_pictures": [] if scores is None else scores.best_pictures,
        "is_square": result.has_diagonal,
        "found": result.found,
        "head": result.head,
        "head_scores": rounded([list(result.head_scores)])[0],
        "notes": [without_folders(host, note) for note in result.notes],
        "unreadable": [{"name": one.path, "reason": without_folders(host, one.reason)} for one in result.unreadable],
    }


def rounded(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """`rows` with six digits, as the table has them; 100,000 figures are sent at once."""
    return [[round(value, 6) for value in row] for row in rows]


def clips_json(scorings: Scorings, person: Person) -> dict[str, Any]:
    """The CLIP models, why `person` may download none, and how the latest download stands. Raises MissingExtra."""
    here, default = scorings.host.clips.here(), scorings.host.clips.default()
    latest, no_download = scorings.downloads.latest, scorings.downloads.refusal(person)
    better = BETTER_BY_OTHERS if no_download else BETTER
    download = None
    if latest is not None:
        download = {
            "name": latest.name,
            "state": latest.state,
            "message": without_folders(scorings.host, latest.message),
            "seconds": latest.seconds,
            "done_bytes": latest.done,
            "total_bytes": latest.total,
        }
    return {
        "default": default.name,
        "here": [clip_json(model, better) for model in here],
        "elsewhere": [model.name for model in scorings.host.clips.elsewhere()],
        "no_download": no_download,
        "download": download,
    }


def clip_json(model: ClipModel, better: str) -> dict[str, Any]:
    """A model on this disk, without its place there; `better` says what helps where it is the small built-in one."""
    return {
        "name": model.name,
        "origin": model.origin,
        "bytes": model.size_bytes,
        "is_usable": model.is_usable,
        "problem": model.problem,
        "note": f"{BUILT_IN_KNOWS}. {better}" if model.origin == "built in" else "",
    }
