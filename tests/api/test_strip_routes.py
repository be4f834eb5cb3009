"""What a page reads of a strip of pictures, over real HTTP routes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from PIL import Image

from pseudoword.api.strip_routes import PREFIX, add_strip_routes
from pseudoword.errors import SettingsError
from pseudoword.inspect.strips import contribution_row
from pseudoword.jobs.strips.strip_job import StripJob
from pseudoword.jobs.strips.strips import Strips
from pseudoword.scoring import ClipScorer
from tests import tiny_models
from tests.inspect.words import random_rows, word
from tests.jobs.small_host import PATIENCE_S, small_host

ROW = contribution_row(word(random_rows(2), "my-cup"))


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ClipScorer:
    pytest.importorskip("open_clip")
    folder = tiny_models.save_open_clip(tmp_path_factory.mktemp("clip"))
    return ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")


@pytest.fixture
def strips(tmp_path: Path, scorer: ClipScorer) -> Strips:
    return Strips(replace(small_host(tmp_path / "runs"), scorer=lambda: scorer))


def client_of(strips: Strips) -> TestClient:
    app = FastAPI()
    add_strip_routes(app, strips)
    return TestClient(app)


@pytest.fixture
def client(strips: Strips) -> Iterator[TestClient]:
    with client_of(strips) as client:
        yield client


def made(strips: Strips) -> StripJob:
    job = strips.start([ROW], [7, 8], 4, 5.0)
    job.wait(PATIENCE_S)
    return job


def at(job: StripJob, rest: str = "") -> str:
    return PREFIX.replace("{id}", job.id) + rest


def test_a_strip_is_seen_with_its_pictures_and_figures(client: TestClient, strips: Strips) -> None:
    job = made(strips)
    seen = client.get(at(job)).json()
    assert (seen["state"], seen["done"], seen["total"], seen["seeds"]) == ("finished", 6, 6, [7, 8])
    assert (seen["steps"], seen["guidance"], seen["seconds_left"], seen["no_figures"]) == (4, 5.0, None, "")
    (row,) = seen["rows"]
    assert row["title"] == ROW.title and row["made"] == 3 and "from one seed to another" in row["explanation"]
    assert [shot["label"] for shot in row["shots"]] == ["my-cup", "without 1", "without 2"]
    assert row["shots"][0]["caption"] == "" and "lost" in row["shots"][2]["caption"]
    for path in ("/0/0.png", "/0/2.png", "/sheet.png", "/plot.png", "/plot.png?theme=dark"):
        answer = client.get(at(job, path))
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).format == "PNG"
    assert client.get(at(job, "/plot.png")).content != client.get(at(job, "/plot.png?theme=dark")).content


def test_the_figures_are_a_table_for_spreadsheets(client: TestClient, strips: Strips) -> None:
    answer = client.get(at(made(strips), "/figures.csv"))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["picture"] for line in lines] == ["my-cup", "without 1", "without 2", "my-cup, other seeds"]


def test_one_that_waits_has_nothing_to_show_yet(client: TestClient, strips: Strips) -> None:
    with strips.host.turns:
        job = strips.start([ROW], [7], 4, 5.0)
        seen = client.get(at(job)).json()
        assert (seen["state"], seen["done"], seen["rows"][0]["made"]) == ("waiting", 0, 0)
        for path in ("/0/0.png", "/plot.png", "/figures.csv"):
            assert client.get(at(job, path)).status_code == 404
        assert client.get(at(job, "/plot.png")).json()["detail"] == "There is nothing to compare yet."
        job.cancel()
    job.wait(PATIENCE_S)
    assert client.get(at(job)).json()["state"] == "cancelled"


def test_where_nothing_measures_that_is_told(strips: Strips) -> None:
    bare = Strips(replace(strips.host, scorer=lambda: None))
    job = made(bare)
    with client_of(bare) as client:
        assert "--pseudoword-clip" in client.get(at(job)).json()["no_figures"]
        answer = client.get(at(job, "/figures.csv"))
        assert answer.status_code == 404 and "--pseudoword-clip" in answer.json()["detail"]
        assert client.get(at(job, "/sheet.png")).status_code == 200


@pytest.mark.parametrize("path", ["", "/0/0.png", "/sheet.png", "/plot.png", "/figures.csv"])
def test_what_is_forgotten_or_never_was_is_told_in_a_sentence(client: TestClient, path: str) -> None:
    answer = client.get(PREFIX.replace("{id}", "never-there") + path)
    assert answer.status_code == 404 and "no longer kept" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/0/3.png", "/1/0.png", "/-1/0.png", "/0/-1.png", "/0/x.png", "/x.png"])
def test_only_pictures_of_the_strip_can_be_asked_for(client: TestClient, strips: Strips, path: str) -> None:
    assert client.get(at(made(strips), path)).status_code in (404, 422)


def test_nothing_can_be_changed_from_here(client: TestClient, strips: Strips) -> None:
    job = made(strips)
    for method in ("POST", "PUT", "DELETE"):
        assert client.request(method, at(job)).status_code == 405


def test_no_path_of_the_server_is_told(strips: Strips) -> None:
    def broken() -> ClipScorer | None:
        raise SettingsError(f"{strips.host.runs / 'clip.json'} is not a file.")

    bare = Strips(replace(strips.host, scorer=broken))
    job = made(bare)
    with client_of(bare) as client:
        seen = client.get(at(job)).json()
        assert str(strips.host.runs) not in json.dumps(seen) and "clip.json is not a file" in seen["no_figures"]


def test_who_is_not_let_in_sees_nothing(strips: Strips) -> None:
    def guard() -> None:
        raise HTTPException(401, "Log in first.")

    app = FastAPI()
    add_strip_routes(app, strips, [Depends(guard)])
    job = made(strips)
    with TestClient(app) as client:
        for path in ("", "/0/0.png", "/sheet.png", "/plot.png", "/figures.csv"):
            assert client.get(at(job, path)).status_code == 401
