"""The check of a training set in a real browser: from dropped pictures to a training without some of them."""

from __future__ import annotations

from typing import Any

from tests.studio.process import PATIENCE_S, Studio
from tests.training.doubtful_sets import fill_doubtful

ROWS = "#pseudoword_check_place .pseudoword-set-check-row"


def field(page: Any, name: str) -> Any:
    """A text field by the end of its id."""
    return page.locator(f"#pseudoword_{name} textarea, #pseudoword_{name} input").first


def opened(browser: Any, studio: Studio, width: int = 1300, theme: str = "light") -> Any:
    """The studio's first tab; what scripts complain of is kept in `complaints`."""
    page = browser.new_page(viewport={"width": width, "height": 1000})
    page.set_default_timeout(PATIENCE_S * 1000)
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(f"{studio.address}/?__theme={theme}")
    page.wait_for_selector("#pseudoword-training .pseudoword-headline")
    return page


def check(page: Any) -> None:
    """Press the button, and wait until all pictures were looked at and sent through the VAE."""
    page.click("#pseudoword_check")
    page.wait_for_function(
        "() => / was found /.test(document.querySelector('.pseudoword-set-check .pseudoword-headline')?.innerText)"
    )


def names_of(page: Any, kind: str = "") -> list[str]:
    """The names in rows of a kind."""
    names: list[str] = page.locator(f"{ROWS}{kind} .pseudoword-set-check-file").all_inner_texts()
    return names


def test_doubtful_pictures_are_shown_left_out_with_one_click_and_taken_back(browser: Any, studio: Studio) -> None:
    folder = fill_doubtful(studio.folder / "doubtful")
    page = opened(browser, studio)
    page.set_input_files("#pseudoword_pictures input[type=file]", sorted(map(str, folder.iterdir())))
    page.wait_for_selector("#pseudoword_thumbnails img >> nth=9")
    check(page)
    page.wait_for_selector("#pseudoword_check_cancel:disabled")
    # The model is not the built-in one, whose CLIP looks at its pictures: so the stranger is only a hint.
    assert names_of(page)[:3] == ["7-copy.jpg", "8-blurred.png", "9-small.png"]
    assert names_of(page, ":has(input:checked)") == ["7-copy.jpg", "8-blurred.png", "9-small.png"]
    assert page.locator(f"{ROWS} figure img").count() == 2 * len(names_of(page))
    assert "broken.png is passed over: it is no picture" in page.inner_text("#pseudoword_check_place")
    assert "only a hint" in page.inner_text("#pseudoword_check_place")
    page.wait_for_function(
        f"() => [...document.querySelectorAll('{ROWS} img')].every((image) => image.complete && image.naturalWidth > 0)"
    )

    page.uncheck(f"{ROWS}:has-text('8-blurred.png') input")
    page.check(f"{ROWS}:has-text('6-stranger.png') input")
    page.click(".pseudoword-set-check-buttons button:first-child")
    page.wait_for_selector("text=are left out of the training; the files stay")
    page.wait_for_selector(f"{ROWS}.pseudoword-set-check-out")
    out = names_of(page, ".pseudoword-set-check-out")
    assert sorted(out) == ["6-stranger.png", "7-copy.jpg", "9-small.png"]
    page.wait_for_function("() => document.querySelectorAll('#pseudoword_thumbnails img').length === 7")

    page.click(".pseudoword-set-check-buttons button:last-child")
    page.wait_for_selector("text=No picture is left out")
    page.wait_for_function("() => document.querySelectorAll('#pseudoword_thumbnails img').length === 10")
    assert names_of(page, ".pseudoword-set-check-out") == []
    assert page.complaints == []


def test_a_training_goes_without_what_was_left_out_of_a_folder(browser: Any, studio: Studio) -> None:
    page = opened(browser, studio, width=390, theme="dark")
    field(page, "folder").fill(str(studio.pictures))
    check(page)
    for name in ("0.png", "2.png"):
        page.check(f"{ROWS}:has-text('{name}') input")
    page.click(".pseudoword-set-check-buttons button:first-child")
    page.wait_for_selector("text=0.png, 2.png are left out of the training")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    field(page, "name").fill("zxqv")
    field(page, "start_words").fill("the dog")
    page.wait_for_selector("text=zxqv is free")
    page.click("#pseudoword_start")
    page.wait_for_selector("text=Learning zxqv")
    page.wait_for_function("async () => (await (await fetch('pseudoword/v1/training')).json()).pictures === 2")
    field(page, "folder").fill(str(studio.folder / "elsewhere"))
    page.wait_for_function("() => !document.querySelector('.pseudoword-set-check')")  # other pictures, no findings
    assert page.complaints == []
