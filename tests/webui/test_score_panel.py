"""The score panel on the real WebUI's page: pictures that it generated are scored beside their own prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tests.webui.browsing import Visitor
from tests.webui.server import PICTURES, Webui

Visit: TypeAlias = Callable[[Webui], Visitor]
RESULT = "#pseudoword_score_result"


def test_generated_pictures_are_taken_from_the_gallery_and_scored(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    visitor.generate("a photo of a (red:1.2) cat")
    visitor.open_tab("Pseudoword")
    visitor.page.click("#tab_pseudoword .tab-nav button:has-text('Score')")
    visitor.page.click("#pseudoword-score-sources button:has-text('txt2img')")
    visitor.is_told("#pseudoword_score_count", "1 picture")
    visitor.press("score_prompts")
    visitor.is_told("#pseudoword_score_message", "on the line of its number")
    assert visitor.field("score_texts").input_value() == "a photo of a red cat"
    visitor.press("score_start")
    visitor.page.wait_for_selector(f"{RESULT} .pseudoword-score-table")
    told = visitor.page.inner_text(RESULT)
    assert "pseudoword-mini [" in told and "1 × 128" in told and "1 picture beside 1 text" in told
    visitor.page.wait_for_function("document.querySelector('.pseudoword-score-thumbnail').naturalWidth > 0")
    assert visitor.page.is_checked(f"{RESULT} input[value=cosine]")
    assert visitor.choices("score_model")[:2] == ["the best on this disk", "pseudoword-mini"]


def test_programs_score_and_folders_of_the_server_are_read(webui: Webui) -> None:
    answer = webui.ask("/pseudoword/v1/scores", {"folder": str(PICTURES), "texts": ["a penguin", "a blue cup"]})
    assert answer.status == 200 and answer.json["state"] == "finished", answer
    result = answer.json["result"]
    assert len(result["cosines"]) == len(list(PICTURES.glob("*.png")))
    assert result["model"].startswith("pseudoword-mini [")
    refused = webui.ask("/pseudoword/v1/scores", {"addresses": ["http://127.0.0.1/"], "texts": ["a"]})
    assert refused.status == 422 and "--pseudoword-fetch-urls" in refused.detail
    clips = webui.ask("/pseudoword/v1/clips").json
    assert clips["default"] == "pseudoword-mini" and clips["elsewhere"] and clips["download"] is None
