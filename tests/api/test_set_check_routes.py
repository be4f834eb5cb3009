"""Checks of training sets over real HTTP: what the page reads, and what programs ask for."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from pseudoword.api import set_check_schemas
from pseudoword.api.program_routes import add_program_routes
from pseudoword.api.set_check_program_routes import add_set_check_program_routes
from pseudoword.api.set_check_routes import add_set_check_routes
from pseudoword.jobs.host import Host
from pseudoword.jobs.training.trainings import Trainings
from pseudoword.jobs.watched_job import ENDED
from tests.jobs.small_host import PATIENCE_S, small_host
from tests.training.small_runs import WORD, draw_pictures

pytest.importorskip("open_clip")

ROUTE = "/pseudoword/v1/set-checks"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return small_host(tmp_path / "runs")


@pytest.fixture
def client(host: Host) -> Iterator[TestClient]:
    yield from client_for(host)


def client_for(host: Host) -> Iterator[TestClient]:
    app, trainings = FastAPI(), Trainings(host)
    add_set_check_routes(app, trainings.checks)
    add_set_check_program_routes(app, trainings.checks)
    add_program_routes(app, trainings)
    with TestClient(app) as client:
        yield client
    trainings.end()


def ended(client: TestClient, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer about a check that was asked for, at its end."""
    answer = client.post(ROUTE, json=asked)
    assert answer.status_code == 201, answer.text
    found = dict(answer.json())
    ends = time.monotonic() + PATIENCE_S
    while found["state"] not in ENDED:
        assert time.monotonic() < ends
        time.sleep(0.02)
        found = client.get(f"{ROUTE}/{found['id']}").json()
    return found


def sent(name: str, colour: str, **more: str) -> dict[str, str]:
    """A picture as a program sends it."""
    buffer = io.BytesIO()
    Image.new("RGB", (48, 48), colour).save(buffer, "PNG")
    return {"name": name, "data": base64.b64encode(buffer.getvalue()).decode(), **more}


def test_a_folder_is_checked_and_its_pictures_can_be_seen(client: TestClient, tmp_path: Path) -> None:
    found = ended(client, {"folder": str(draw_pictures(tmp_path / "set"))})
    assert found["state"] == "finished" and found["size"] == 32 and found["done"] == found["total"] == 12
    assert [one["name"] for one in found["pictures"]] == ["0.png", "1.png", "2.png", "3.png"]
    assert all(one["has_round_trip"] and one["psnr"] > 0 for one in found["pictures"])
    for which in ("original", "round-trip"):
        answer = client.get(f"{ROUTE}/{found['id']}/0/{which}.png")
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).size == (256, 256)
    assert client.get(f"{ROUTE}/{found['id']}/4/original.png").status_code == 404
    assert client.get(f"{ROUTE}/another").status_code == 404
    assert client.get(f"{ROUTE}/another/0/original.png").status_code == 404


def test_the_answer_is_as_the_schema_says(client: TestClient, tmp_path: Path) -> None:
    found = ended(client, {"folder": str(draw_pictures(tmp_path / "set")), "round_trips": False})
    assert set_check_schemas.SetCheckAnswer(**found)
    assert set_check_schemas.SetCheckAnswer(**set_check_schemas.ANSWER_EXAMPLE)
    assert all(one["psnr"] is None for one in found["pictures"])


def test_pictures_that_are_sent_along_are_checked(client: TestClient) -> None:
    pictures = [sent("red.png", "red", caption="a wall"), sent("blue.png", "blue")]
    pictures.append({"name": "no.png", "data": base64.b64encode(b"no picture").decode()})
    found = ended(client, {"pictures": pictures, "settings": {"size": 64}})
    assert [(one["caption"], one["leave_out"]) for one in found["pictures"]] == [("a wall", False), ("", False)]
    assert found["skipped"][0]["name"] == "003-no.png" and found["size"] == 64


def test_a_check_can_be_cancelled(client: TestClient, host: Host, tmp_path: Path) -> None:
    with host.turns:
        id = client.post(ROUTE, json={"folder": str(draw_pictures(tmp_path / "set"))}).json()["id"]
        assert client.delete(f"{ROUTE}/{id}").status_code == 200
    ends = time.monotonic() + PATIENCE_S
    while client.get(f"{ROUTE}/{id}").json()["state"] != "cancelled":
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert client.delete(f"{ROUTE}/another").status_code == 404


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "no pictures"),
        ({"folder": "/nowhere/at/all"}, "does not exist"),
        ({"folder": "/tmp", "pictures": [sent("a.png", "red")]}, "one of the two"),
        ({"folder": "/tmp", "settings": {"size": 5}}, "size is 5"),
        ({"folder": "/tmp", "settings": {"templates": "/nowhere.txt"}}, "template file"),
        ({"pictures": [{"name": "a.png", "data": "%"}]}, "base64"),
        ({"folder": 5}, "'pictures' or 'folder'"),
        ({"images": "x"}, "'pictures' or 'folder'"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_a_sentence(client: TestClient, asked: Any, said: str) -> None:
    answer = client.post(ROUTE, json=asked)
    assert answer.status_code == 422 and said in answer.json()["detail"]


def test_folders_outside_of_the_open_ones_are_refused(host: Host, tmp_path: Path) -> None:
    for client in client_for(replace(host, folders=[tmp_path / "open"])):
        answer = client.post(ROUTE, json={"folder": str(draw_pictures(tmp_path / "closed"))})
        assert answer.status_code == 422 and "outside" in answer.json()["detail"]


def test_other_sites_cannot_start_a_check(client: TestClient, tmp_path: Path) -> None:
    asked = {"folder": str(draw_pictures(tmp_path / "set"))}
    assert client.post(ROUTE, json=asked, headers={"Origin": "http://elsewhere.example"}).status_code == 403


def test_a_training_is_told_which_pictures_of_a_folder_to_leave_out(client: TestClient, tmp_path: Path) -> None:
    folder = str(draw_pictures(tmp_path / "set"))
    asked = {"settings": {"name": WORD, "start": "the dog", "steps": 5}, "folder": folder}
    answer = client.post("/pseudoword/v1/trainings", json={**asked, "leave_out": ["9.png"]})
    assert answer.status_code == 422 and "no picture called '9.png'" in answer.json()["detail"]
    answer = client.post("/pseudoword/v1/trainings", json={**asked, "leave_out": ["0.png"]})
    assert answer.status_code == 201, answer.text
    ends = time.monotonic() + PATIENCE_S
    while client.get(f"/pseudoword/v1/trainings/{WORD}").json()["pictures"] != 3:
        assert time.monotonic() < ends
        time.sleep(0.02)
