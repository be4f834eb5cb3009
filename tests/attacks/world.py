"""A studio that others come in to, with one folder that they may name, beside one that they may not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from pseudoword.api.all_routes import add_routes_for_programs, add_routes_of_page
from pseudoword.api.server_routes import add_server_routes
from pseudoword.jobs.job_board import JobBoard
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.jobs.scoring.clip_models import ClipModels
from pseudoword.jobs.scoring.scorings import Scorings
from pseudoword.jobs.server.people import COOKIE, People, Person, new_session
from pseudoword.jobs.server.server_log import logging_to
from pseudoword.jobs.training.trainings import Trainings
from pseudoword.ui.gradio_versions import IS_OLD
from tests.jobs.small_library import library_host, put, toy
from tests.scoring.pictures import clip_folder
from tests.training.small_runs import draw_pictures, settings

PREFIX = "/pseudoword/v1"
OWN = "zxqv-own"  # somebody's word
SOMEBODY = Person("name:ann", "ann")
MARK = "hidden-treasure"  # what every file says that nobody may read, in its name and in its text


@dataclass(frozen=True)
class World:
    """`data` is what the studio writes to, `allowed` what may be named, `secret` what may not."""

    root: Path
    data: Path
    allowed: Path
    secret: Path
    trainings: Trainings
    inspector: Inspector
    scorings: Scorings
    client: TestClient

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
        """Status and text of an answer, which tells nothing that nobody is to know."""
        answer = self.client.request(method, path if path.startswith("/") else f"{PREFIX}/{path}", json=body, **more)
        return answer.status_code, answer.text

    def begin(self) -> None:
        """Learn a word, whose pictures are somebody's own from then on."""
        pictures = sorted(self.secret.glob("*.png"))
        self.trainings.start(settings(name=OWN), pictures, uploaded=True, person=SOMEBODY).wait(60)


@contextmanager
def made(root: Path) -> Iterator[World]:
    """Such a world in `root`."""
    data, allowed, secret = root / "data", root / "allowed", root / "secret"
    for folder in (data / "library", allowed, secret):
        folder.mkdir(parents=True)
    draw_pictures(allowed / "cat")
    for path in draw_pictures(secret).iterdir():
        path.rename(secret / f"{MARK}-{path.name}")
    (secret / f"{MARK}.txt").write_text(f"a photo of a [name], {MARK}\n")
    put(secret, toy(MARK))
    put(data / "library", toy("zonk"))
    (allowed / "link").symlink_to(secret)
    (allowed / "linked").mkdir()
    (allowed / "linked" / "cat.png").symlink_to(secret / f"{MARK}-0.png")
    (allowed / "words").mkdir()
    (allowed / "words" / "moon.safetensors").symlink_to(secret / f"{MARK}.safetensors")
    clip = clip_folder(data)
    host = library_host(
        data / "library",
        folders=[allowed],
        outputs=lambda: [allowed],
        library_cache=data / "library.sqlite3",
        features=data / "features.sqlite",
        runs=data / "runs",
        people=People(by_browser=lambda: True, admins=lambda: ()),
        clips=ClipModels(library_host(data / "library").turns, lambda: [clip]),
    )
    board = JobBoard(host)
    trainings, inspector, scorings = Trainings(host, board), Inspector(host, board), Scorings(host, board)
    with logging_to(host.runs, host.measures):
        app = app_of(trainings, inspector, scorings)
        client = TestClient(app, "http://studio.example", raise_server_exceptions=False)
        client.cookies.set(COOKIE, new_session())
        yield World(root, data, allowed, secret, trainings, inspector, scorings, client)
        inspector.strips.end()
        scorings.end()
        trainings.end()


def app_of(trainings: Trainings, inspector: Inspector, scorings: Scorings) -> FastAPI:
    """The studio; where the WebUI's Gradio is installed, its routes."""
    if not IS_OLD:
        from pseudoword.studio import make_app

        async def make() -> FastAPI:  # outside a running loop Gradio opens loops of its own, and never closes them
            return make_app(trainings, inspector, scorings, "a tiny model")

        return asyncio.run(make())
    app = FastAPI()
    add_server_routes(app, trainings)
    add_routes_of_page(app, trainings, inspector, scorings)
    add_routes_for_programs(app, trainings, inspector, scorings)
    return app


def listing(root: Path, besides: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything below `root`, but what is in `besides`."""
    found = {}
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if Path(place, name) != besides]
        for name in (*folders, *names):
            status = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = (status.st_size, status.st_mtime_ns)
    return found
