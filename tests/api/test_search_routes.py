"""The search over real HTTP: what the page asks, and what programs ask for."""

from __future__ import annotations

import base64
import io
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from PIL import Image

from pseudoword import cache_file
from pseudoword.api import search_schemas
from pseudoword.api.search_program_routes import add_search_program_routes
from pseudoword.api.search_routes import PREFIX, add_search_routes
from pseudoword.jobs.search.picture_search import PictureSearch
from tests.jobs.small_host import PATIENCE_S
from tests.jobs.small_scorings import scoring_host
from tests.scoring.pictures import hostile, picture, with_prompt

pytest.importorskip("open_clip")

FACTS = "\nSteps: 20, Sampler: Euler a, Seed: 1, Model hash: 0a1b, Model: <b>dreamer</b>"


@pytest.fixture
def search(tmp_path: Path, clip: Path) -> Iterator[PictureSearch]:
    outputs = tmp_path / "secret-place" / "outputs"
    for number in range(30):
        path = with_prompt(
            outputs / f"day-{number % 2}" / f"{number:02}.png", f"a (dog:1.3) no. {number}{FACTS}", number
        )
        os.utime(path, (1e9 + 86400 * number,) * 2)
    host = scoring_host(tmp_path, clip, features=tmp_path / "data" / "features.sqlite", outputs=lambda: [outputs])
    found = PictureSearch(host)
    yield found
    found.end()


@pytest.fixture
def client(search: PictureSearch) -> Iterator[TestClient]:
    app = FastAPI()
    add_search_routes(app, search)
    add_search_program_routes(app, search)
    with TestClient(app) as client:
        yield client


def asked(client: TestClient, route: str = "", **query: Any) -> Any:
    answer = client.get(f"{PREFIX}{route}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def read(client: TestClient) -> dict[str, Any]:
    """Have all pictures read; how the index stands then."""
    assert client.post(f"{PREFIX}/start").status_code == 200
    ends = time.monotonic() + PATIENCE_S
    while (now := asked(client, "/index"))["state"] in ("looking", "reading"):
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert now["state"] == "up to date", now
    return now


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_page_has_pictures_read_and_finds_them(client: TestClient, tmp_path: Path) -> None:
    assert asked(client, "/index")["pictures"] == 0 and asked(client)["hits"] == []
    hostile(tmp_path / "secret-place" / "outputs" / "odd")
    now = read(client)
    assert now["pictures"] == 37 and now["checkpoints"] == ["<b>dreamer</b> [0a1b]"] and now["unreadable"] == 4
    assert {one["name"] for one in now["reasons"]} == {"cut-off.png", "huge.png", "text.png", "empty.jpg"}
    found = asked(client, text="a dog", count=5)
    assert len(found["hits"]) == 5 and found["among"] == 37 and found["model"] == now["title"]
    cosines = [hit["cosine"] for hit in found["hits"]]
    assert cosines == sorted(cosines, reverse=True)
    assert found["hits"][1]["id"] == asked(client, text="a dog", first=1, count=1)["hits"][0]["id"]
    latest = asked(client, words="dog no. 2", count=3)
    assert [hit["name"] for hit in latest["hits"]] == ["29.png", "28.png", "27.png"] and latest["among"] == 12
    hit = latest["hits"][0]
    assert (
        hit["folder"] == "outputs/day-1" and hit["checkpoint"] == "<b>dreamer</b> [0a1b]" and hit["score"] is not None
    )
    assert "secret-place" not in json.dumps([now, found, latest])


def test_a_text_that_is_too_long_is_told(client: TestClient) -> None:
    read(client)
    assert "the rest is cut off" in asked(client, text="word " * 99)["note"]
    assert asked(client, text="a dog")["note"] == asked(client)["note"] == ""


def test_filters(client: TestClient) -> None:
    read(client)
    day = time.strftime("%Y-%m-%d", time.localtime(1e9 + 86400 * 10))
    assert asked(client, since=day, until=day)["among"] == 1
    assert (
        asked(client, checkpoint="<b>dreamer</b> [0a1b]")["among"] == 30 and asked(client, checkpoint="x")["among"] == 0
    )
    scores = [hit["score"] for hit in asked(client, count=100)["hits"]]
    middle = sorted(scores)[15] - 1e-3
    assert asked(client, least=middle)["among"] == sum(score >= middle for score in scores)
    assert asked(client, most=middle)["among"] == sum(score <= middle for score in scores)


def test_a_picture_can_be_looked_at_and_others_like_it_found(client: TestClient, tmp_path: Path) -> None:
    read(client)
    hit = asked(client, count=1)["hits"][0]
    route = f"{PREFIX}/pictures/{hit['id']}"
    small = client.get(f"{route}/small.jpg")
    assert Image.open(io.BytesIO(small.content)).format == "JPEG" and small.headers["content-type"] == "image/jpeg"
    whole = client.get(f"{route}/file")
    assert whole.content == (tmp_path / "secret-place" / hit["folder"] / hit["name"]).read_bytes()
    assert whole.headers["content-type"] == "image/png" and whole.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"{route}/infotext").json()["infotext"].startswith("a (dog:1.3) no. 29\n")
    assert asked(client, like=hit["id"], count=1)["hits"][0]["id"] == hit["id"]
    for id in ("x", hit["id"][:-1] + "x", "../../etc/passwd", "%2e%2e%2fx"):
        assert client.get(f"{PREFIX}/pictures/{id}/file").status_code == 404


def test_a_picture_is_sent_to_find_others_like_it(client: TestClient) -> None:
    read(client)
    like = client.post(f"{PREFIX}/sample", content=png(5)).json()["like"]
    assert asked(client, like=like, count=1)["hits"][0]["name"] == "05.png"
    for content in (b"", b"none"):
        answer = client.post(f"{PREFIX}/sample", content=content)
        assert answer.status_code == 422 and "cannot be read" in answer.json()["detail"]
    assert client.post(f"{PREFIX}/sample", content=b"0" * 50_000_001).status_code == 413


def test_reading_is_paused_and_goes_on(client: TestClient) -> None:
    read(client)
    assert client.post(f"{PREFIX}/pause").json()["state"] == "paused" == asked(client, "/index")["state"]
    assert read(client)["pictures"] == 30


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"since": "soon"}, "is no day"),
        ({"text": "x" * 3000}, "more than 2000 letters"),
        ({"words": "x" * 3000}, "more than 2000 letters"),
        ({"model": "nothing"}, "No CLIP model"),
        ({"folder": "/no/such"}, "is no folder"),
        ({"like": "sample-x"}, "no longer there"),
    ],
)
def test_what_cannot_be_is_said(client: TestClient, query: dict[str, str], reason: str) -> None:
    answer = client.get(PREFIX, params=query)
    assert answer.status_code == 422 and reason in answer.json()["detail"]


def test_a_word_of_any_length_leaves_the_index_as_it_is(client: TestClient) -> None:
    read(client)
    answer = client.post(PREFIX, json={"words": "x" * 60_000})
    assert answer.status_code == 422 and "more than 2000 letters" in answer.json()["detail"]
    assert asked(client, "/index")["pictures"] == asked(client)["among"] == 30


def test_an_index_that_is_busy_is_said_to_be_and_found_again_afterwards(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "WAIT_S", 0.05)
    read(client)
    id = asked(client, count=1)["hits"][0]["id"]
    (table,) = (tmp_path / "data" / "picture-index").glob("*/pictures.sqlite")
    with closing(sqlite3.connect(table, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for route in ("", "/index", f"/pictures/{id}/file"):
            answer = client.get(PREFIX + route)  # which a page asks again, unlike what is refused
            assert answer.status_code == 503 and "cannot be read just now" in answer.json()["detail"], route
    assert asked(client, "/index")["pictures"] == asked(client)["among"] == 30


def test_pages_of_other_sites_change_nothing(client: TestClient) -> None:
    for route in ("start", "pause", "sample", "index", ""):
        answer = client.post(f"{PREFIX}/{route}".rstrip("/"), headers={"Origin": "https://elsewhere.example"}, json={})
        assert answer.status_code == 403, route


def test_a_guard_refuses_every_route(search: PictureSearch) -> None:
    def refuse() -> None:
        raise HTTPException(401, "Who are you?")

    app = FastAPI()
    add_search_routes(app, search, [Depends(refuse)])
    add_search_program_routes(app, search, [Depends(refuse)])
    client = TestClient(app)
    asked_for = [
        (method, path.replace("{id}", "x"))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if path.startswith(PREFIX)
    ]
    assert len(asked_for) == 10
    for method, path in asked_for:
        assert client.request(method, path, json={}).status_code == 401, path


def test_programs_search_and_order_with_json(client: TestClient) -> None:
    assert client.post(f"{PREFIX}/index", json={"order": "start"}).status_code == 200
    read(client)
    by_text = client.post(PREFIX, json={"text": "a dog", "count": 3, "least": 0}).json()
    by_picture = client.post(PREFIX, json={"picture": base64.b64encode(png(8)).decode(), "count": 1}).json()
    assert len(by_text["hits"]) == 3 and by_picture["hits"][0]["name"] == "08.png"
    by_hit = client.post(PREFIX, json={"like": by_text["hits"][2]["id"], "count": 1}).json()
    assert by_hit["hits"][0]["id"] == by_text["hits"][2]["id"]
    assert client.post(f"{PREFIX}/index", json={"order": "pause"}).json()["state"] == "paused"
    for body, reason in (
        ({"text": "x", "like": "y"}, "send one of them"),
        ({"words": 1}, "does not fit"),
        ({"picture": "no base64!"}, "not base64"),
        ({"nonsense": 1}, "does not fit"),
    ):
        answer = client.post(PREFIX, json=body)
        assert answer.status_code == 422 and reason in answer.json()["detail"], body


def test_the_examples_are_what_the_schema_says() -> None:
    search_schemas.SearchAnswer(**search_schemas.SEARCH_EXAMPLE)
    search_schemas.IndexAnswer(**search_schemas.INDEX_EXAMPLE)
    for example in search_schemas.REQUEST_EXAMPLES.values():
        search_schemas.SearchRequest(**example["value"])
