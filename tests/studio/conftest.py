"""One studio on a tiny model and one Chromium for all tests here; each test finds them as if it were the first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_models
from tests.studio.person import Person
from tests.studio.process import Studio, started
from tests.training.small_runs import draw_pictures

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
UNDER_WAY = ("waiting", "running")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("diffusers")
    return tiny_models.save_folder(tmp_path_factory.mktemp("studio") / "tiny-model")


@pytest.fixture(scope="package")
def running_studio(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio without flags; its start takes longer than most tests."""
    with started(model, tmp_path_factory.mktemp("shared-studio")) as studio:
        yield studio


@pytest.fixture
def studio(running_studio: Studio) -> Iterator[Studio]:
    """A studio in which nobody has done anything. A test that ends it, or wants flags, starts one of its own."""
    yield running_studio
    empty(running_studio)


def empty(studio: Studio) -> None:
    """Remove what a test has left: jobs with their files, words in the library and in runs, changed pictures."""
    person = Person(studio)
    for job in person.ask("jobs?whose=all")[1]["jobs"]:
        if job["state"] in UNDER_WAY:
            person.ask(f"jobs/{job['id']}/cancel", {}, "POST")
    person.waits_until(lambda: not {job["state"] for job in person.ask("jobs")[1]["jobs"]}.intersection(UNDER_WAY))
    for job in person.ask("jobs")[1]["jobs"]:
        status, answer = person.ask(f"jobs/{job['id']}", {}, "DELETE")
        assert status == 200, answer
    words = [path for path in (studio.folder / "runs").glob("[!.]*") if path.is_dir()]  # the rest is the server's own
    for path in (*words, studio.folder / "embeddings", studio.pictures):
        shutil.rmtree(path)
    (studio.folder / "embeddings").mkdir()
    draw_pictures(studio.pictures)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """Chromium; skipped where it or Playwright is not installed."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """A browser without windows, cookies and cached files."""
    yield chromium
    for context in chromium.contexts:
        context.close()
