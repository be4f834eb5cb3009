"""The studio as a process of its own, on a tiny model."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_models
from tests.training.small_runs import draw_pictures

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Studio:
    """`address` of the page, `folder` it was started in, `pictures` to train on; its library is `folder`/embeddings."""

    address: str
    folder: Path
    pictures: Path
    process: subprocess.Popen[str]

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; returns the exit code and what it said since it was ready."""
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("diffusers")
    return tiny_models.save_folder(tmp_path_factory.mktemp("studio") / "tiny-model")


@pytest.fixture
def studio(model: Path, tmp_path: Path) -> Iterator[Studio]:
    (tmp_path / "embeddings").mkdir()
    command = [sys.executable, "-m", "pseudoword", "studio", "--no-browser", "--model", str(model)]
    command += ["--embeddings", "embeddings"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Studio(address_in(process), tmp_path, draw_pictures(tmp_path / "pictures"), process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def browser() -> Iterator[Any]:
    """Chromium; skipped where it or Playwright is not installed."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def address_in(process: subprocess.Popen[str]) -> str:
    """The address that the studio tells, once it answers there."""
    assert process.stdout is not None
    ends = time.monotonic() + PATIENCE_S
    said = ""
    while time.monotonic() < ends:
        line = process.stdout.readline()
        said += line
        if found := re.search(r"http://[\d.]+:\d+", line):
            return found[0]
        assert line or process.poll() is None, f"the studio ended: {said}"
    raise AssertionError(f"the studio never said where it is: {said}")
