"""One embedding over HTTP: figures, plots, the data behind them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from pseudoword.api.word_routes import KINDS, PLOTS, PREFIX, add_word_routes
from pseudoword.jobs.library.inspector import Inspector
from tests.jobs.small_library import library_host, library_in, put_word, rows, without_model

WORD = {"word": "moon.safetensors"}


def client_of(inspector: Inspector) -> TestClient:
    app = FastAPI()
    add_word_routes(app, inspector)
    return TestClient(app)


@pytest.fixture
def inspector(tmp_path: Path) -> Inspector:
    inspector = Inspector(library_host(library_in(tmp_path)))
    put_word(inspector, "moon")
    put_word(inspector, "sun", rows(3, seed=1))
    return inspector


@pytest.fixture
def client(inspector: Inspector) -> Iterator[TestClient]:
    with client_of(inspector) as client:
        yield client


def test_the_figures_of_a_word(client: TestClient) -> None:
    found = client.get(PREFIX, params=WORD).json()
    assert (found["name"], found["architecture"], found["vector_count"]) == ("moon", "sd1", 2)
    assert found["widths"] == {"clip_l": 32} and found["compared_with"] == "tiny" and found["missing"] == ""
    first = found["vectors"][0]
    assert first["vector"] == 1 and set(first["nearest"]) == {"cosine", "dot", "distance"}
    assert len(first["nearest"]["cosine"]) == 10
    assert [one["name"] for one in found["related"]["clip_l"]] == ["sun"]


@pytest.mark.parametrize("kind", PLOTS)
def test_every_plot_is_there_for_light_and_dark_pages(client: TestClient, kind: str) -> None:
    pictures = []
    for theme in ("light", "dark"):
        answer = client.get(f"{PREFIX}/{kind}.png", params={**WORD, "theme": theme})
        assert answer.status_code == 200, answer.text
        pictures.append(Image.open(io.BytesIO(answer.content)).convert("L"))
    assert {picture.width for picture in pictures} == {1200}
    light, dark = (picture.tobytes()[0] for picture in pictures)
    assert light > 200 and dark < 60


@pytest.mark.parametrize("kind", KINDS)
def test_the_data_behind_every_plot_is_a_table(client: TestClient, kind: str) -> None:
    answer = client.get(f"{PREFIX}/{kind}.csv", params=WORD)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert len(header) > 2 and (rows or kind == "findings")
    assert {len(row) for row in rows} <= {len(header)}


def test_many_who_look_at_once_get_the_same(client: TestClient) -> None:
    def picture(_: int) -> bytes:
        return client.get(f"{PREFIX}/map.png", params=WORD).content

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(picture, range(8)))) == 1


def test_the_file_itself(client: TestClient, inspector: Inspector) -> None:
    (folder,) = inspector.host.library()
    answer = client.get(f"{PREFIX}/file", params=WORD)
    assert answer.content == (folder / "moon.safetensors").read_bytes()
    assert "moon.safetensors" in answer.headers["content-disposition"]


def test_what_is_not_there_is_said(client: TestClient, inspector: Inspector, tmp_path: Path) -> None:
    assert client.get(f"{PREFIX}/color.png", params=WORD).status_code == 404
    assert client.get(f"{PREFIX}/color.csv", params=WORD).status_code == 404
    for path in ("", "/map.png", "/map.csv", "/file"):
        answer = client.get(PREFIX + path, params={"word": "../runs/x.safetensors"})
        assert answer.status_code == 422 and "There is no embedding" in answer.json()["detail"]
    (folder,) = inspector.host.library()
    (folder / "moon.safetensors").unlink()
    answer = client.get(PREFIX, params=WORD)
    assert answer.status_code == 422 and "is gone" in answer.json()["detail"]
    assert str(tmp_path) not in answer.text


def test_without_a_vocabulary_the_rest_is_told(inspector: Inspector) -> None:
    with client_of(Inspector(without_model(inspector.host))) as client:
        found = client.get(PREFIX, params=WORD).json()
        assert found["vectors"] == [] and "no model is loaded" in found["missing"]
        assert [one["name"] for one in found["related"]["clip_l"]] == ["sun"]
        answer = client.get(f"{PREFIX}/norms.png", params=WORD)
        assert answer.status_code == 422 and "no model is loaded" in answer.json()["detail"]
