"""Who may what of the studio's routes: each is asked by everybody, about a training, and about jobs of other kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from pseudoword.jobs.store.job_store import Job
from tests.api.rights_studio import (
    ADMIN,
    ASKS,
    BY_ID,
    NO,
    NOBODY,
    OTHER,
    OWNER,
    PREFIX,
    SHARED,
    YES,
    Asked,
    RightsStudio,
    told,
)
from tests.training.small_runs import SMALL

# What is sent along where a route wants something; without, it is asked with an empty body.
BODIES: Mapping[str, Any] = {
    "POST /trainings": {"settings": {**SMALL, "name": ""}},
    "POST /jobs/{id}/move": {"before": None},
    "POST /jobs/{id}/priority": {"priority": -1},
    "POST /prompts": {"prompt": "a cat"},
    "POST /expressions": {"expression": "zonk"},
    "POST /search": {"text": "a cat"},
    "POST /clips/download": {"name": "tiny-clip"},  # which is there already
}
QUERIES: Mapping[str, str] = {"GET /words": "?word=zonk", "GET /words/{kind}.png": "?word=zonk"}
FOUND_BY_ID = ("scores", "strips", "set-checks")
MORE = ("GET /jobs?whose=all",)  # the same route, asked in another way
# The state that a job must be in for an order to make sense; all other routes are asked about one that is finished.
STATES: Mapping[str, str] = {
    "pause": "waiting",
    "resume": "paused",
    "stop": "paused",
    "cancel": "waiting",
    "move": "waiting",
    "priority": "waiting",
}
KINDS: Mapping[str, tuple[str, str]] = {
    "layers": ("Comparison of layers", "strips"),
    "scoring": ("Scored folder", "scores"),
    "indexing": ("Reading for the search", ""),
}
"""Kinds of jobs beside trainings: what they are called, and below which address what came of them is seen."""
TOLD = "what it is about, what came of it, and the id by which that is seen"


def routes_of(app: FastAPI) -> list[str]:
    """All routes under the prefix, as "GET /jobs", without those that Gradio brings along."""
    found = list[str]()

    def look(routes: Any) -> None:
        for route in routes:
            inner = getattr(route, "original_router", None)  # how later versions of FastAPI keep included routers
            if inner is not None:
                look(inner.routes)
            elif getattr(route, "path", "").startswith(PREFIX):
                found.extend(f"{method} {route.path[len(PREFIX) :]}" for method in sorted(route.methods))

    look(app.routes)
    return [*found, *MORE]


def ask(studio: RightsStudio, route: str, person: str, job: Job) -> Asked:
    """What `person` gets for `route` on a `job`."""
    method, _, path = route.partition(" ")
    numbers = {"step": "12", "number": "0", "row": "0", "shot": "0", "kind": "norms"}
    id = studio.ids.get(path.split("/")[1], job.id)
    filled = path.format(id=id, other=id, name=job.title, **numbers) + QUERIES.get(route, "")
    return studio.ask(method, PREFIX + filled, person, BODIES.get(route, {}) if method == "POST" else None)


def rights(studio: RightsStudio, route: str) -> dict[str, str]:
    """By person what he may of `route`: what the owner may is the measure."""
    answers = asked_by_all(studio, route, "training")
    if route.startswith("GET /training/"):
        assert answers[OWNER].status == 200, (route, answers[OWNER])
    if about_a_job(route):  # what is refused to everybody says nothing about rights
        assert answers[OWNER].status == answers[ADMIN].status == 200, (route, answers[OWNER], answers[ADMIN])
    if is_found_by_id(route) and answers[OTHER].status == answers[OWNER].status:
        return {person: NO if answers[person].status == 401 else BY_ID for person in answers} | {SHARED: ""}
    return cells_of(answers)


def rights_of_kind(studio: RightsStudio, kind: str) -> dict[str, dict[str, str]]:
    """By route, of those that a job of that kind has something to answer, by person what he may."""
    found = {}
    for route in routes_of(studio.app):
        if "/jobs/{id}" in route:
            answers = asked_by_all(studio, route, kind)
            if answers[OWNER].status == 200:
                found[route] = cells_of(answers)
            else:  # it has none of these, and that is told to nobody who may not know more
                assert answers[OWNER].status in (404, 409) and answers[OTHER].status == 403, (kind, route, answers)
    found[TOLD] = {person: NO if person == NOBODY else known(studio, kind, person) for person in ASKS}
    if place := KINDS[kind][1]:
        answers = {}
        for person in (ADMIN, NOBODY, OTHER, SHARED, OWNER):
            job = studio.job(kind, "waiting")
            studio.share(job, person == SHARED)
            answers[person] = studio.ask("DELETE", f"{PREFIX}/{place}/{job.folder.rpartition('/')[2]}", person)
        found[f"DELETE /{place}/{{id}}"] = cells_of(answers)
    return found


def known(studio: RightsStudio, kind: str, person: str) -> str:
    """Whether the list of jobs tells `person` more of a finished job than that it is there."""
    job = studio.job(kind, "finished")
    studio.share(job, person == SHARED)
    answer = studio.ask("GET", f"{PREFIX}/jobs?whose=all&state=finished&count=2000", person)
    [row] = [one for one in json.loads(answer.text)["jobs"] if one["id"] == job.id]
    studio.share(job, False)
    facts = [row["about"], row["says"], row["result"] or not KINDS[kind][1], row["may_look"]]
    assert all(facts) or not any(facts[:2]), row
    return YES if all(facts) else NO


def asked_by_all(studio: RightsStudio, route: str, kind: str) -> dict[str, Asked]:
    """What everybody gets for `route` on a job of that kind, the owner and the admin last: they may change it."""
    state = STATES.get(route.rpartition("/")[2], "finished") if is_order(route) else "finished"
    if route.startswith("DELETE /jobs"):
        state = "paused"
    job = studio.job(kind, state)
    answers = {NOBODY: ask(studio, route, NOBODY, job), OTHER: ask(studio, route, OTHER, job)}
    if about_a_job(route):
        studio.share(job, True)
        answers[SHARED] = ask(studio, route, SHARED, job)
        studio.share(job, False)
    answers[OWNER] = ask(studio, route, OWNER, job)
    answers[ADMIN] = ask(studio, route, ADMIN, studio.job(kind, state))
    return answers


def cells_of(answers: Mapping[str, Asked]) -> dict[str, str]:
    """A row of the table."""
    return {person: told(answers[person], answers[OWNER]) if person in answers else "" for person in ASKS}


def about_a_job(route: str) -> bool:
    """Whether it is about one job, which can be shared."""
    return "/jobs/{id}" in route or "/trainings/{name}" in route


def is_order(route: str) -> bool:
    """Whether it changes a job."""
    return about_a_job(route) and route.startswith("POST")


def is_found_by_id(route: str) -> bool:
    """Whether it is about what has a secret id."""
    return route.split("/")[1] in FOUND_BY_ID and "{id}" in route
