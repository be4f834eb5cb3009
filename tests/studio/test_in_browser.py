"""The studio in a real browser: run where Playwright and Chromium are installed, skipped elsewhere."""

from __future__ import annotations

from typing import Any

from tests.studio.process import PATIENCE_S, Studio

LIVE = "#pseudoword-training"


def opened(browser: Any, studio: Studio) -> Any:
    """The studio in a window of its own; an error of its script fails the test."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.goto(studio.address)
    page.wait_for_selector(f"{LIVE} .pseudoword-headline")
    return page


def shows(page: Any, text: str) -> None:
    """Wait until the live part of the page says `text`."""
    page.wait_for_function(
        "([place, text]) => document.querySelector(place)?.innerText.includes(text)", arg=[LIVE, text]
    )


def field(page: Any, name: str) -> Any:
    """A text field by the end of its id."""
    return page.locator(f"#pseudoword_{name} textarea, #pseudoword_{name} input").first


def test_a_word_is_taught_in_one_window_and_watched_in_another(browser: Any, studio: Studio) -> None:
    ours, theirs = opened(browser, studio), opened(browser, studio)
    shows(theirs, "No training yet")
    ours.set_input_files("#pseudoword_pictures input[type=file]", sorted(map(str, studio.pictures.iterdir())))
    ours.wait_for_selector("#pseudoword_pictures tr:nth-child(4)")
    field(ours, "name").fill("dog")
    ours.wait_for_selector("text=knows the word")
    field(ours, "name").fill("zxqv")
    ours.wait_for_selector("text=zxqv is free")
    field(ours, "start_words").fill("the dog")
    ours.click("#pseudoword_start")
    shows(theirs, "Learning zxqv")
    theirs.click("#pseudoword_pause")
    for page in (ours, theirs):
        shows(page, "Paused and saved")
    ours.reload()
    shows(ours, "Paused and saved")
    ours.click("#pseudoword_resume")
    shows(theirs, "Learning zxqv")
    ours.click("#pseudoword_stop")
    for page in (ours, theirs):
        shows(page, "kept as it was at its best step")
    assert (studio.folder / "runs" / "zxqv" / "zxqv.safetensors").exists()

    theirs.click("role=tab[name=Generate]")
    field(theirs, "prompt").fill("a photo of zxqv")
    theirs.wait_for_selector("#pseudoword_words >> text=Trained words: zxqv")
    theirs.wait_for_selector("#pseudoword_generate_cancel:disabled")
    theirs.click("#pseudoword_generate")
    theirs.wait_for_selector("text=Trained words in the prompt: zxqv")
    theirs.wait_for_selector("#pseudoword_gallery img")
    theirs.click("text=More >> visible=true")
    theirs.fill("[aria-label='number input for Steps']", "100")
    theirs.press("[aria-label='number input for Steps']", "Tab")
    for _ in range(10):  # a tiny model may have made them before Cancel is pressed
        theirs.click("#pseudoword_generate")
        theirs.click("#pseudoword_generate_cancel:enabled")
        theirs.wait_for_selector("#pseudoword_generate_cancel:disabled")
        if theirs.locator("text=Cancelled; 0 of 4 pictures were made.").is_visible():
            break
    assert theirs.locator("text=Cancelled; 0 of 4 pictures were made.").is_visible()


def test_cancelling_asks_first(browser: Any, studio: Studio) -> None:
    page = opened(browser, studio)
    field(page, "folder").fill(str(studio.pictures))
    field(page, "name").fill("zxqv")
    field(page, "start_words").fill("the dog")
    page.click("#pseudoword_start")
    shows(page, "Learning zxqv")
    page.click("#pseudoword_pause")
    shows(page, "Paused")
    answers = iter([False, True])
    page.on("dialog", lambda dialog: dialog.accept() if next(answers) else dialog.dismiss())
    page.click("#pseudoword_cancel")
    page.wait_for_timeout(2000)
    shows(page, "Paused")
    page.click("#pseudoword_cancel")
    shows(page, "Cancelled")
    assert not (studio.folder / "runs" / "zxqv").exists()
