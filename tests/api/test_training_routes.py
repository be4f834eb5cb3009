"""What a page reads of a training, over real HTTP routes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pseudoword.api.training_routes import PREFIX, add_training_routes
from pseudoword.jobs.training.trainings import Trainings
from tests.jobs.small_host import small_host
from tests.training.small_runs import WORD, draw_pictures, settings

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    return Trainings(small_host(tmp_path / "runs"))


@pytest.fixture
def client(trainings: Trainings) -> Iterator[TestClient]:
    app = FastAPI()
    add_training_routes(app, trainings)
    with TestClient(app) as client:
        yield client


def test_before_any_training_there_is_nothing_to_see(client: TestClient) -> None:
    assert client.get(PREFIX).json() == {"state": "idle"}
    for picture in ("curve.png", "contact-sheet.png", "previews/0.png", "previews/0/edits.png"):
        assert client.get(f"{PREFIX}/{picture}").status_code == 404


def test_a_training_is_seen_with_its_figures_and_pictures(
    client: TestClient, trainings: Trainings, tmp_path: Path
) -> None:
    trainings.start(settings(), [draw_pictures(tmp_path / "given")], uploaded=False).wait(60)
    seen = client.get(PREFIX).json()
    assert (seen["state"], seen["name"], seen["step"], seen["steps"]) == ("finished", WORD, 12, 12)
    assert seen["best_loss"] <= seen["validation_loss"]
    assert [preview["step"] for preview in seen["previews"]] == sorted({0, 6, 12, seen["best_step"]})
    for picture in ("curve.png", "contact-sheet.png", "previews/12.png", "previews/12/edits.png"):
        answer = client.get(f"{PREFIX}/{picture}")
        assert answer.status_code == 200 and answer.content.startswith(PNG)
    assert client.get(f"{PREFIX}/previews/7.png").status_code == 404


def test_no_path_of_the_server_is_told(client: TestClient, trainings: Trainings, tmp_path: Path) -> None:
    trainings.start(settings(), [draw_pictures(tmp_path / "given")], uploaded=False).wait(60)
    assert str(tmp_path) not in json.dumps(client.get(PREFIX).json())


@pytest.mark.parametrize(
    "path", ["previews/..%2f..%2fsettings.png", "previews/%00.png", "previews/-1.png", "previews/x.png"]
)
def test_only_pictures_of_steps_can_be_asked_for(
    client: TestClient, trainings: Trainings, tmp_path: Path, path: str
) -> None:
    trainings.start(settings(), [draw_pictures(tmp_path / "given")], uploaded=False).wait(60)
    assert client.get(f"{PREFIX}/{path}").status_code in (404, 422)
