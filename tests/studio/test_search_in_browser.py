"""Finding pictures in a real browser: by a text, by a picture, by a hit; filters, keys, and on to the training set."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scoring.pictures import picture, with_prompt
from tests.studio.process import PATIENCE_S, Studio, started
from tests.studio.tabs import open_tab

FACTS = "\nSteps: 20, Sampler: Euler a, Seed: 1, Model hash: 0a1b, Model: <b>dreamer</b>"
HIT = ".pseudoword-search-hit"
OPEN = f"{HIT} button"
PASTE = """base64 => {
  const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""


def generated(folder: Path) -> Path:
    """Sixty pictures with their prompts, and a file that is none."""
    for number in range(60):
        path = folder / f"day-{number % 3}" / f"{number:02}.png"
        with_prompt(path, f"a (thing:1.3) no. {number} <i>x</i>{FACTS if number % 2 else ''}", number)
    (folder / "broken.png").write_bytes(b"none")
    return folder


@pytest.fixture
def studio_of_pictures(model: Path, tmp_path: Path) -> Iterator[Studio]:
    generated(tmp_path / "generated")
    with started(model, tmp_path, "--pictures", "generated") as studio:
        yield studio


def opened(browser: Any, studio: Studio, width: int = 1300) -> Any:
    """The tab in a window of its own; whatever goes wrong in the page is an error."""
    page = browser.new_page(viewport={"width": width, "height": 1000})
    page.set_default_timeout(1000 * PATIENCE_S)
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(studio.address)
    open_tab(page, "Search")
    page.wait_for_selector(".pseudoword-search-form")
    return page


def is_told(page: Any, part: str, text: str) -> None:
    page.wait_for_selector(f".pseudoword-search-{part}:has-text('{text}')")


def test_from_an_empty_index_to_a_picture_in_the_training_set(
    browser: Any, studio_of_pictures: Studio, tmp_path: Path
) -> None:
    page = opened(browser, studio_of_pictures)
    is_told(page, "index", "No pictures have been read yet")
    page.click("text=Read the pictures")
    is_told(page, "index", "60 pictures can be found.")
    page.click("text=1 file could not be read")
    is_told(page, "index", "broken.png: it is no picture")
    # The latest, before anything is looked for.
    page.fill("[name=text]", "a thing")
    page.press("[name=text]", "Enter")
    is_told(page, "found", "Of 60 pictures, the best first (pseudoword-mini [")
    assert page.locator(HIT).count() == 48
    page.click("text=Show more")
    page.wait_for_selector(f"{HIT}:nth-child(60)")
    assert page.locator("text=Show more").count() == 0
    # By a picture that is pasted.
    picture(7).save(tmp_path / "seven.png")
    page.evaluate(PASTE, base64.b64encode((tmp_path / "seven.png").read_bytes()).decode())
    is_told(page, "like", "Like image.png")
    page.wait_for_selector(f"{HIT}:first-child:has-text('07.png')")
    assert "1.000" in page.inner_text(f"{HIT}:first-child")
    # Its details; what a file says stays text.
    page.click(f"{OPEN}:has-text('07.png')")
    page.wait_for_function("document.querySelector('.pseudoword-search-details img').naturalWidth === 40")
    details = page.inner_text(".pseudoword-search-details")
    assert "generated/day-1" in details and "<b>dreamer</b> [0a1b]" in details and "no. 7 <i>x</i>" in details
    assert str(tmp_path) not in page.content()
    for expected in ("1 picture in the training set", "It is in the training set already"):
        page.click("text=Add to the training set")
        is_told(page, "details", expected)
        page.wait_for_timeout(500)
    page.click(f"{OPEN} >> nth=3")
    page.click("text=Add to the training set")
    is_told(page, "details", "2 pictures in the training set")
    page.click("text=More like this")
    is_told(page, "like", "Like ")
    # With a filter.
    page.click("text=Filters, folder, model")
    page.select_option("[name=checkpoint]", "<b>dreamer</b> [0a1b]")
    is_told(page, "found", "Of 30 pictures")
    page.fill("[name=words]", "no. 51")
    page.press("[name=words]", "Tab")
    is_told(page, "found", "Of 1 picture")
    page.fill("[name=since]", "2999-01-01")
    page.press("[name=since]", "Tab")
    is_told(page, "found", "No picture fits the filters")
    # In the form it is there.
    page.click("role=tab[name=Train]")
    page.wait_for_function("document.querySelectorAll('#pseudoword_thumbnails img').length >= 2")


def test_without_a_folder_the_page_asks_for_one_and_does_not_ask_the_server_again(
    browser: Any, studio: Studio, tmp_path: Path
) -> None:
    picture(1).save(tmp_path / "one.png")
    refused: list[str] = []
    page = opened(browser, studio)
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 422 else None)
    is_told(page, "index", "There is no folder of pictures to search")
    is_told(page, "clip", "The best on this disk is pseudoword-mini. It is the small one that is built in")
    page.wait_for_selector("[name=folder]:visible")
    page.wait_for_timeout(9000)  # more than twice as long as an idle page waits between two questions
    assert len(refused) <= 1, "one may have been answered before we listened"
    page.fill("[name=folder]", str(tmp_path / "nowhere"))
    page.press("[name=folder]", "Tab")
    is_told(page, "index", "is no folder")
    page.fill("[name=folder]", str(tmp_path))
    page.press("[name=folder]", "Tab")
    page.click("text=Read the pictures")
    page.wait_for_selector(f"{HIT}:has-text('one.png')")


def test_by_keys_alone_on_a_narrow_screen(browser: Any, studio: Studio, tmp_path: Path) -> None:
    folder = generated(tmp_path / "generated")
    page = opened(browser, studio, width=390)
    page.wait_for_selector("[name=folder]:visible")
    page.fill("[name=folder]", str(folder))
    page.press("[name=folder]", "Tab")
    page.click("text=Read the pictures")
    is_told(page, "index", "60 pictures can be found.")
    page.focus("[name=text]")
    page.keyboard.type("a thing")
    page.keyboard.press("Enter")
    is_told(page, "found", "Of 60 pictures, the best first")
    page.focus(f"{OPEN} >> nth=0")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".pseudoword-search-details")
    number = "document.activeElement.closest('li').dataset.number"
    assert page.evaluate(f"{number} === '2' && document.activeElement.ariaExpanded === 'true'")
    page.keyboard.press("Escape")
    assert page.locator(".pseudoword-search-details").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # Deleted behind the page's back it is gone from the next answer.
    name = page.inner_text(f"{OPEN} >> nth=0").split("\n")[0]
    next(folder.rglob(name)).unlink()
    page.click(".pseudoword-search-go")
    page.wait_for_selector(f"{HIT}:first-child:not(:has-text('{name}'))")
