"""The CLIP skip panel on the WebUI's page in a real browser; skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from tests.webui.browsing import Visitor
from tests.webui.server import Webui

Visit: TypeAlias = Callable[[Webui], Visitor]
PANEL = "#pseudoword_txt2img_clip_skip"
CAT = "a photo of a red cat"


def is_on(visitor: Visitor) -> bool:
    """Whether the panel's title says that it is on."""
    checked: bool = visitor.page.is_checked(f"{PANEL}-visible-checkbox")
    return checked


def turn_on(visitor: Visitor) -> None:
    """Open the panel, which is how the WebUI's own are turned on."""
    visitor.page.click(f"{PANEL} > .label-wrap")
    visitor.page.wait_for_selector(f"{PANEL}_prompt input", state="visible")


def field(visitor: Visitor, place: str) -> Any:
    """A field of the panel."""
    return visitor.page.locator(f"{PANEL}_{place} input").first


def paste(visitor: Visitor, infotext: str) -> None:
    """Write an infotext where the prompt is, and press the WebUI's arrow."""
    visitor.page.fill("#txt2img_prompt textarea", infotext)
    visitor.page.click("#paste")
    visitor.page.wait_for_function(
        "prompt => document.querySelector('#txt2img_prompt textarea').value === prompt", arg=infotext.split("\n")[0]
    )


def test_it_is_turned_on_used_and_pasted_back(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    visitor.open_tab("txt2img")
    assert not is_on(visitor) and "Clip skip" not in visitor.generate(CAT)
    turn_on(visitor)
    assert is_on(visitor)
    field(visitor, "prompt").fill("1=0.5,2=0.5")
    field(visitor, "negative").fill("3")
    made = visitor.generate(f"{CAT}.")
    assert 'Clip skip prompt: "1=0.5,2=0.5", Clip skip negative prompt: 3' in made
    field(visitor, "prompt").fill("99")
    assert "choose 1 to 8" in visitor.generate(f"{CAT}!")

    paste(visitor, f"{CAT}\nSteps: 8, Sampler: Euler a, CFG scale: 7, Seed: 7, Size: 64x64, Clip skip: 2")
    visitor.page.wait_for_function("id => !document.querySelector(id).checked", arg=f"{PANEL}-visible-checkbox")
    assert field(visitor, "prompt").input_value() == field(visitor, "negative").input_value() == ""
    paste(visitor, made)
    visitor.page.wait_for_function("id => document.querySelector(id).checked", arg=f"{PANEL}-visible-checkbox")
    assert field(visitor, "prompt").input_value() == "1=0.5,2=0.5" and field(visitor, "negative").input_value() == "3"


def test_the_table_is_kept_and_the_panel_fits_a_narrow_screen(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    visitor.open_tab("txt2img")
    turn_on(visitor)
    field(visitor, "prompt").fill("2")
    visitor.page.click(f"{PANEL}_table_fold .label-wrap")
    visitor.page.click(f"{PANEL}_remember")
    visitor.is_told(f"{PANEL}_message", "pseudoword-mini wants 2 from now on")
    table = visitor.page.locator(f"{PANEL}_table textarea").first
    assert "; 2; ; pseudoword-mini" in table.input_value()
    table.fill("nonsense; 2")
    visitor.page.click(f"{PANEL}_save")
    visitor.is_told(f"{PANEL}_message", "Line 1: 'nonsense' is not a checkpoint's hash")
    visitor.page.set_viewport_size({"width": 390, "height": 800})
    for place in ("source input", "prompt input", "hires_negative input", "table textarea", "remember"):
        box = visitor.page.locator(f"{PANEL}_{place}").first.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390, place
