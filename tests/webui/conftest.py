"""Tests inside a real WebUI 1.10.1 that is there already; all of the folder is skipped where none is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.webui.place import ADDRESS_OF_PYTHON, ADDRESS_OF_WEBUI
from tests.webui.browsing import CHROMIUM, Visitor
from tests.webui.server import Webui, furnished, running

HERE = Path(__file__).parent
LIMIT_S = 1800  # for one test on a machine that is busy with other things; a guard against hanging, not a measure


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder is slow, and needs a WebUI and its Python."""
    missing = [name for name in (ADDRESS_OF_WEBUI, ADDRESS_OF_PYTHON) if not os.environ.get(name)]
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        item.add_marker("slow")
        item.add_marker(pytest.mark.timeout(LIMIT_S))
        if missing:
            item.add_marker(pytest.mark.skip(reason=what_to_set(missing)))
        elif os.name == "nt":
            item.add_marker(pytest.mark.skip(reason="the server is ended as POSIX ends processes"))


def what_to_set(missing: list[str]) -> str:
    """Why the folder is skipped."""
    return (
        f"set {' and '.join(missing)}: {ADDRESS_OF_WEBUI} to the folder of AUTOMATIC1111's WebUI 1.10.1, "
        f"{ADDRESS_OF_PYTHON} to the Python of its environment"
    )


@pytest.fixture(scope="session")
def usual_webui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webui]:
    """A WebUI as most people start it, and with --api; one for all tests that need no flags of their own."""
    with running(furnished(tmp_path_factory.mktemp("webui")), "--api") as webui:
        yield webui


@pytest.fixture
def webui(usual_webui: Webui) -> Iterator[Webui]:
    """The usual WebUI with nothing under way, before and after."""
    usual_webui.end_trainings()
    yield usual_webui
    usual_webui.end_trainings()


@pytest.fixture
def visit() -> Iterator[Callable[[Webui], Visitor]]:
    """Opens a WebUI in a browser's window of its own; a complaint of a script in it fails the test."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        visitors: list[Visitor] = []

        def opened(webui: Webui) -> Visitor:
            visitors.append(Visitor(browser, webui))
            return visitors[-1]

        yield opened
        browser.close()
    assert not [complaint for visitor in visitors for complaint in visitor.complaints]
