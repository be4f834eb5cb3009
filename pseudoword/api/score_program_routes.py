"""Scores for programs, under `/pseudoword/v1`: pictures beside texts or classes, and the models that score.

How a job stands, its pictures, table and sheet, and the list of models are read by the routes of `score_routes`.
Whatever is refused is answered with one sentence under "detail".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, params

from ..embedding.metadata import encodable
from ..errors import SettingsError
from ..jobs.scoring.score_request import NamedPicture, ScoreRequest
from ..jobs.scoring.scorings import Scorings
from ..jobs.server.people import Person
from ..scoring.zero_shot import TEMPLATES
from . import score_schemas as schemas
from .answers import job_called, refuse_other_sites, telling
from .schemas import UploadedPicture
from .score_routes import PREFIX, clips_json, seen
from .sentence_route import SentenceRoute, answered, refusals
from .uploads import store

PATIENCE_S = 30.0  # a proxy gives up after 60; the answer says how it stands
PROBLEMS = {
    403: "The scores are somebody else's, or only admins may do this on a server for several people",
    404: "There are no such scores, or none any more",
    422: "The request, or a picture's upload, cannot be used",
    501: "A package is missing that the server needs for this",
}


def add_score_program_routes(app: FastAPI, scorings: Scorings, dependencies: Sequence[params.Depends] = ()) -> None:
    """Add the routes to `app`. Every one of them asks `dependencies`, which raise HTTPException to refuse a caller."""
    router = APIRouter(
        prefix=PREFIX,
        dependencies=[Depends(refuse_other_sites), *dependencies],
        route_class=SentenceRoute,
        tags=["Pseudoword scores"],
        responses=refusals(PROBLEMS),
    )

    def score_pictures(request: schemas.ScoreRequestBody, asked: Request) -> dict[str, Any]:
        """Score pictures. Where that takes longer than half a minute, ask `GET /pseudoword/v1/scores/{id}` again."""
        with telling(scorings.host):
            job = start(scorings, request, scorings.host.people.of(asked, is_program=True))
        job.wait(PATIENCE_S)
        return seen(scorings.host, job.watch())

    def cancel_scores(id: str, asked: Request) -> dict[str, Any]:
        """End after the pictures that are being encoded; the scores so far are kept."""
        with telling(scorings.host):
            person = scorings.host.people.of(asked, is_program=True)
            job = job_called(lambda one: scorings.cancelled(one, person), id)
        return seen(scorings.host, job.watch())

    def download_clip(request: schemas.DownloadRequest, asked: Request) -> dict[str, Any]:
        """Download a model to the server. `GET /pseudoword/v1/clips` tells how that stands."""
        with telling(scorings.host):
            person = scorings.host.people.of(asked, is_program=True)
            scorings.downloads.start(encodable(request.name), person)
            return clips_json(scorings, person)

    def cancel_download(asked: Request) -> dict[str, Any]:
        """End the download that is under way."""
        with telling(scorings.host):
            person = scorings.host.people.of(asked, is_program=True)
            scorings.downloads.cancel(person)
            return clips_json(scorings, person)

    example = answered(200, schemas.SCORE_EXAMPLE)
    router.add_api_route(
        "/scores",
        score_pictures,
        methods=["POST"],
        response_model=schemas.ScoreAnswer,
        openapi_extra={
            "requestBody": {"content": {"application/json": {"examples": schemas.REQUEST_EXAMPLES}}},
            **example,
        },
    )
    router.add_api_route(
        "/scores/{id}",
        cancel_scores,
        methods=["DELETE"],
        response_model=schemas.ScoreAnswer,
        openapi_extra=example,
    )
    for method, download in (("POST", download_clip), ("DELETE", cancel_download)):
        router.add_api_route(
            "/clips/download",
            download,
            methods=[method],
            response_model=schemas.ClipsAnswer,
            openapi_extra=answered(200, schemas.CLIPS_EXAMPLE),
        )
    app.include_router(router)


def start(scorings: Scorings, body: schemas.ScoreRequestBody, person: Person) -> Any:
    """Begin the job of `person` that `body` describes. Raises PseudowordError where it cannot begin."""
    if body.texts and body.classes:
        raise SettingsError("There are texts and classes, which are compared in different ways; give one of them.")
    labels = tuple(encodable(label) for label in body.texts or body.classes)
    templates = tuple(encodable(one) for one in templates_of(body.templates)) if body.classes else ()
    place = TemporaryDirectory(prefix="pseudoword-", ignore_cleanup_errors=True) if body.pictures else None
    try:
        uploaded = [UploadedPicture(name=one.name, data=one.data, caption=None) for one in body.pictures]
        paths = [] if place is None else store(uploaded, Path(place.name))
        names = [encodable(picture.name) for picture in body.pictures]
        request = ScoreRequest(
            tuple(NamedPicture(name, path) for name, path in zip(names, paths, strict=True)),
            path_of(body.folder),
            tuple(encodable(address) for address in body.addresses),
            labels,
            templates,
            body.long,
            encodable(body.model),
            path_of(body.head),
        )
        return scorings.start(request, place, person)
    except BaseException:
        if place is not None:
            place.cleanup()
        raise


def templates_of(given: str | list[str]) -> Sequence[str]:
    """The sentences that `given` names, or is. Raises SettingsError."""
    if isinstance(given, list):
        return given or TEMPLATES["plain"]
    if given not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise SettingsError(f"There are no templates called {given[:60]!r}; name {known}, or send a list of sentences.")
    return TEMPLATES[given]


def path_of(given: str | None) -> Path | None:
    """A path that a program names, None where it names none."""
    return Path(encodable(given.strip())) if given and given.strip() else None
