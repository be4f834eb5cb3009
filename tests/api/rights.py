"""Who may what on the studio: every route asked by everybody. `python -m tests.api.rights` writes docs/rights.md."""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from pseudoword.jobs.job_board import JobBoard
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.jobs.scoring.clip_models import ClipModels
from pseudoword.jobs.scoring.scorings import Scorings
from pseudoword.jobs.server.people import People, Person, user_let_in
from pseudoword.jobs.training.training_job import TrainingJob
from pseudoword.jobs.training.trainings import Trainings
from tests.jobs.small_host import wait_until
from tests.jobs.small_library import library_host, put, toy
from tests.scoring.pictures import clip_folder
from tests.training.small_runs import SMALL, draw_pictures, settings
from tools.pages import ROOT, table, write_section

PAGE, SECTION = ROOT / "docs" / "rights.md", "rights"
PREFIX = "/pseudoword/v1"
WORD, PLUG = "zxqv-own", "zxqv-before-it"
LOGINS = {"ann": "a", "bob": "b", "root": "r"}
OWNERS_LOGIN = "ann"
OWNER, ADMIN, OTHER, SHARED, NOBODY = "Owner", "Admin", "Others", "Others, once it is shared", "Without a login"
ASKS = {OWNER: OWNERS_LOGIN, ADMIN: "root", OTHER: "bob", SHARED: "bob", NOBODY: None}
YES, NO, OWN, NOTHING, BY_ID = "yes", "no", "of his own", "finds nothing", "who has the id"

# What is sent along where a route wants something; without, it is asked with an empty body.
BODIES: Mapping[str, Any] = {
    "POST /trainings": {"settings": {**SMALL, "name": ""}},
    "POST /jobs/{id}/move": {"before": None},
    "POST /jobs/{id}/priority": {"priority": -1},
    "POST /prompts": {"prompt": "a cat"},
    "POST /expressions": {"expression": "zonk"},
    "POST /search": {"text": "a cat"},
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


@dataclass(frozen=True)
class Asked:
    """The answer to one who asked."""

    status: int
    text: str


class RightsStudio:
    """A studio with a word that its owner taught, and jobs of his in every state."""

    def __init__(self, app: FastAPI, trainings: Trainings, pictures: Path) -> None:
        self._client = TestClient(app, raise_server_exceptions=False)
        self._trainings, self._pictures, self._jobs = trainings, pictures, 0
        self._ids: dict[str, str] = {}
        self.routes = [*routes_of(app), *MORE]

    def ask(self, route: str, person: str, job: tuple[str, str]) -> Asked:
        """What `person`, a column of the table, gets for `route` on a `job`, its id and its word."""
        method, _, path = route.partition(" ")
        id, word = job
        numbers = {"step": "12", "number": "0", "row": "0", "shot": "0", "kind": "norms"}
        id = self._ids.get(path.split("/")[1], id)
        filled = path.format(id=id, other=id, name=word, **numbers) + QUERIES.get(route, "")
        login = ASKS[person]
        auth: Any = None if login is None else (login, LOGINS[login])
        body = BODIES.get(route, {}) if method == "POST" else None
        answer = self._client.request(method, PREFIX + filled, json=body, auth=auth)
        return Asked(answer.status_code, answer.text)

    def job(self, state: str) -> tuple[str, str]:
        """Id and word of a new job of the owner that waits, or is paused; or of the one that is finished."""
        if state == "finished":
            return self.start(WORD).id, WORD
        self._jobs += 1
        word = f"zxqv-{self._jobs}"
        training = self.start(word)
        if state == "paused":
            training.pause()
        return training.id, word

    def share(self, id: str, shared: bool) -> None:
        """Let everybody see a job, or no longer."""
        self._trainings.queue.store.change(id, shared=shared)

    def start(self, word: str, login: str = OWNERS_LOGIN, **changes: Any) -> TrainingJob:
        """A training of the owner, or of somebody else; the one that is there already or a new one."""
        found = self._trainings.called(word)
        if found is not None:
            return found
        wanted = settings(name=word, **changes)
        owner = Person(f"name:{login}", login)
        return self._trainings.start(wanted, sorted(self._pictures.iterdir()), uploaded=True, person=owner)

    def begin_what_has_ids(self) -> None:
        """Let the owner score pictures, compare layers and check a training set; each is found by its id alone."""
        sent = [
            {"name": path.name, "data": base64.b64encode(path.read_bytes()).decode()}
            for path in sorted(self._pictures.iterdir())
        ]
        bodies = {
            "scores": {"pictures": sent, "texts": ["a cat"]},
            "strips": {"kind": "layers", "prompt": "a cat", "layers": "1; 2", "seeds": [0], "steps": 1},
            "set-checks": {"pictures": sent},
        }
        auth = (OWNERS_LOGIN, LOGINS[OWNERS_LOGIN])
        for kind, body in bodies.items():
            answer = self._client.post(f"{PREFIX}/{kind}", json=body, auth=auth)
            assert answer.status_code in (200, 201), (kind, answer.text)
            self._ids[kind] = answer.json()["id"]
            path = f"{PREFIX}/{kind}/{self._ids[kind]}"
            wait_until(lambda path=path: self._client.get(path, auth=auth).json()["state"] == "finished")  # type: ignore[misc]


@contextmanager
def rights_studio(root: Path) -> Iterator[RightsStudio]:
    """Such a studio with its data in `root`; once the word is learned, the queue does not go on."""
    from pseudoword.studio import make_app

    (root / "library").mkdir()
    put(root / "library", toy("zonk"))
    host = library_host(root / "library")
    host = replace(
        host,
        folders=[],
        library_cache=root / "library.sqlite3",
        people=People(user_let_in, lambda: True, lambda: ["root"]),
        clips=ClipModels(host.turns, lambda: [clip_folder(root)]),
    )
    board = JobBoard(host)
    trainings, inspector, scorings = Trainings(host, board), Inspector(host, board), Scorings(host, board)

    async def make() -> FastAPI:  # outside a running loop Gradio opens loops of its own, and never closes them
        return make_app(trainings, inspector, scorings, "a tiny model", LOGINS)

    studio = RightsStudio(asyncio.run(make()), trainings, draw_pictures(root / "pictures"))
    studio.job("finished")
    finished = trainings.called(WORD)
    assert finished is not None
    finished.wait(60)
    shutil.copyfile(finished.files.preview(12), finished.files.preview(12, "-edits"))  # there is no CLIP to choose them
    studio.begin_what_has_ids()
    # Of somebody else, and never over: all others wait.
    studio.start(PLUG, "somebody", steps=100_000, validate_every=0, preview_every=0)
    yield studio
    inspector.strips.end()
    scorings.end()
    trainings.end()


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
    return found


def rights(studio: RightsStudio, route: str) -> dict[str, str]:
    """By person what he may of `route`: what the owner may is the measure."""
    state = STATES.get(route.rpartition("/")[2], "finished") if is_order(route) else "finished"
    if route.startswith("DELETE /jobs"):
        state = "paused"
    job = studio.job(state)
    answers = {NOBODY: studio.ask(route, NOBODY, job), OTHER: studio.ask(route, OTHER, job)}
    if about_a_job(route):
        studio.share(job[0], True)
        answers[SHARED] = studio.ask(route, SHARED, job)
        studio.share(job[0], False)
    answers[OWNER] = studio.ask(route, OWNER, job)
    answers[ADMIN] = studio.ask(route, ADMIN, studio.job(state))
    if route.startswith("GET /training/"):
        assert answers[OWNER].status == 200, (route, answers[OWNER])
    if about_a_job(route):  # what is refused to everybody says nothing about rights
        assert answers[OWNER].status == answers[ADMIN].status == 200, (route, answers[OWNER], answers[ADMIN])
    if route.split("/")[1] in ("scores", "strips", "set-checks") and "{id}" in route:
        return {person: BY_ID if answers[person].status == answers[OWNER].status else NO for person in answers} | {
            SHARED: ""
        }
    return {person: told(answers[person], answers[OWNER]) if person in answers else "" for person in ASKS}


def about_a_job(route: str) -> bool:
    """Whether it is about one job, which can be shared."""
    return "/jobs/{id}" in route or "/trainings/{name}" in route


def is_order(route: str) -> bool:
    """Whether it changes a job."""
    return about_a_job(route) and route.startswith("POST")


def told(answer: Asked, owner: Asked) -> str:
    """What a cell of the table says."""
    if answer.status in (401, 403):
        return NO
    if answer.status == 404 != owner.status:
        return NOTHING
    assert answer.status == owner.status or owner.status == 403, (answer, owner)
    return OWN if WORD in owner.text and WORD not in answer.text else YES


def rights_table(all_rights: Mapping[str, Mapping[str, str]]) -> str:
    """The table in Markdown."""
    rows: list[list[object]] = [
        [f"`{route}`", *(cells[person] for person in ASKS)] for route, cells in all_rights.items()
    ]
    return table(["Under `/pseudoword/v1`", *ASKS], rows)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder, rights_studio(Path(folder)) as studio:
        write_section(PAGE, SECTION, rights_table({route: rights(studio, route) for route in studio.routes}))


if __name__ == "__main__":
    main()
