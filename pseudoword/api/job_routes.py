"""The list of jobs for pages and programs, under `/pseudoword/v1/jobs`: seen, steered, compared and deleted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response, params
from fastapi.responses import FileResponse

from ..jobs import steering
from ..jobs.job_queue import SteeringOrder
from ..jobs.job_view import ROWS, check_is_training, compared, detailed, files_of, listed, looked_into
from ..jobs.server.people import COOKIE, KEPT_S, Person, new_session
from ..jobs.training.compared_curves import compared_curves
from ..jobs.training.run_pictures import thumbnail, training_picture
from ..jobs.training.trainings import Trainings
from ..training.curve import curve_picture
from ..training.history import read_history
from .answers import drawing, hiding_folders, refuse_other_sites, shade_of, telling
from .schemas import JobMove, JobPriority
from .sentence_route import SentenceRoute
from .training_routes import picture

PREFIX = "/pseudoword/v1"
MOST_ROWS = 2000
KEPT_BY_BROWSER = {"Cache-Control": "private, max-age=86400"}  # pictures whose address says which they are
ASKED_ANEW = {"Cache-Control": "private, no-cache"}


class JobRoute(SentenceRoute):
    """A route about jobs."""

    wanted = "send application/json with the keys that docs/server.md names"


def add_job_routes(app: FastAPI, trainings: Trainings, dependencies: Sequence[params.Depends] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI."""
    router = APIRouter(
        prefix=PREFIX, dependencies=[Depends(refuse_other_sites), *dependencies], route_class=JobRoute, tags=["Jobs"]
    )
    _add_reading_routes(router, trainings)
    _add_picture_routes(router, trainings)
    _add_changing_routes(router, trainings)
    app.include_router(router)


def _add_reading_routes(router: APIRouter, trainings: Trainings) -> None:
    board = trainings.board

    def me(request: Request, response: Response) -> dict[str, Any]:
        """Who asks; a browser that is to be known again gets its cookie here."""
        if trainings.host.people.needs_cookie(request):
            is_https = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
            options: dict[str, Any] = {"httponly": True, "samesite": "strict", "secure": is_https, "max_age": KEPT_S}
            response.set_cookie(COOKIE, new_session(), **options)
            return {"name": "you", "admin": False}
        person = who(trainings, request)
        return {"name": person.name, "admin": person.is_admin}

    def list_jobs(
        request: Request, whose: str = "mine", state: str = "", search: str = "", count: int = ROWS
    ) -> Response:
        """The jobs, those under way first; 304 where nothing has changed."""
        count = min(max(count, 1), MOST_ROWS)
        with telling(trainings.host):
            found = listed(board, who(trainings, request), whose != "all", state, search, count)
        hide = hiding_folders(trainings.host)
        for row in found["jobs"]:
            row["message"] = hide(row["message"])
        return known_or_new(request, found)

    def see_job(request: Request, id: str) -> Response:
        """One job with its settings and log; 304 where nothing has changed."""
        with telling(trainings.host):
            found = detailed(board, who(trainings, request), id)
        hide = hiding_folders(trainings.host)
        found["message"] = hide(found["message"])
        found["log"] = [[at, hide(line)] for at, line in found["log"]]
        return known_or_new(request, found)

    def compare_jobs(request: Request, id: str, other: str) -> Response:
        """Two jobs with their settings and figures side by side."""
        with telling(trainings.host):
            return known_or_new(request, compared(board, who(trainings, request), (id, other)))

    routes: dict[str, Callable[..., Any]] = {
        "/me": me,
        "/jobs": list_jobs,
        "/jobs/{id}": see_job,
        "/jobs/{id}/beside/{other}": compare_jobs,
    }
    for path, answer in routes.items():
        router.add_api_route(path, answer, methods=["GET"], response_model=None)


def _add_picture_routes(router: APIRouter, trainings: Trainings) -> None:
    board = trainings.board

    def files(request: Request, id: str) -> Any:
        with telling(trainings.host):
            return files_of(board, looked_into(board, who(trainings, request), id))

    def records(request: Request, id: str) -> tuple[str, list[dict[str, Any]]]:
        with telling(trainings.host):
            job = looked_into(board, who(trainings, request), id)
            check_is_training(job)
            live = next((one for one in trainings.jobs() if one.id == id and not one.has_ended), None)
            found = list(live.watch().records) if live is not None else []
            return job.title, found or list(read_history(files_of(board, job).history))

    def curve(request: Request, id: str) -> Response:
        title, found = records(request, id)
        with telling(trainings.host), drawing:
            return Response(curve_picture(found, title), media_type="image/png", headers=ASKED_ANEW)

    def curves(request: Request, id: str, other: str, theme: str = "light") -> Response:
        runs = [records(request, one) for one in (id, other)]
        with telling(trainings.host), drawing:
            found = compared_curves(runs, shade_of(theme))
        return Response(found, media_type="image/png", headers=ASKED_ANEW)

    def preview(request: Request, id: str, step: int) -> FileResponse:
        return picture(files(request, id).preview(step))

    def small_preview(request: Request, id: str, step: int) -> Response:
        return jpeg(thumbnail(files(request, id), step))

    def contact_sheet(request: Request, id: str) -> FileResponse:
        return picture(files(request, id).contact_sheet)

    def training_set(request: Request, id: str, number: int) -> Response:
        return jpeg(training_picture(files(request, id), number))

    routes: dict[str, Callable[..., Any]] = {
        "/curve.png": curve,
        "/beside/{other}/curves.png": curves,
        "/previews/{step}.png": preview,
        "/previews/{step}/small.jpg": small_preview,
        "/contact-sheet.png": contact_sheet,
        "/pictures/{number}.jpg": training_set,
    }
    for path, answer in routes.items():
        router.add_api_route(f"/jobs/{{id}}{path}", answer, methods=["GET"], response_model=None)


def _add_changing_routes(router: APIRouter, trainings: Trainings) -> None:
    board = trainings.board

    def changing(change: Callable[[str, Person], None]) -> Callable[[Request, str], dict[str, Any]]:
        def order(request: Request, id: str) -> dict[str, Any]:
            with telling(trainings.host):
                change(id, who(trainings, request))
            return {}

        return order

    def ordering(order: SteeringOrder) -> Callable[[str, Person], None]:
        return lambda id, person: steering.steer(board, id, order, person)

    def move(request: Request, id: str, place: JobMove) -> dict[str, Any]:
        with telling(trainings.host):
            steering.move(board, id, place.before, who(trainings, request))
        return {}

    def prefer(request: Request, id: str, wanted: JobPriority) -> dict[str, Any]:
        with telling(trainings.host):
            steering.prefer(board, id, wanted.priority, who(trainings, request))
        return {}

    posted: dict[str, Callable[..., Any]] = {order: changing(ordering(order)) for order in steering.ORDERS}
    posted["share"] = changing(lambda id, person: steering.share(board, id, True, person))
    posted["unshare"] = changing(lambda id, person: steering.share(board, id, False, person))
    posted |= {"move": move, "priority": prefer}
    for order, answer in posted.items():
        name = f"{order}_job"
        router.add_api_route(f"/jobs/{{id}}/{order}", answer, methods=["POST"], name=name, response_model=None)
    delete = changing(lambda id, person: steering.delete(board, id, person))
    router.add_api_route("/jobs/{id}", delete, methods=["DELETE"], name="delete_job", response_model=None)


def who(trainings: Trainings, request: Request) -> Person:
    """Who asks."""
    with telling(trainings.host):
        return trainings.host.people.of(request, is_program=True)


def known_or_new(request: Request, answer: Mapping[str, Any]) -> Response:
    """`answer` as JSON, or 304 where the one who asks has just that already."""
    content = json.dumps(answer).encode()
    headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', **ASKED_ANEW}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def jpeg(content: bytes | None) -> Response:
    """A JPEG, or 404 where there is none."""
    if content is None:
        raise HTTPException(404, "This picture is not there.")
    return Response(content, media_type="image/jpeg", headers=KEPT_BY_BROWSER)
