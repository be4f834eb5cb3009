"""The CLIP score panel on the WebUI's page in a real browser; skipped where there is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from tests.webui.browsing import Visitor
from tests.webui.server import Webui

Visit: TypeAlias = Callable[[Webui], Visitor]
PANEL = "#pseudoword_txt2img_score"
CAT = "a photo of a red cat"
INFO, LOG = "#html_info_txt2img", "#html_log_txt2img"


def turn_on(visitor: Visitor) -> None:
    """Open the panel, which turns it on and reads which models there are."""
    visitor.open_tab("txt2img")
    visitor.page.click(f"{PANEL} > .label-wrap")
    visitor.is_told(f"{PANEL}_about", "The best on this disk is pseudoword-mini")


def is_on(visitor: Visitor) -> bool:
    """Whether the panel's title says that it is on."""
    checked: bool = visitor.page.is_checked(f"{PANEL}-visible-checkbox")
    return checked


def paste(visitor: Visitor, infotext: str) -> None:
    """Write an infotext where the prompt is, and press the WebUI's arrow."""
    visitor.page.fill("#txt2img_prompt textarea", infotext)
    visitor.page.click("#paste")
    visitor.page.wait_for_function(
        "prompt => document.querySelector('#txt2img_prompt textarea').value === prompt", arg=infotext.split("\n")[0]
    )


def test_scores_are_shown_and_the_best_are_kept(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    visitor.open_tab("txt2img")
    assert not is_on(visitor) and "CLIP score" not in visitor.generate(CAT)
    turn_on(visitor)
    assert is_on(visitor)
    visitor.page.fill(f"{PANEL}_text textarea", "a red cat: sitting")
    made = visitor.generate(f"{CAT}.")
    assert re.search(r"CLIP score: \d+\.\d, CLIP model: pseudoword-mini", made)
    assert 'CLIP score text: "a red cat: sitting"' in made

    visitor.page.fill("#txt2img_batch_count input[type=number]", "3")
    visitor.page.fill(f"{PANEL}_keep input", "2")
    visitor.page.check(f"{PANEL}_best_first input")
    visitor.generate(f"{CAT}!")
    visitor.is_told(LOG, "1 of 3 pictures is left out for a lower CLIP score")
    scores = re.findall(r"\d+\.\d", visitor.page.inner_text(LOG))[:2]
    assert float(scores[0]) >= float(scores[1])
    thumbnails = visitor.page.locator("#txt2img_gallery .thumbnails .thumbnail-item")
    assert thumbnails.count() == 3  # the grid, and the two
    for number, score in enumerate(scores, 1):
        thumbnails.nth(number).click()
        visitor.is_told(INFO, f"CLIP score: {score}")


def test_an_infotext_fills_the_panel_and_one_without_a_score_leaves_it(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    visitor.open_tab("txt2img")
    line = f"{CAT}\nSteps: 8, Sampler: Euler a, CFG scale: 7, Seed: 7, Size: 64x64"
    paste(visitor, line)
    assert not is_on(visitor)
    paste(visitor, f"{line}, CLIP score: 31.2, CLIP model: pseudoword-mini, CLIP score text: a cat")
    visitor.page.wait_for_function("id => document.querySelector(id).checked", arg=f"{PANEL}-visible-checkbox")
    assert visitor.page.input_value(f"{PANEL}_text textarea") == "a cat"
    assert visitor.page.input_value(f"{PANEL}_model input") == "pseudoword-mini"
    assert visitor.page.input_value(f"{PANEL}_keep input") == "0"
    paste(visitor, line)
    visitor.page.wait_for_timeout(500)
    assert is_on(visitor) and visitor.page.input_value(f"{PANEL}_text textarea") == "a cat"


def test_the_panel_fits_a_narrow_screen(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    turn_on(visitor)
    visitor.page.set_viewport_size({"width": 390, "height": 800})
    for place in ("model input", "text textarea", "long input", "keep input", "minimum input", "best_first input"):
        box = visitor.page.locator(f"{PANEL}_{place}").first.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390, place
