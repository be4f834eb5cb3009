"""A studio of several people, with jobs of every kind that belong to one of them: what everybody gets of it."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from pseudoword.jobs import steering
from pseudoword.jobs.job_board import JobBoard
from pseudoword.jobs.layers.checkpoint_layers import CheckpointLayers
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.jobs.queued_jobs import FOLDER
from pseudoword.jobs.scoring.clip_models import ClipModels
from pseudoword.jobs.scoring.score_request import ScoreRequest
from pseudoword.jobs.scoring.scorings import Scorings
from pseudoword.jobs.server.people import People, Person, user_let_in
from pseudoword.jobs.store.job_store import Job
from pseudoword.jobs.training.training_job import TrainingJob
from pseudoword.jobs.training.trainings import Trainings
from tests.jobs.small_host import wait_until
from tests.jobs.small_library import library_host, put, toy
from tests.scoring.pictures import clip_folder
from tests.training.small_runs import draw_pictures, settings

PREFIX = "/pseudoword/v1"
WORD = "zxqv-own"
LOGINS = {"ann": "a", "bob": "b", "root": "r"}
OWNERS_LOGIN = "ann"
ANN, BOB = Person(f"name:{OWNERS_LOGIN}", OWNERS_LOGIN), Person("name:bob", "bob")
OWNER, ADMIN, OTHER, SHARED, NOBODY = "Owner", "Admin", "Others", "Others, once it is shared", "Without a login"
ASKS = {OWNER: OWNERS_LOGIN, ADMIN: "root", OTHER: "bob", SHARED: "bob", NOBODY: None}
YES, NO, OWN, NOTHING, BY_ID = "yes", "no", "of his own", "finds nothing", "who has the id"


@dataclass(frozen=True)
class Asked:
    """The answer to one who asked."""

    status: int
    text: str


class RightsStudio:
    """A studio with a word that its owner taught, and a finished job of each other kind; all further jobs wait."""

    def __init__(
        self, app: FastAPI, trainings: Trainings, inspector: Inspector, scorings: Scorings, pictures: Path
    ) -> None:
        self._client = TestClient(app, raise_server_exceptions=False)
        self.app, self.trainings, self.inspector, self.scorings = app, trainings, inspector, scorings
        self.pictures = pictures
        self._jobs = self.words = 0
        self.ids: dict[str, str] = {}

    def ask(self, method: str, path: str, person: str, body: Any = None) -> Asked:
        """What `person`, a column of the table, gets at an address of the server."""
        login = ASKS[person]
        auth: Any = None if login is None else (login, LOGINS[login])
        answer = self._client.request(method, path, json=body, auth=auth)
        return Asked(answer.status_code, answer.text)

    # ---- jobs of the owner -----------------------------------------------------------------------------------------

    def job(self, kind: str, state: str) -> Job:
        """A job of the owner of that kind which waits, or is paused; or the one that is finished."""
        if state == "finished":
            return self.trainings.queue.store.jobs(owner=ANN.owner, kinds=[kind], states=["finished"])[0][0]
        job = self._waiting(kind)
        if state == "paused":
            steering.steer(self.trainings.board, job.id, "pause", ANN)
        return self.trainings.board.job(job.id)

    def _waiting(self, kind: str) -> Job:
        if kind == "training":
            self._jobs += 1
            return self.trainings.board.job(self.teach(f"zxqv-{self._jobs}").id)
        if kind == "scoring":  # over HTTP one waits for what comes of it
            id = self.scorings.start(ScoreRequest((), self.pictures, labels=("a cat",)), person=ANN).id
        elif kind == "layers":
            id = str(self._asked("strips", LAYERS)["id"])
        else:
            self._asked("search/index", {"order": "start", "folder": str(self.pictures)})
            opened = self.scorings.search.opened()
            work = self.scorings.search.job(opened)
            assert work is not None
            id = work.id
        found = self.trainings.queue.store.of_folder(f"{FOLDER}/{id}")
        assert found is not None
        return found

    def teach(self, word: str) -> TrainingJob:
        """A training of the owner."""
        pictures = sorted(self.pictures.iterdir())
        return self.trainings.start(settings(name=word), pictures, uploaded=True, person=ANN)

    def share(self, job: Job, shared: bool) -> None:
        """Let everybody see a job, or no longer."""
        steering.share(self.trainings.board, job.id, shared, ANN)

    def end_what_is_kept(self) -> None:
        """End strips and checks, which are no jobs of the list."""
        self.inspector.strips.end()
        self.trainings.checks.end()

    # ---- what there is from the beginning --------------------------------------------------------------------------

    def _asked(self, route: str, body: Any) -> Any:
        """What the owner gets."""
        answer = self.ask("POST", f"{PREFIX}/{route}", OWNER, body)
        assert answer.status in (200, 201), (route, answer)
        return json.loads(answer.text)

    def finish_one_of_each(self) -> None:
        """Let the owner teach a word, score pictures and a folder, compare layers, and check a training set."""
        word = self.teach(WORD)
        word.wait(60)
        shutil.copyfile(word.files.preview(12), word.files.preview(12, "-edits"))  # there is no CLIP to choose them
        sent = [
            {"name": path.name, "data": base64.b64encode(path.read_bytes()).decode()}
            for path in sorted(self.pictures.iterdir())
        ]
        bodies = {"scores": {"pictures": sent, "texts": ["a cat"]}, "strips": LAYERS, "set-checks": {"pictures": sent}}
        for kind, body in bodies.items():
            self.ids[kind] = self._asked(kind, body)["id"]
            path = f"{PREFIX}/{kind}/{self.ids[kind]}"
            wait_until(lambda path=path: json.loads(self.ask("GET", path, OWNER).text)["state"] == "finished")  # type: ignore[misc]
        for kind in ("scoring", "indexing"):
            id = self._waiting(kind).id
            wait_until(lambda id=id: self.trainings.board.job(id).state == "finished")  # type: ignore[misc]


LAYERS = {"kind": "layers", "prompt": "a cat", "layers": "1; 2", "seeds": [0], "steps": 1}


@contextmanager
def rights_studio(root: Path) -> Iterator[RightsStudio]:
    """Such a studio with its data in `root`."""
    (root / "library").mkdir()
    put(root / "library", toy("zonk"))
    host, clip = library_host(root / "library"), clip_folder(root)
    begins = threading.Event()
    begins.set()
    host = replace(
        host,
        folders=[root / "pictures"],
        library_cache=root / "library.sqlite3",
        features=root / "features.sqlite",
        checkpoint_layers=CheckpointLayers(root / "layers.json"),
        checkpoint=lambda: ("5" * 64, "tiny"),
        people=People(user_let_in, lambda: True, lambda: ["root"]),
        clips=ClipModels(host.turns, lambda: [clip]),
        is_ready=begins.is_set,
    )
    board = JobBoard(host)
    trainings, inspector, scorings = Trainings(host, board), Inspector(host, board), Scorings(host, board)

    async def make() -> FastAPI:  # outside a running loop Gradio opens loops of its own, and never closes them
        from pseudoword.studio import make_app

        return make_app(trainings, inspector, scorings, "a tiny model", LOGINS)

    studio = RightsStudio(asyncio.run(make()), trainings, inspector, scorings, draw_pictures(root / "pictures"))
    studio.finish_one_of_each()
    begins.clear()
    yield studio
    inspector.strips.end()
    scorings.end()
    trainings.end()


def told(answer: Asked, owner: Asked) -> str:
    """What a cell of the table says of an answer, beside the one that the owner got."""
    if answer.status in (401, 403):
        return NO
    if answer.status == 404 != owner.status:
        return NOTHING
    assert answer.status == owner.status or owner.status == 403, (answer, owner)
    return OWN if WORD in owner.text and WORD not in answer.text else YES
