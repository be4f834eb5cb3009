"""The heat map of a prompt, and what is remembered, over real HTTP routes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from PIL import Image

from pseudoword.api.layer_routes import PREFIX, add_layer_routes
from pseudoword.jobs.layers.checkpoint_layers import CheckpointLayers
from pseudoword.jobs.layers.remembered_layers import remember
from pseudoword.jobs.library.inspector import Inspector
from tests.jobs.small_library import library_host, library_in, put, toy, without_model


@pytest.fixture
def inspector(tmp_path: Path) -> Inspector:
    folder = library_in(tmp_path)
    put(folder, toy("zonk", 2))
    table = CheckpointLayers(tmp_path / "layers.json")
    return Inspector(library_host(folder, checkpoint_layers=table, checkpoint=lambda: ("7" * 64, "tiny")))


def client_of(inspector: Inspector) -> TestClient:
    app = FastAPI()
    add_layer_routes(app, inspector)
    return TestClient(app)


@pytest.fixture
def client(inspector: Inspector) -> Iterator[TestClient]:
    with client_of(inspector) as client:
        yield client


def test_the_heat_map_is_drawn_in_both_themes(client: TestClient) -> None:
    pictures = []
    for theme in ("light", "dark"):
        answer = client.get(f"{PREFIX}/prompt.png", params={"text": "a zonk, red", "theme": theme})
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).width == 1200
        pictures.append(answer.content)
    assert pictures[0] != pictures[1]


def test_its_figures_are_a_table_for_spreadsheets(client: TestClient) -> None:
    answer = client.get(f"{PREFIX}/prompt.csv", params={"text": "a zonk", "encoder": "clip_l"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["text"] for line in lines[::3]] == ["a", "zonk", "zonk"] and len(lines) == 9


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"text": ""}, "holds no token"),
        ({"text": "a cat", "encoder": "clip_g"}, "no text encoder 'clip_g'; it has clip_l"),
        ({"text": "x" * 20_001}, "20,001 characters"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_a_sentence(client: TestClient, query: dict[str, str], said: str) -> None:
    for kind in ("png", "csv"):
        answer = client.get(f"{PREFIX}/prompt.{kind}", params=query)
        assert answer.status_code == 422 and said in answer.json()["detail"]


def test_without_a_model_that_is_told(inspector: Inspector) -> None:
    with client_of(Inspector(without_model(inspector.host))) as client:
        assert "No model is loaded" in client.get(f"{PREFIX}/prompt.png", params={"text": "a"}).json()["detail"]


def test_what_is_remembered_for_the_loaded_checkpoint_is_told(client: TestClient, inspector: Inspector) -> None:
    nothing = {"checkpoint": "tiny", "layers": None, "says": "Nothing is remembered for tiny."}
    assert client.get(f"{PREFIX}/remembered").json() == nothing
    remember(inspector.host, "1=1,2=1", None)
    told = client.get(f"{PREFIX}/remembered").json()
    assert told["layers"] == "1=0.5,2=0.5" and "tiny" in told["says"]
    with client_of(Inspector(replace(inspector.host, checkpoint=lambda: None))) as bare:
        told = bare.get(f"{PREFIX}/remembered").json()
        assert (told["checkpoint"], told["layers"]) == (None, None) and "No checkpoint" in told["says"]


def test_who_is_not_let_in_sees_nothing(inspector: Inspector) -> None:
    def guard() -> None:
        raise HTTPException(401, "Log in first.")

    app = FastAPI()
    add_layer_routes(app, inspector, [Depends(guard)])
    with TestClient(app) as client:
        for path in ("/prompt.png?text=a", "/prompt.csv?text=a", "/remembered"):
            assert client.get(PREFIX + path).status_code == 401
