"""What a page sees of the checks of training sets, under `/pseudoword/v1/set-checks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Response

from ..jobs.host import Host
from ..jobs.set_check.set_check_job import SetCheckWatched
from ..jobs.set_check.set_checks import SetChecks
from ..training.set_check import checked_json
from .answers import job_called, without_folders

PREFIX = "/pseudoword/v1/set-checks/{id}"


def add_set_check_routes(app: FastAPI, checks: SetChecks, dependencies: Sequence[Any] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI. All of them only read."""

    def watch(id: str) -> dict[str, Any]:
        """How a check stands, and what it found."""
        return seen(checks.host, job_called(checks.job, id).watch())

    def original(id: str, number: int) -> Response:
        """A picture as it is trained."""
        return picture(job_called(checks.job, id).original(number))

    def round_trip(id: str, number: int) -> Response:
        """What the VAE makes of it."""
        return picture(job_called(checks.job, id).round_trip(number))

    routes: dict[str, Callable[..., Any]] = {
        "": watch,
        "/{number}/original.png": original,
        "/{number}/round-trip.png": round_trip,
    }
    for path, answer in routes.items():
        app.add_api_route(PREFIX + path, answer, methods=["GET"], response_model=None, dependencies=list(dependencies))


def picture(found: bytes | None) -> Response:
    """A PNG, or 404 where it was not made."""
    if found is None:
        raise HTTPException(404, "This picture was not made.")
    return Response(found, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})


def seen(host: Host, watched: SetCheckWatched) -> dict[str, Any]:
    """What a page shows of a check, as plain JSON values, without the folders of this server."""
    rows = [
        {**checked_json(one), "has_round_trip": made}
        for one, made in zip(watched.checked, watched.has_round_trip, strict=True)
    ]
    skipped = [{"name": one.path.name, "reason": without_folders(host, one.reason)} for one in watched.skipped]
    return {
        "id": watched.id,
        "state": watched.state,
        "message": without_folders(host, watched.message),
        "done": watched.done,
        "total": watched.total,
        "seconds_left": watched.seconds_left,
        "size": watched.size,
        "clip": watched.clip,
        "remarks": [without_folders(host, remark) for remark in watched.remarks],
        "pictures": rows,
        "skipped": skipped,
    }
