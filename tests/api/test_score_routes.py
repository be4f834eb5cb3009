"""Scores over real HTTP: what the page reads, and what programs ask for."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from PIL import Image

from pseudoword.api import score_schemas
from pseudoword.api.score_program_routes import add_score_program_routes
from pseudoword.api.score_routes import PREFIX, add_score_routes
from pseudoword.jobs.scoring.scorings import Scorings
from tests.scoring.pictures import fill, hostile, picture

pytest.importorskip("open_clip")

TEXTS = ["a cat", "a dog"]


@pytest.fixture
def client(scorings: Scorings) -> Iterator[TestClient]:
    app = FastAPI()
    add_score_routes(app, scorings)
    add_score_program_routes(app, scorings)
    with TestClient(app) as client:
        yield client


def sent(name: str, content: bytes | None = None, seed: int = 0) -> dict[str, str]:
    """A picture as a program sends it."""
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return {"name": name, "data": base64.b64encode(content or buffer.getvalue()).decode()}


def scored(client: TestClient, **asked: Any) -> dict[str, Any]:
    """The answer to a request that is followed."""
    answer = client.post(f"{PREFIX}/scores", json=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert told["state"] == "finished", told
    return told


def test_a_program_sends_pictures_and_texts_and_gets_the_matrix(client: TestClient) -> None:
    told = scored(client, pictures=[sent("a.png"), sent("b.png", seed=1), sent("c.png", b"none")], texts=TEXTS)
    result = told["result"]
    assert told["model"] == result["model"] and "tiny-clip [" in told["model"]
    assert result["pictures"] == ["a.png", "b.png"] and result["labels"] == TEXTS and result["width"] == 16
    assert [len(row) for row in result["cosines"]] == [2, 2] and result["is_square"]
    for row, chances in zip(result["cosines"], result["probabilities"], strict=True):
        assert sum(chances) == pytest.approx(1, abs=1e-5) and (row[0] > row[1]) == (chances[0] > chances[1])
    assert result["clip_scores"][0][0] == pytest.approx(max(100 * result["cosines"][0][0], 0), abs=1e-4)
    assert [one["name"] for one in result["unreadable"]] == ["c.png"]


def test_classes_and_templates_of_ones_own(client: TestClient, tmp_path: Path) -> None:
    fill(tmp_path / "folder", 2)
    for templates in ("plain", "openai", ["a drawing of a {}", "{}"]):
        result = scored(client, folder=str(tmp_path / "folder"), classes=["cat", "dog"], templates=templates)["result"]
        assert result["are_classes"] and result["found"] is None and len(result["cosines"]) == 2


def test_what_was_scored_can_be_looked_at_and_taken_along(client: TestClient, tmp_path: Path) -> None:
    hostile(tmp_path / "folder")
    told = scored(client, folder=str(tmp_path / "folder"), texts=TEXTS)
    route = f"{PREFIX}/scores/{told['id']}"
    assert client.get(route).json() == told
    assert client.get(f"{route}/scores.json").json() == told["result"]
    lines = list(csv.DictReader(io.StringIO(client.get(f"{route}/scores.csv").text)))
    assert len(lines) == 2 * 7 + 6 and lines[0]["model"] == told["model"] and lines[-1]["problem"]
    for row in range(7):
        small = Image.open(io.BytesIO(client.get(f"{route}/pictures/{row}.jpg").content))
        assert small.format == "JPEG" and max(small.size) <= 160
    assert client.get(f"{route}/pictures/7.jpg").status_code == 404
    sheets = {client.get(f"{route}/sheet.png", params={"figure": figure}).content for figure in ("", "probability")}
    assert len(sheets) == 2 and all(Image.open(io.BytesIO(sheet)).width > 900 for sheet in sheets)


def test_what_nobody_asked_for_is_not_found(client: TestClient) -> None:
    for path in ("", "/sheet.png", "/scores.csv", "/scores.json", "/pictures/0.jpg"):
        assert client.get(f"{PREFIX}/scores/unknown{path}").status_code == 404
    assert client.delete(f"{PREFIX}/scores/unknown").status_code == 404


def test_scores_that_failed_have_no_table(client: TestClient) -> None:
    told = client.post(f"{PREFIX}/scores", json={"pictures": [sent("a")], "texts": TEXTS, "model": "none"}).json()
    assert told["state"] == "failed" and "No CLIP model is called" in told["message"]
    assert client.get(f"{PREFIX}/scores/{told['id']}/scores.csv").status_code == 404
    assert client.delete(f"{PREFIX}/scores/{told['id']}").json()["state"] == "failed"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"texts": TEXTS}, "no pictures"),
        ({"pictures": [{"name": "a", "data": "AA=="}]}, "nothing to compare"),
        ({"pictures": [{"name": "a", "data": "?"}], "texts": TEXTS}, "not base64"),
        ({"folder": "x", "texts": TEXTS, "classes": TEXTS}, "give one of them"),
        ({"folder": "x", "classes": TEXTS, "templates": "many"}, "name plain, openai"),
        ({"addresses": ["http://example.org"], "texts": TEXTS}, "fetches no pictures"),
        ({"folder": "x", "texts": "a cat"}, "does not fit at 'texts'"),
        ({"folder": "x", "texts": TEXTS, "speed": 1}, "does not fit at 'speed'"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_a_sentence(client: TestClient, asked: Any, said: str) -> None:
    answer = client.post(f"{PREFIX}/scores", json=asked)
    assert answer.status_code == 422 and said in answer.json()["detail"]


def test_folders_outside_of_those_allowed_are_not_read(scorings: Scorings, tmp_path: Path) -> None:
    app = FastAPI()
    add_score_program_routes(app, Scorings(replace(scorings.host, folders=[tmp_path / "allowed"])))
    with TestClient(app) as client:
        for asked in ({"folder": str(tmp_path)}, {"folder": f"{tmp_path}/allowed/.."}, {"head": "/etc/passwd"}):
            answer = client.post(f"{PREFIX}/scores", json={"pictures": [sent("a")], "texts": TEXTS, **asked})
            assert answer.status_code == 422 and "outside of the folders" in answer.json()["detail"]


def test_the_models_are_listed_without_their_places_and_downloaded_only_when_asked(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody is there: no test fetches a model
    told = client.get(f"{PREFIX}/clips").json()
    assert [model["name"] for model in told["here"]][:2] == ["pseudoword-mini", "tiny-clip"]
    assert told["default"] == "tiny-clip" and told["elsewhere"] and told["download"] is None
    assert str(tmp_path) not in json.dumps(told)
    answer = client.post(f"{PREFIX}/clips/download", json={"name": "tiny-clip"})
    assert answer.status_code == 422 and "already" in answer.json()["detail"]
    started = client.post(f"{PREFIX}/clips/download", json={"name": told["elsewhere"][0]}).json()["download"]
    assert (started["name"], started["state"]) == (told["elsewhere"][0], "downloading")
    ended = client.delete(f"{PREFIX}/clips/download").json()["download"]
    assert (ended["state"], ended["message"]) == ("cancelled", f"The download of {started['name']} was cancelled.")
    again = client.delete(f"{PREFIX}/clips/download")
    assert again.status_code == 422 and "Nothing is being downloaded" in again.json()["detail"]


def test_the_examples_are_such_as_are_sent_and_answered() -> None:
    for example in score_schemas.REQUEST_EXAMPLES.values():
        score_schemas.ScoreRequestBody(**example["value"])
    score_schemas.ScoreAnswer(**score_schemas.SCORE_EXAMPLE)
    score_schemas.ClipsAnswer(**score_schemas.CLIPS_EXAMPLE)


def test_who_is_not_let_in_sees_and_scores_nothing(scorings: Scorings) -> None:
    def guard() -> None:
        raise HTTPException(401, "Log in first.")

    app = FastAPI()
    add_score_routes(app, scorings, [Depends(guard)])
    add_score_program_routes(app, scorings, [Depends(guard)])
    with TestClient(app) as client:
        for path in ("/scores/x", "/scores/x/sheet.png", "/scores/x/pictures/0.jpg", "/clips"):
            assert client.get(PREFIX + path).status_code == 401
        assert client.post(f"{PREFIX}/scores", json={}).status_code == 401
        assert client.post(f"{PREFIX}/clips/download", json={"name": "x"}).status_code == 401


def test_a_page_of_another_site_cannot_ask_for_anything(client: TestClient) -> None:
    for path, body in (("scores", {"texts": TEXTS}), ("clips/download", {"name": "x"})):
        answer = client.post(f"{PREFIX}/{path}", json=body, headers={"Origin": "https://elsewhere.example"})
        assert answer.status_code == 403
