"""The CLIP skip panel on the WebUI's page in a real browser; skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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


def test_the_table_goes_to_a_file_and_comes_from_one(webui: Webui, visit: Visit, tmp_path: Path) -> None:
    visitor = visit(webui)
    visitor.open_tab("txt2img")
    turn_on(visitor)
    visitor.page.click(f"{PANEL}_table_fold .label-wrap")
    field(visitor, "prompt").fill("2")
    visitor.page.click(f"{PANEL}_remember")
    visitor.is_told(f"{PANEL}_message", "pseudoword-mini wants 2")
    with visitor.page.expect_download() as exported:
        visitor.page.click(f"{PANEL}_export")
    text = Path(exported.value.path()).read_text(encoding="utf-8")
    assert exported.value.suggested_filename == "checkpoint-layers.txt" and "; 2; ; pseudoword-mini" in text

    file = tmp_path / "from-a-friend.txt"
    file.write_text(text.replace("; 2; ;", "; 3; ;") + f"\n{'ef' * 32}; 2/1; ; 絵 <b>\n", encoding="utf-8")
    with visitor.page.expect_file_chooser() as chooser:
        visitor.page.click(f"{PANEL}_import")
    chooser.value.set_files(file)
    visitor.is_told(f"{PANEL}_message", "2 from the file, of which 1 had other layers here")
    visitor.page.click(f"{PANEL}_save")
    visitor.is_told(f"{PANEL}_message", "The table is saved")
    shown = visitor.page.locator(f"{PANEL}_table textarea").first.input_value()
    assert "; 3; ; pseudoword-mini" in shown and "; 2/1; ; 絵 <b>" in shown


def test_the_prompts_go_to_where_layers_are_compared(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    for tab in ("txt2img", "img2img"):
        visitor.open_tab(tab)
        panel = PANEL.replace("txt2img", tab)
        visitor.page.click(f"{panel} > .label-wrap")
        visitor.page.fill(f"#{tab}_prompt textarea", f"a (red:1.3) cat\nof {tab} <lora:none:1><clipskip:2>")
        visitor.page.fill(f"#{tab}_neg_prompt textarea", "[blurry]")
        visitor.page.click(f"{panel}_compare")
        prompt = visitor.field("layers_template")
        prompt.wait_for(state="visible")
        visitor.page.wait_for_function(
            "tab => document.querySelector('#pseudoword_layers_template input').value.includes(tab)", arg=tab
        )
        assert prompt.input_value() == f"a red cat of {tab}"
        assert visitor.field("layers_negative").input_value() == "blurry"
