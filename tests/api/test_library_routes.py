"""The library's table over HTTP, as the page and programs read it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from pseudoword.api.library_routes import PREFIX, THUMBNAIL, add_library_routes
from pseudoword.jobs.library.inspector import Inspector
from tests.inspect.libraries import many_words
from tests.jobs.small_host import wait_until
from tests.jobs.small_library import library_host, library_in, put_word, rows, without_model


def client_of(inspector: Inspector) -> TestClient:
    app = FastAPI()
    add_library_routes(app, inspector)
    return TestClient(app)


@pytest.fixture
def inspector(tmp_path: Path) -> Inspector:
    inspector = Inspector(library_host(library_in(tmp_path)))
    (folder,) = inspector.host.library()
    (folder / "portraits").mkdir()
    put_word(inspector, "moon")
    put_word(inspector, "portraits/moon-copy", format="pt")
    put_word(inspector, "Zebra", rows(5, seed=3))
    (folder / "broken.pt").write_bytes(b"PK\x03\x04 nothing")
    return inspector


@pytest.fixture
def client(inspector: Inspector) -> Iterator[TestClient]:
    with client_of(inspector) as client:
        yield client


def table(client: TestClient, **asked: Any) -> dict[str, Any]:
    """The whole table, when it has been read."""
    found: dict[str, Any] = {}

    def is_there() -> bool:
        found.update(client.get(PREFIX, params=asked).json())
        return "rows" in found

    wait_until(is_there)
    return found


def names(client: TestClient, **asked: Any) -> list[str]:
    return [row["name"] for row in table(client, **asked)["rows"]]


def test_every_file_is_a_row_with_all_that_is_known(client: TestClient) -> None:
    found = table(client)
    assert (found["all"], found["found"], found["model"]) == (4, 4, "sd1")
    rows = {row["label"]: row for row in found["rows"]}
    assert list(rows) == ["broken.pt", "moon.safetensors", "portraits/moon-copy.pt", "Zebra.safetensors"]
    moon, broken = rows["moon.safetensors"], rows["broken.pt"]
    assert (moon["vectors"], moon["widths"], moon["steps"], moon["trained_on"]) == (2, "clip_l 32", 120, "tiny")
    assert moon["fits"] is True and moon["duplicate"] == "exact" and "portraits/moon-copy.pt" in moon["duplicates"]
    assert len(moon["sha256"]) == 12 and moon["format"] == "safetensors" and not moon["pickle"]
    assert rows["portraits/moon-copy.pt"]["pickle"] and not rows["portraits/moon-copy.pt"]["unsafe_pickle"]
    assert "damaged" in broken["problem"] and broken["fits"] is None


def test_rows_are_sorted_filtered_and_searched(client: TestClient) -> None:
    assert names(client, sort="vectors", descending=True)[:2] == ["Zebra", "moon"]
    assert names(client, search="portraits MOON") == ["moon-copy"]
    assert names(client, duplicates=True) == ["moon", "moon-copy"]
    assert names(client, problems=True) == ["broken"]
    assert names(client, fits=True) == ["moon", "moon-copy", "Zebra"]
    assert names(client, architecture="sdxl") == []
    answer = client.get(PREFIX, params={"sort": "color"})
    assert answer.status_code == 422 and "no column 'color'" in answer.json()["detail"]


def test_rows_come_in_portions(client: TestClient) -> None:
    assert names(client, first=1, count=2) == ["moon", "moon-copy"]
    assert names(client, first=99) == [] and names(client, first=-5, count=1) == ["broken"]
    assert len(names(client, count=10**9)) == 4


def test_a_table_that_is_known_is_not_sent_again_until_it_changes(client: TestClient, inspector: Inspector) -> None:
    version = table(client)["version"]
    assert "rows" not in client.get(PREFIX, params={"known": version}).json()
    put_word(inspector, "new")
    client.get(PREFIX, params={"read": True})
    assert "new" in names(client, known=version)


def test_without_a_model_nothing_is_said_to_fit(inspector: Inspector) -> None:
    with client_of(Inspector(without_model(inspector.host))) as client:
        found = table(client, fits=True)
        assert found["model"] is None and found["found"] == 4
        assert {row["fits"] for row in found["rows"]} == {None}


def test_the_table_as_a_file(client: TestClient, tmp_path: Path) -> None:
    answer = client.get(f"{PREFIX}.csv", params={"search": "moon"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["name"] for row in rows] == ["moon", "moon-copy"]
    assert str(tmp_path) not in answer.text, "where things lie on the server is nobody's business"


def test_previews_are_small_and_broken_ones_are_missing(client: TestClient, inspector: Inspector) -> None:
    (folder,) = inspector.host.library()
    Image.new("RGB", (1000, 500), "red").save(folder / "moon.preview.png")
    (folder / "Zebra.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    client.get(PREFIX, params={"read": True})
    wait_until(lambda: any(row["preview"] for row in table(client, read=True)["rows"]))
    answer = client.get(f"{PREFIX}/preview", params={"word": "moon.safetensors"})
    assert Image.open(io.BytesIO(answer.content)).size == (THUMBNAIL, THUMBNAIL // 2)
    for word in ("Zebra.safetensors", "portraits/moon-copy.pt"):
        assert client.get(f"{PREFIX}/preview", params={"word": word}).status_code == 404
    assert client.get(f"{PREFIX}/preview", params={"word": "../../etc/passwd"}).status_code == 422


def test_a_large_folder_shows_how_far_it_is_and_can_be_stopped(inspector: Inspector, tmp_path: Path) -> None:
    many_words(tmp_path / "many", 600)
    with client_of(inspector) as client:
        first = client.get(PREFIX, params={"folder": str(tmp_path / "many")}).json()
        assert first["reading"] and "rows" not in first
        stopped = client.post(f"{PREFIX}/stop", params={"folder": str(tmp_path / "many")})
        assert stopped.status_code == 200
        found = table(client, folder=str(tmp_path / "many"))
        wait_until(lambda: not client.get(PREFIX, params={"folder": str(tmp_path / "many")}).json()["reading"])
        assert not found["complete"]
    # A page of another site, opened in the browser of who uses this one.
    with client_of(inspector) as client:
        foreign = client.post(f"{PREFIX}/stop", headers={"Origin": "https://elsewhere.example"})
        assert foreign.status_code == 403


def test_on_a_server_other_folders_are_refused_without_a_word_of_what_is_there(
    inspector: Inspector, tmp_path: Path
) -> None:
    with client_of(Inspector(replace(inspector.host, folders=[]))) as client:
        answers = [client.get(PREFIX, params={"folder": str(tmp_path / name)}) for name in ("runs", "nothing")]
        assert {answer.status_code for answer in answers} == {422}
        reasons = {answer.json()["detail"].split("is outside")[1] for answer in answers}
        assert len(reasons) == 1
