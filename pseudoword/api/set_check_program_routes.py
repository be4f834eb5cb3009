"""Checks of training sets for programs, under `/pseudoword/v1/set-checks`.

How a check stands, and its pictures, are read by the routes of `set_check_routes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, params

from ..embedding.metadata import encodable
from ..errors import PseudowordError, SettingsError
from ..jobs.set_check.set_check_job import SetCheckJob
from ..jobs.set_check.set_check_request import CheckRequest
from ..jobs.set_check.set_checks import SetChecks
from ..training.settings import TrainSettings
from . import set_check_schemas as schemas
from .answers import job_called, refuse_other_sites, telling
from .sentence_route import SentenceRoute, answered, refusals
from .set_check_routes import seen
from .uploads import store

ANY_NAME = "new-word"  # what a check is made for needs no name yet
PROBLEMS = {404: "There is no such check, or none any more", 422: "The request, a setting, or a picture cannot be used"}


class SetCheckRoute(SentenceRoute):
    """A route about checks of training sets."""

    wanted = "send application/json with 'pictures' or 'folder'"


def add_set_check_program_routes(app: FastAPI, checks: SetChecks, dependencies: Sequence[params.Depends] = ()) -> None:
    """Add the routes to `app`. Every one of them asks `dependencies`, which raise HTTPException to refuse a caller."""
    router = APIRouter(
        prefix="/pseudoword/v1/set-checks",
        dependencies=[Depends(refuse_other_sites), *dependencies],
        route_class=SetCheckRoute,
        tags=["Pseudoword training sets"],
        responses=refusals(PROBLEMS),
    )

    def check_set(request: schemas.SetCheckRequest) -> dict[str, Any]:
        """Check a training set before it is learned from; `GET /pseudoword/v1/set-checks/{id}` tells how it stands."""
        with telling(checks.host):
            return seen(checks.host, start(checks, request).watch())

    def cancel_check(id: str) -> dict[str, Any]:
        """End after the pass that is under way; what was found by then is kept."""
        job = job_called(checks.job, id)
        job.cancel()
        return seen(checks.host, job.watch())

    router.add_api_route(
        "",
        check_set,
        methods=["POST"],
        status_code=201,
        response_model=schemas.SetCheckAnswer,
        openapi_extra={
            "requestBody": {"content": {"application/json": {"examples": schemas.REQUEST_EXAMPLES}}},
            **answered(201, schemas.ANSWER_EXAMPLE),
        },
    )
    router.add_api_route(
        "/{id}",
        cancel_check,
        methods=["DELETE"],
        response_model=schemas.SetCheckAnswer,
        openapi_extra=answered(200, schemas.ANSWER_EXAMPLE),
    )
    app.include_router(router)


def start(checks: SetChecks, request: schemas.SetCheckRequest) -> SetCheckJob:
    """Begin the check that `request` describes. Raises PseudowordError where it cannot begin."""
    settings = TrainSettings.from_dict({"name": ANY_NAME, **checks.host.defaults(), **request.settings})
    folder = (request.folder or "").strip()
    if request.pictures and folder:
        raise SettingsError("There are pictures and a folder; give one of the two.")
    if not request.pictures:
        if not folder:
            raise SettingsError("There are no pictures; give some in 'pictures', or a 'folder' of them.")
        return checks.start(
            CheckRequest((Path(folder),), settings, False, encodable(request.clip), request.round_trips)
        )
    place = TemporaryDirectory(prefix="pseudoword-", ignore_cleanup_errors=True)
    try:
        files = tuple(store(request.pictures, Path(place.name)))
        asked = CheckRequest(files, settings, True, encodable(request.clip), request.round_trips)
        return checks.start(asked, place)
    except PseudowordError:
        place.cleanup()
        raise
