"""The jobs page in two real browsers, of two people: run where Playwright and Chromium are installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studio.person import Person
from tests.studio.process import PATIENCE_S, Studio, started
from tests.studio.test_in_browser import field
from tests.training.small_runs import draw_pictures

ROW = ".pseudoword-job"


@pytest.fixture
def shared_studio(model: Path, tmp_path: Path) -> Iterator[Studio]:
    draw_pictures(tmp_path / "pictures")
    with started(model, tmp_path, "--proxied", "--folder", "pictures") as studio:
        yield studio


def opened(browser: Any, studio: Studio) -> Any:
    """The studio in a browser of its own; an error of its script fails the test."""
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.on("pageerror", lambda problem: pytest.fail(str(problem)))
    page.goto(studio.address)
    page.wait_for_selector("#pseudoword-training .pseudoword-headline")
    return page


def teach(page: Any, studio: Studio, name: str, steps: int = 100_000) -> None:
    """Start a training as the form does, and look at the jobs."""
    page.click("role=tab[name=Train]")
    if not page.is_visible("#pseudoword_steps"):
        page.click("text=Expert settings")
    field(page, "steps").wait_for()
    page.wait_for_timeout(500)  # what unfolds gets its values once more
    field(page, "steps").fill(str(steps))
    field(page, "folder").fill(str(studio.pictures))
    field(page, "name").fill(name)
    field(page, "start_words").fill("the dog")
    page.wait_for_selector(f"text={name} is free")
    page.click("#pseudoword_start")
    page.wait_for_selector(f"#pseudoword_message:has-text('{name}')")
    page.click("role=tab[name=Jobs]")


def row(page: Any, name: str, state: str = "") -> Any:
    """The line of a job, once it is in `state`."""
    found = page.locator(f"{ROW}:has(.pseudoword-job-title:text-is('{name}')):has-text('{state}')")
    found.wait_for()
    return found


def test_two_people_wait_in_one_queue_and_steer_their_own_jobs(browser: Any, shared_studio: Studio) -> None:
    ann, bob = opened(browser, shared_studio), opened(browser, shared_studio)
    teach(ann, shared_studio, "zxqv-a")
    row(ann, "zxqv-a", "running")
    teach(ann, shared_studio, "zxqv-b")
    teach(bob, shared_studio, "zxqv-c")
    assert row(bob, "zxqv-c", "number 1 in the queue").is_visible()  # people take turns
    row(ann, "zxqv-b", "number 2 in the queue")
    assert bob.locator(ROW).count() == 1
    bob.select_option(".pseudoword-jobs-whose", "all")
    theirs = row(bob, "zxqv-a", "by browser")
    assert theirs.locator("button").count() == 0
    assert bob.inner_text("#pseudoword-training") == "" or "zxqv-a" not in bob.inner_text("#pseudoword-training")

    row(ann, "zxqv-a").locator("text=Pause").click()  # and without a reload the other page shows what follows
    row(bob, "zxqv-a", "paused")
    row(bob, "zxqv-c", "running")
    ann.on("dialog", lambda dialog: dialog.accept())
    row(ann, "zxqv-b").locator("text=Cancel").click()
    row(ann, "zxqv-b", "cancelled")

    row(ann, "zxqv-a").locator("button.pseudoword-job-title").click()
    row(ann, "zxqv-a").locator("text=Share with everybody").click()
    row(bob, "zxqv-a", "shared").locator("button.pseudoword-job-title").click()
    row(bob, "zxqv-a").locator("summary:has-text('Training pictures')").click()
    bob.wait_for_function(
        "() => [...document.querySelectorAll('.pseudoword-job-picture')].filter((one) => one.naturalWidth).length >= 4"
    )
    row(ann, "zxqv-a").locator("text=Delete with its files").click()
    row(bob, "zxqv-a").wait_for(state="detached")
    assert not (shared_studio.folder / "runs" / "zxqv-a").exists()


def test_finished_runs_are_compared_and_their_settings_used_again(browser: Any, studio: Studio) -> None:
    page = opened(browser, studio)
    for name, steps in (("zxqv-a", 12), ("zxqv-b", 16)):
        teach(page, studio, name, steps)
    for name in ("zxqv-a", "zxqv-b"):
        row(page, name, "finished").locator("input[type=checkbox]").check()
    assert not page.locator(".pseudoword-jobs-whose").is_visible()  # who is alone has no others
    page.click("text=Compare the two")
    shown = page.locator(".pseudoword-jobs-comparison")
    shown.locator("tr:has-text('steps')").first.wait_for()
    assert "12" in shown.inner_text() and "16" in shown.inner_text()
    page.wait_for_function(
        "() => document.querySelector('.pseudoword-jobs-comparison .pseudoword-in-light').naturalWidth > 1000"
    )
    shown.locator("text=Close").click()
    row(page, "zxqv-a").locator("button.pseudoword-job-title").click()
    row(page, "zxqv-a").locator("text=Use its settings").click()
    page.wait_for_selector("#pseudoword_message:has-text('the settings of zxqv-a')")
    page.wait_for_function("() => document.querySelector('#pseudoword_steps input').value === '12'")


def test_comparisons_and_scored_folders_are_on_the_list_with_what_came_of_them(browser: Any, studio: Studio) -> None:
    person = Person(studio)
    asked = {"kind": "layers", "prompt": "a cat", "layers": "1; 2", "seeds": [1], "steps": 1}
    strip = person.ask("strips", asked, "POST")[1]["id"]
    person.ask("scores", {"folder": str(studio.pictures), "texts": ["a cat"]}, "POST")
    page = opened(browser, studio)
    page.click("role=tab[name=Jobs]")
    scores = row(page, "Scores of a folder", "finished")
    assert "Scores" in scores.inner_text() and "pictures scored by" in scores.inner_text()
    layers = row(page, "Layers of tiny-model", "finished")
    assert layers.locator("input[type=checkbox]").count() == 0, "only trainings are compared"
    layers.locator("button.pseudoword-job-title").click()
    sheet = layers.locator(f"img[src*='strips/{strip}/sheet.png']")
    sheet.wait_for()
    page.wait_for_function("image => image.naturalWidth > 0", arg=sheet.element_handle())
    assert layers.locator("text=Use its settings").count() == 0
    page.on("dialog", lambda dialog: dialog.accept())
    layers.locator("text=Delete with its files").click()
    layers.wait_for(state="detached")
    assert not (studio.folder / "runs" / ".jobs" / strip).exists()
