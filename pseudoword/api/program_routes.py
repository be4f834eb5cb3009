"""Trainings for programs, under `/pseudoword/v1/trainings`: started, listed, watched, paused, resumed and ended.

Whatever is refused is answered with one sentence under "detail". Requests and answers are described in `schemas`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, params

from ..errors import SettingsError
from ..jobs.server.people import Person
from ..jobs.store.job_store import Job
from ..jobs.training.training_job import ENDED, State, TrainingJob
from ..jobs.training.trainings import Trainings
from ..training.settings import Description, TrainSettings, describe_settings
from . import schemas
from .answers import refuse_other_sites, telling
from .sentence_route import SentenceRoute, answered, refusals
from .training_routes import seen
from .uploads import store

PREFIX = "/pseudoword/v1"
LOOK_AGAIN_S = 0.02
PATIENCE_S = 10.0  # an order counts at the next step; on a large model this may be later, and the answer says so

KINDS = {bool: "boolean", int: "integer", float: "number", str: "string"}
PROBLEMS: dict[int, str] = {
    403: "It is somebody else's",
    404: "There is no such training",
    409: "Not in the present state: the order makes no sense now",
    422: "The request, a setting, or the pictures cannot be used",
    429: "More than this server allows",
}


@dataclass(frozen=True)
class Order:
    """What may be asked of a training: in which states it makes sense, and which states show that it was followed."""

    sensible: tuple[State, ...]
    followed: tuple[State, ...]
    participle: str
    meaning: str


ORDERS = {
    "pause": Order(
        ("waiting", "preparing", "training"),
        ("paused", *ENDED),
        "paused",
        "Save what was learned and leave the model to others until the training is resumed.",
    ),
    "resume": Order(
        ("paused",),
        ("waiting", "preparing", "training", *ENDED),
        "resumed",
        "Go on after a pause, a failure, or a restart of the server from the checkpoint, as soon as it is its turn.",
    ),
    "stop": Order(
        ("waiting", "preparing", "training", "paused"),
        ENDED,
        "stopped",
        "End now and keep the word as it was at its best step; before the first step there is nothing to keep.",
    ),
    "cancel": Order(("waiting", "preparing", "training", "paused"), ENDED, "cancelled", "End now and remove the run."),
}


class TrainingRoute(SentenceRoute):
    """A route about trainings."""

    wanted = "send application/json with 'settings', and 'pictures' or 'folder'"


def add_program_routes(app: FastAPI, trainings: Trainings, dependencies: Sequence[params.Depends] = ()) -> None:
    """Add the routes to `app`. Every one of them asks `dependencies`, which raise HTTPException to refuse a caller."""
    router = APIRouter(
        prefix=PREFIX,
        dependencies=[Depends(refuse_other_sites), *dependencies],
        route_class=TrainingRoute,
        tags=["Pseudoword trainings"],
        responses=refused(422),
    )
    _add_reading_routes(router, trainings)
    _add_ordering_routes(router, trainings)
    app.include_router(router)


def _add_reading_routes(router: APIRouter, trainings: Trainings) -> None:
    def list_trainings() -> dict[str, Any]:
        """The trainings since the start of the server, the latest first, and the runs that were interrupted before."""
        with telling(trainings.host):
            found: dict[str, str] = {}
            for job in trainings.jobs():
                found.setdefault(job.settings.name, job.watch().state)
            for name in trainings.interrupted():
                found.setdefault(name, "interrupted")
        return {"trainings": [{"name": name, "state": state} for name, state in found.items()]}

    def watch_training(request: Request, name: str) -> dict[str, Any]:
        """How a training stands now."""
        with telling(trainings.host):
            job = called(trainings, name, who(trainings, request).check_may_look_into)
            if job is not None:
                return seen(trainings, job)
            if name in trainings.interrupted():
                return {"name": name, "state": "interrupted"}
        raise unknown(name)

    def list_settings() -> list[dict[str, Any]]:
        """All training settings: what they mean, what they may be, and what holds where they are left out."""
        return [setting_as_json(description) for description in describe_settings()]

    router.add_api_route(
        "/trainings",
        list_trainings,
        methods=["GET"],
        response_model=schemas.TrainingList,
        openapi_extra=answered(200, schemas.LIST_EXAMPLE),
    )
    router.add_api_route(
        "/trainings/{name}",
        watch_training,
        methods=["GET"],
        response_model=schemas.TrainingAnswer | schemas.InterruptedAnswer,
        responses=refused(403, 404),
        openapi_extra=answered(200, schemas.TRAINING_EXAMPLE),
    )
    router.add_api_route(
        "/settings",
        list_settings,
        methods=["GET"],
        response_model=list[schemas.SettingAnswer],
        openapi_extra=answered(200, schemas.SETTINGS_EXAMPLE),
    )


def _add_ordering_routes(router: APIRouter, trainings: Trainings) -> None:
    def start_training(http: Request, request: schemas.TrainingRequest) -> dict[str, Any]:
        """Learn a new word. One training at a time is under way; others wait for their turn."""
        with telling(trainings.host):
            return seen(trainings, start(trainings, request, who(trainings, http)))

    def giving(order: str) -> Callable[[Request, str], dict[str, Any]]:
        def give_order(request: Request, name: str) -> dict[str, Any]:
            with telling(trainings.host):
                return seen(trainings, give(trainings, name, order, who(trainings, request)))

        return give_order

    router.add_api_route(
        "/trainings",
        start_training,
        methods=["POST"],
        status_code=201,
        response_model=schemas.TrainingAnswer,
        responses=refused(409, 429),
        openapi_extra={
            "requestBody": {"content": {"application/json": {"examples": schemas.REQUEST_EXAMPLES}}},
            **answered(201, schemas.TRAINING_EXAMPLE),
        },
    )
    for order in ORDERS:
        router.add_api_route(
            f"/trainings/{{name}}/{order}",
            giving(order),
            methods=["POST"],
            name=f"{order}_training",
            description=ORDERS[order].meaning,
            response_model=schemas.TrainingAnswer,
            responses=refused(403, 404, 409),
            openapi_extra=answered(200, schemas.TRAINING_EXAMPLE),
        )


# ---- what is asked of a training -----------------------------------------------------------------------------------


def who(trainings: Trainings, request: Request) -> Person:
    """Who asks."""
    return trainings.host.people.of(request, is_program=True)


def start(trainings: Trainings, request: schemas.TrainingRequest, person: Person) -> TrainingJob:
    """The training that `request` describes, for `person`. Raises PseudowordError where it cannot begin."""
    settings = TrainSettings.from_dict({**trainings.host.defaults(), **request.settings})
    folder = (request.folder or "").strip()
    if request.pictures and folder:
        raise SettingsError("There are pictures and a folder; give one of the two.")
    if not request.pictures:
        if not folder:
            raise SettingsError("There are no pictures; give 3 to 10 in 'pictures', or a 'folder' of them.")
        left_out = {Path(os.path.expanduser(folder), name) for name in request.leave_out}
        return trainings.start(settings, [Path(folder)], uploaded=False, person=person, left_out=left_out)
    # A file that something else still reads, such as a virus scanner, is no reason to call a training failed.
    with TemporaryDirectory(prefix="pseudoword-", ignore_cleanup_errors=True) as temporary:
        files = store(request.pictures, Path(temporary))
        return trainings.start(settings, files, uploaded=True, person=person)


def give(trainings: Trainings, name: str, order: str, person: Person) -> TrainingJob:
    """Give `order` to the training called `name`, and wait a while for it to be followed.

    Raises HTTPException where there is none or it is in no state for that, TrainingError where it cannot go on,
    NotYours where it is not that of `person`.
    """
    job, asked = called(trainings, name, person.check_may), ORDERS[order]
    is_interrupted = (job is None or job.has_ended) and name in trainings.interrupted()
    if is_interrupted and order == "resume":
        return trainings.go_on(name, person)
    if job is None:
        raise senseless(name, "interrupted", order) if is_interrupted else unknown(name)
    state = job.watch().state
    # Even where its state does not ask for it: an earlier order may not have been followed yet, and this one is later.
    # A job ignores what makes no sense.
    getattr(job, order)()
    if state not in asked.sensible:
        raise senseless(name, state, order)
    ends = time.monotonic() + PATIENCE_S
    while job.watch().state not in asked.followed and time.monotonic() < ends:
        time.sleep(LOOK_AGAIN_S)
    return job


def called(trainings: Trainings, name: str, check: Callable[[Job], None]) -> TrainingJob | None:
    """The latest training called `name`, if it is in memory; `check` raises NotYours for jobs that are none of his."""
    trainings.open()
    training, store = trainings.called(name), trainings.queue.store
    job = store.of_folder(name) if training is None else store.job(training.id)
    if job is not None:
        check(job)
    return training


# ---- what is answered ----------------------------------------------------------------------------------------------


def unknown(name: str) -> HTTPException:
    """That there is no training called `name`."""
    return HTTPException(404, f"There is no training called {name!r}; {PREFIX}/trainings lists those there are.")


def senseless(name: str, state: str, order: str) -> HTTPException:
    """That `order` makes no sense in `state`."""
    asked = ORDERS[order]
    *most, last = (*asked.sensible, "interrupted") if order == "resume" else asked.sensible
    states = f"{', '.join(most)} or {last}"
    return HTTPException(
        409, f"The state of {name} is {state!r}; only a training that is {states} can be {asked.participle}."
    )


def setting_as_json(description: Description) -> dict[str, Any]:
    """`description` as plain JSON values."""
    allowed = description.allowed
    return {
        "name": description.name,
        "meaning": allowed.meaning,
        "type": KINDS[description.kind],
        "nullable": description.optional,
        "required": description.required,
        "default": description.default,
        "choices": list(description.choices),
        "unit": allowed.unit,
        "range": allowed.range,
        "low": allowed.low,
        "low_excluded": allowed.low_excluded,
        "high": allowed.high,
        "multiple": allowed.multiple,
    }


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How refusals are described to readers of the schema."""
    return refusals({status: PROBLEMS[status] for status in statuses})
