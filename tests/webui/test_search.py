"""The search on the real WebUI's page: what was generated is found, and sent to img2img, PNG info and a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tests.webui.browsing import Visitor
from tests.webui.server import Webui

Visit: TypeAlias = Callable[[Webui], Visitor]
DETAILS = ".pseudoword-search-details"
EMPTY_PROMPT = """() => {
  const field = document.querySelector("#img2img_prompt textarea");
  field.value = "";
  field.dispatchEvent(new Event("input", { bubbles: true }));
}"""


def opened(webui: Webui, visit: Visit) -> Visitor:
    """The tab, with a hit open."""
    visitor = visit(webui)
    visitor.generate("a (penguin:1.2) on a hill")
    visitor.open_tab("Pseudoword")
    visitor.page.click("#tab_pseudoword .tab-nav button:has-text('Search')")
    visitor.page.wait_for_selector(".pseudoword-search-index button")
    visitor.page.click(".pseudoword-search-index button")
    visitor.page.wait_for_selector(".pseudoword-search-hit")
    visitor.page.click("text=Filters, folder, model")
    visitor.page.fill("#pseudoword-search [name=words]", "penguin hill")
    visitor.page.fill("#pseudoword-search [name=text]", "a penguin")
    visitor.page.press("#pseudoword-search [name=text]", "Enter")
    visitor.page.wait_for_selector(".pseudoword-search-found:has-text('the best first (pseudoword-mini [')")
    visitor.page.click(".pseudoword-search-open >> nth=0")
    visitor.page.wait_for_selector(f"{DETAILS}:has-text('a (penguin:1.2) on a hill')")
    return visitor


def back(visitor: Visitor) -> None:
    visitor.open_tab("Pseudoword")
    visitor.page.wait_for_selector(DETAILS)


def test_a_generated_picture_is_found_and_sent_on(webui: Webui, visit: Visit) -> None:
    visitor = opened(webui, visit)
    page = visitor.page
    page.click(f"{DETAILS} >> text=Send to PNG info")
    page.wait_for_selector("#tab_pnginfo:has-text('a (penguin:1.2) on a hill')")
    back(visitor)
    page.click(f"{DETAILS} >> text=Send to PNG info")  # in the place of what is there
    page.wait_for_selector("#tab_pnginfo:has-text('a (penguin:1.2) on a hill')")
    for _ in range(2):
        back(visitor)
        page.evaluate(EMPTY_PROMPT)
        page.click(f"{DETAILS} >> text=Send to img2img")
        page.wait_for_selector("#img2img_image img")
        page.wait_for_function("document.querySelector('#img2img_prompt textarea').value.includes('penguin')")
        assert page.is_visible("#img2img_image")
    back(visitor)
    page.click(f"{DETAILS} >> text=Add to the training set")
    page.wait_for_selector(f"{DETAILS}:has-text('1 picture in the training set')")
    visitor.look_at_training()
    page.wait_for_selector("#pseudoword_pictures a[download$='.png']")


def test_programs_search_what_was_generated(webui: Webui, visit: Visit) -> None:
    opened(webui, visit)
    answer = webui.ask("/pseudoword/v1/search", {"text": "a penguin", "words": "penguin", "count": 1})
    assert answer.status == 200 and len(answer.json["hits"]) == 1, answer
    hit = answer.json["hits"][0]
    assert hit["prompt"] == "a (penguin:1.2) on a hill" and hit["checkpoint"].startswith("pseudoword-mini")
    refused = webui.ask("/pseudoword/v1/search", {"folder": "/no/such"})
    assert refused.status == 422 and "is no folder" in refused.detail
