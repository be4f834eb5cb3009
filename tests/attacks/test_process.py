"""A real studio that others come in to, attacked over its socket: it refuses, writes nowhere else, and lives on."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from pseudoword.jobs.server.server_log import FILE
from pseudoword.ui.setting_fields import shown
from tests import tiny_models
from tests.attacks.paths import ways_to
from tests.attacks.world import MARK, listing
from tests.studio.process import Studio, started
from tests.training.small_runs import SMALL, draw_pictures

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a child")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("diffusers")
    return tiny_models.save_folder(tmp_path_factory.mktemp("attacked") / "tiny-model")


@pytest.fixture
def studio(model: Path, tmp_path: Path) -> Iterator[Studio]:
    draw_pictures(tmp_path / "secret").joinpath(f"{MARK}.txt").write_text(MARK)
    draw_pictures(tmp_path / "data" / "pictures")
    (tmp_path / "data" / "pictures" / "link").symlink_to(tmp_path / "secret")
    with started(model, tmp_path / "data", "--proxied", "--folder", "pictures") as studio:
        yield studio


def raw(studio: Studio, content: bytes) -> bytes:
    """What the studio answers to these bytes."""
    parts = urlsplit(studio.address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    connection.connect()
    connection.sock.sendall(content)
    answer = b""
    while part := connection.sock.recv(65536):
        answer += part
    connection.close()
    return answer


def ask(studio: Studio, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
    parts = urlsplit(studio.address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    sent = None if body is None else json.dumps(body)
    connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode("utf-8", "replace")
    connection.close()
    return found


def test_an_attacked_studio_gives_nothing_away_and_lives_on(studio: Studio) -> None:
    root = studio.folder.parent
    data, secret = studio.folder, root / "secret"
    before = listing(root, data)
    for text in ways_to(secret, data / "pictures"):
        coded = quote(text, safe="", errors="replace")
        answers = [
            ask(studio, "GET", f"/pseudoword/v1/library?folder={coded}") if text.strip() else (400, ""),
            ask(studio, "POST", "/pseudoword/v1/trainings", {"settings": {**SMALL, "name": "zxqv-x"}, "folder": text}),
            ask(studio, "GET", f"/pseudoword/v1/words/file?word={coded}"),
        ]
        for status, answer in answers:
            assert 400 <= status < 500, (text[:80], status, answer[:300])
            assert MARK not in answer.replace(text, "") and "root:" not in answer
        for prefix in ("gradio_api/file=", "static/", "assets/", "theme.css/", ""):
            status, answer = ask(studio, "GET", f"/{prefix}{coded}")
            assert status < 500 and MARK not in answer and "root:x" not in answer, (prefix, text[:80])
    for line in (b"GET /../../secret HTTP/1.1", b"GET //../secret HTTP/1.1", b"GET http://evil/ HTTP/1.1", b"\0" * 99):
        assert MARK.encode() not in raw(studio, line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert ask(studio, "POST", "/pseudoword/v1/trainings", {}, Origin="https://evil.example")[0] == 403
    press_the_buttons(studio, secret)
    assert listing(root, data) == before
    status, told = ask(studio, "GET", "/pseudoword/v1/health")
    assert status == 200 and json.loads(told)["status"] == "ok"
    folder = {"settings": {**SMALL, "name": "zxqv-fine"}, "folder": str(data / "pictures")}
    assert ask(studio, "POST", "/pseudoword/v1/trainings", folder)[0] == 201
    assert ask(studio, "GET", "/pseudoword/v1/metrics", **{"X-Forwarded-For": "192.0.2.1"})[0] == 403
    assert "pseudoword_jobs" in ask(studio, "GET", "/pseudoword/v1/metrics")[1]
    code, said = studio.interrupt()
    assert code == 0 and "The studio is closed" in said, said
    log = (data / "runs" / FILE).read_text()
    assert "job started" in log and str(root) not in log and "zxqv" not in log


def press_the_buttons(studio: Studio, secret: Path) -> None:
    """As the page does, with files that were never uploaded, and with other sites' headers."""
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    client = Client(studio.address, verbose=False, headers={"Cookie": f"pseudoword-session={'a' * 43}"})
    expert = shown({}, {})
    for folder in ("link", str(secret), "../secret", "\\\\server\\share"):
        told = client.predict(None, folder, "zxqv-x", "the dog", "a new one", *expert, api_name="/pseudoword_start")
        assert "outside of the folders" in told
    forged = {"path": str(secret / "0.png"), "meta": {"_type": "gradio.FileData"}}
    start = "/gradio_api/call/pseudoword_start"
    for files in ([forged], forged):
        body = {"data": [files, "", "zxqv-x", "the dog", "a new one", *expert]}
        status, told = ask(studio, "POST", start, body, Cookie=f"pseudoword-session={'a' * 43}")
        assert status == 200
        assert "event: error" in ask(studio, "GET", f"{start}/{json.loads(told)['event_id']}")[1]
    stranger = Client(studio.address, verbose=False)
    with pytest.raises(AppError, match="browser"):
        stranger.predict(None, "", "zxqv-x", "the dog", "a new one", *expert, api_name="/pseudoword_start")
