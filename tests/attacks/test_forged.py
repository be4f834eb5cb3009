"""Requests that pretend: ids that were guessed, other people's jobs, pages of other sites, headers that lie."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.testclient import TestClient

from pseudoword.api.borders import Borders
from pseudoword.jobs.server.people import COOKIE, new_session
from pseudoword.ui.gradio_versions import IS_OLD
from tests.attacks.world import OWN, World, listing, made
from tests.training.small_runs import SMALL

pytest.importorskip("open_clip")

FORGED = ("0" * 16, "'; DROP TABLE jobs; --", "1 OR 1=1", "%", "_", "*", "null", "undefined", "-1", "a" * 3000, "é")
ELSEWHERE: tuple[dict[str, str], ...] = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://studio.example.evil.example"},
    {"Origin": "http://studio.example@evil.example"},
    {"Origin": "http://[::1"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with made(tmp_path_factory.mktemp("world").resolve()) as world:
        world.begin()
        yield world


def own_routes(world: World) -> Iterator[tuple[str, str]]:
    """Method and address of every route of ours, with something for its parameters."""
    app: Any = world.client.app
    for path, methods in app.openapi()["paths"].items():
        if path.startswith("/pseudoword"):
            for method in methods:
                yield method.upper(), re.sub(r"\{\w+\}", "x", path)


def test_no_page_of_another_site_changes_anything(world: World) -> None:
    before, counted = listing(world.root, world.root / "nothing"), 0
    for method, path in own_routes(world):
        if method == "GET":
            continue
        for headers in ELSEWHERE:
            for body in ({}, {"settings": {**SMALL, "name": "zxqv-csrf"}, "folder": str(world.allowed / "cat")}):
                answer = world.client.request(method, path, json=body, headers=headers)
                assert answer.status_code == 403, (method, path, headers, answer.text)
        counted += 1
    assert counted > 20
    assert listing(world.root, world.root / "nothing") == before


@pytest.mark.skipif(IS_OLD, reason="the WebUI's page has handlers that refuse by themselves, see tests/ui")
@pytest.mark.parametrize("headers", ELSEWHERE)
@pytest.mark.parametrize(
    "path", ["gradio_api/call/pseudoword_start", "gradio_api/run/predict", "gradio_api/queue/join", "gradio_api/upload"]
)
def test_no_page_of_another_site_presses_a_button(path: str, headers: dict[str, str], world: World) -> None:
    body = json.dumps({"data": [], "fn_index": 0, "session_hash": "x"})
    for kind in ({"Content-Type": "application/json"}, {"Content-Type": "text/plain"}, {}):
        answer = world.client.post(f"/{path}", content=body, headers={**headers, **kind})
        assert answer.status_code == 403, answer.text


def test_the_page_s_own_requests_are_followed(world: World) -> None:
    for headers in (
        {"Origin": "http://studio.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://outside.example", "X-Forwarded-Host": "outside.example"},  # through a proxy
        {},
    ):
        answer = world.client.post("/pseudoword/v1/prompts", json={"prompt": "a cat"}, headers=headers)
        assert answer.status_code == 200


def test_ids_that_were_guessed_lead_nowhere(world: World) -> None:
    for id in FORGED:
        for method, path in (
            ("GET", f"jobs/{id}"),
            ("POST", f"jobs/{id}/cancel"),
            ("POST", f"jobs/{id}/share"),
            ("DELETE", f"jobs/{id}"),
            ("GET", f"jobs/{id}/curve.png"),
            ("GET", f"strips/{id}"),
            ("DELETE", f"strips/{id}"),
            ("GET", f"scores/{id}"),
            ("DELETE", f"scores/{id}"),
            ("DELETE", f"set-checks/{id}"),
            ("POST", f"trainings/{id}/stop"),
        ):
            status, answer = world.ask(method, path)
            assert status in (400, 404, 405, 414, 422), (method, path, status, answer[:300])


def test_what_is_somebody_else_s_stays_his(world: World) -> None:
    (job,) = (one for one in world.client.get("/pseudoword/v1/jobs?whose=all").json()["jobs"] if one["title"] == OWN)
    id = job["id"]
    assert not job["may_steer"] and not job["may_look"] and not job["message"]
    orders = ("cancel", "stop", "pause", "resume", "share", "unshare")
    asked: list[tuple[str, str, Any]] = [("POST", f"jobs/{id}/{order}", None) for order in orders]
    asked += [("POST", f"jobs/{id}/move", {}), ("POST", f"jobs/{id}/priority", {"priority": -1})]
    asked += [("DELETE", f"jobs/{id}", None), ("GET", f"jobs/{id}", None), ("GET", f"jobs/{id}/beside/{id}", None)]
    pictures = ("curve.png", "contact-sheet.png", "previews/12.png", "previews/12/small.jpg", "pictures/0.jpg")
    asked += [("GET", f"jobs/{id}/{picture}", None) for picture in pictures]
    asked += [("GET", f"trainings/{OWN}", None), ("POST", f"trainings/{OWN}/cancel", None)]
    sessions = ("", "x" * 43, "../" * 14 + "x", "ann", new_session())
    for method, path, body in asked:
        for session in sessions:
            answer = world.client.request(
                method,
                f"/pseudoword/v1/{path}",
                json=body,
                headers={"Cookie": f"{COOKIE}={session}", "Authorization": "Basic YW5uOmE=", "X-User": "ann"},
            )
            assert answer.status_code == 403, (method, path, answer.text)
    assert world.trainings.queue.store.job(id).state == "finished"


@pytest.mark.skipif(IS_OLD, reason="the WebUI's Gradio is told which folders are private")
def test_gradio_hands_out_no_file_of_the_server(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.root)
    for path in (world.data / "runs" / OWN / "pictures", world.secret, world.data / "runs"):
        for file in [path, *path.iterdir()]:
            for route in ("gradio_api/file=", "file=", "gradio_api/file/", "gradio_api/stream/"):
                answer = world.client.get(f"/{route}{file}")
                assert answer.status_code in (403, 404, 405) or "<!doctype html>" in answer.text[:200], (route, file)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7861", "192.0.2.1"])
def test_a_server_for_its_own_computer_answers_to_its_own_names_only(host: str) -> None:
    app = FastAPI()
    app.add_api_route("/", lambda: "here")
    app.add_middleware(Borders, is_alone=True)
    client = TestClient(app)
    assert client.get("/", headers={"Host": host}).status_code == 403
    for own in ("127.0.0.1:7861", "localhost:7861", "LOCALHOST", "[::1]:7861", "[::1]"):
        answer = client.get("/", headers={"Host": own})
        assert answer.status_code == 200 and answer.headers["x-content-type-options"] == "nosniff"


def test_a_socket_of_another_site_is_closed() -> None:
    app = FastAPI()

    async def talk(socket: WebSocket) -> None:
        await socket.accept()

    app.add_api_websocket_route("/talk", talk)
    app.add_middleware(Borders, is_alone=False)
    with TestClient(app).websocket_connect("/talk", headers={"Origin": "http://testserver"}):
        pass
    evil = {"Origin": "https://evil.example"}
    with pytest.raises(WebSocketDisconnect), TestClient(app).websocket_connect("/talk", headers=evil):
        pass
