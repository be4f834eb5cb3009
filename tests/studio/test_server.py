"""`pseudoword studio` as a program: it serves, it listens to this computer alone, and Ctrl-C loses nothing."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from pseudoword.cli import main
from tests.studio.process import Studio, started

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a child")


@pytest.fixture
def studio(model: Path, tmp_path: Path) -> Iterator[Studio]:
    """One that a test may end."""
    with started(model, tmp_path) as studio:
        yield studio


def read(address: str) -> bytes:
    """What a page answers; the server may need a moment from its socket to its first answer."""
    with urlopen(address, timeout=60) as answer:
        content: bytes = answer.read()
        return content


def test_the_page_and_the_route_are_served_and_ctrl_c_ends_it(studio: Studio) -> None:
    page = read(studio.address).decode()
    assert "Pseudoword" in page and "pseudoword/v1/training" in page  # the script that draws is in the page
    assert json.loads(read(f"{studio.address}/pseudoword/v1/training")) == {"state": "idle"}
    code, said = studio.interrupt()
    assert code == 0 and "closed" in said and "Traceback" not in said


def test_a_training_under_way_is_saved_at_ctrl_c(studio: Studio) -> None:
    start_training(studio)
    code, said = studio.interrupt()
    assert code == 0 and "is saved" in said, said
    assert (studio.folder / "runs" / "zxqv" / "checkpoint.safetensors").exists()


def start_training(studio: Studio) -> None:
    """Press Start as the page does, and wait for the first steps."""
    from gradio_client import Client

    client = Client(studio.address, verbose=False)
    fields = {
        "files": None,
        "folder": str(studio.pictures),
        "name": "zxqv",
        "start": "the dog",
        "embedding": "a new one",
    }
    said = client.predict(*fields.values(), *expert(), api_name="/pseudoword_start")
    assert "Learning zxqv" in said, said
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if json.loads(read(f"{studio.address}/pseudoword/v1/training")).get("step", 0) > 2:
            return
        time.sleep(0.1)
    raise AssertionError("the training did not begin")


def expert() -> list[Any]:
    """The form as it is, but for a run that goes on for long."""
    from pseudoword.ui.setting_fields import shown

    return shown({"steps": 100_000, "early_stop": False, "validate_every": 0, "preview_every": 0}, {})


def test_a_port_that_is_taken_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("diffusers")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["studio", "--no-browser", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert f"port {port}" in said and "another --port" in said
