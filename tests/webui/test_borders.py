"""The WebUI for others: what Gradio 3.41 would hand out or take, and what the server tells of itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pseudoword.jobs.server.server_log import FILE
from pseudoword.ui.setting_fields import shown
from tests.webui.server import ENDLESS, PICTURES, Webui, furnished, running


@pytest.fixture(scope="module")
def shared_webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webui]:
    folder = furnished(tmp_path_factory.mktemp("shared"))
    shutil.copytree(PICTURES, folder / "outputs" / "penguin")
    with running(folder, "--api", "--server-name", "127.0.0.1") as webui:
        webui.begin("zxqv", ENDLESS, folder / "outputs" / "penguin")
        yield webui


def press_start(webui: Webui, files: Any, folder: str, **headers: str) -> str:
    """What the page is told."""
    fields = [files, folder, "zxqv-x", "the dog", "a new one", *shown({}, {}), None]  # last a state of the session
    answer = webui.ask("/run/pseudoword_start", {"data": fields, "session_hash": "x"}, **headers)
    return answer.content.decode()


def test_gradio_hands_out_no_run(shared_webui: Webui) -> None:
    runs = shared_webui.folder / "pseudoword" / "runs"
    assert (runs / "zxqv" / "settings.json").is_file()
    for path in ("zxqv/settings.json", "zxqv/pictures.json", FILE, "../runs/zxqv/settings.json"):
        assert shared_webui.ask(f"/file={runs / path}").status == 403
        assert shared_webui.ask(f"/file=pseudoword/runs/{path}").status == 403


def test_a_file_that_was_not_uploaded_is_not_learned_from(shared_webui: Webui) -> None:
    known = {"Cookie": f"pseudoword-session={'a' * 43}"}
    picture = next(path for path in sorted(PICTURES.iterdir()) if path.suffix == ".png")
    said = press_start(shared_webui, [{"name": str(picture), "data": None, "is_file": True}], "", **known)
    assert "error" in said and "This file was not uploaded" in said
    assert "outside of the folders" in press_start(shared_webui, None, str(PICTURES), **known)  # so it is asked rightly


def test_a_page_of_another_site_presses_no_button(shared_webui: Webui) -> None:
    folder = str(shared_webui.folder / "outputs" / "penguin")
    said = press_start(shared_webui, None, folder, Origin="https://evil.example")
    assert "error" in said and "Pages of https://evil.example may not ask for this" in said


def test_the_server_tells_how_it_does(shared_webui: Webui) -> None:
    health = shared_webui.ask("/pseudoword/v1/health")
    assert health.status == 200 and health.json["status"] == "ok" and health.json["model_loaded"]
    metrics = shared_webui.ask("/pseudoword/v1/metrics")
    assert metrics.status == 200 and b'pseudoword_jobs{kind="training",state="running"} 1' in metrics.content
    assert b"pseudoword_slice_wait_seconds_count" in metrics.content
    far = {"X-Forwarded-For": "192.0.2.1"}
    assert shared_webui.ask("/pseudoword/v1/metrics", **far).status == 403
    log = (shared_webui.folder / "pseudoword" / "runs" / FILE).read_text()
    assert '"event": "job started"' in log and str(shared_webui.folder) not in log and "zxqv" not in log
