"""The page of the WebUI in a real browser: run where Playwright and Chromium are installed, skipped elsewhere."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from tests.webui.browsing import LIVE, Visitor
from tests.webui.server import PICTURES, WORD_OF_BEFORE, Webui

Visit: TypeAlias = Callable[[Webui], Visitor]


def test_a_word_is_taught_in_one_window_while_another_watches_and_generates(webui: Webui, visit: Visit) -> None:
    ours, theirs = visit(webui), visit(webui)
    begin_in(ours)
    for visitor in (ours, theirs):
        visitor.sees("Learning wugling: step")
    assert "Seed: " in theirs.generate("a photo of a cat")
    at = webui.training("wugling")["step"]
    assert webui.wait_for_step("wugling", at + 1)["state"] == "training"
    theirs.look_at_training()
    theirs.page.wait_for_selector(f"{LIVE} .pseudoword-preview img")

    theirs.press("pause")
    for visitor in (ours, theirs):
        visitor.sees("Paused and saved")
    ours.reload()
    ours.sees("Paused and saved")
    ours.press("resume")
    theirs.sees("Learning wugling: step")
    ours.press("stop")
    for visitor in (ours, theirs):
        visitor.sees("Write wugling in a prompt to use it")

    embeddings = webui.folder / "embeddings"
    assert (embeddings / "wugling.preview.png").is_file()
    short_hash = hashlib.sha256((embeddings / "wugling.safetensors").read_bytes()).hexdigest()[:12]
    assert_there_is_a_card(theirs)
    assert f'TI hashes: "wugling: {short_hash}"' in theirs.generate("a photo of wugling")


def begin_in(visitor: Visitor) -> None:
    """Fill in the form for a run that goes on until it is stopped, and press Start."""
    visitor.drop_pictures(sorted(PICTURES.glob("*.png"))[:5])
    visitor.field("name").fill("cat")
    visitor.is_told("#pseudoword_name_hint", "knows the word 'cat'")
    visitor.field("name").fill(WORD_OF_BEFORE)
    visitor.is_told("#pseudoword_name_hint", f"There is an embedding {WORD_OF_BEFORE!r} already")
    visitor.field("name").fill("wugling")
    visitor.is_told("#pseudoword_name_hint", "wugling is free")
    visitor.field("start_words").fill("penguin bird")
    visitor.unfold("Expert settings")
    for name, value in {"steps": 100_000, "validate_every": 10, "preview_every": 15}.items():
        visitor.field(name).fill(str(value))
    visitor.field("early_stop").uncheck()
    visitor.press("start")
    visitor.is_told("#pseudoword_message", "Learning wugling")


def assert_there_is_a_card(visitor: Visitor) -> None:
    """Under Textual Inversion of txt2img, with the word's own picture; the page was not reloaded."""
    visitor.open_tab("txt2img")
    visitor.page.click("#txt2img_extra_tabs > .tab-nav button:has-text('Textual Inversion')")
    card = "#txt2img_textual_inversion_cards .card[data-name='wugling']"
    visitor.page.wait_for_selector(card)
    assert "wugling.preview.png" in visitor.page.inner_html(card)
    visitor.page.click("#txt2img_extra_tabs > .tab-nav button:has-text('Generation')")


def test_cancelling_asks_first(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    webui.begin("dax-word")
    visitor.sees("Learning dax-word")
    questions: list[str] = []
    answers = iter([False, True])

    def answer(dialog: Any) -> None:
        questions.append(dialog.message)
        dialog.accept() if next(answers) else dialog.dismiss()

    visitor.page.on("dialog", answer)
    visitor.press("cancel")
    visitor.page.wait_for_timeout(2000)
    webui.wait_for_more("dax-word")
    visitor.sees("Learning dax-word")
    visitor.press("cancel")
    visitor.sees("Cancelled; nothing of it is left")
    assert questions == ["Cancel this training and remove what was learned?"] * 2
    assert not runs_of(webui, "dax-word")
    visitor.reload()
    visitor.sees("Cancelled; nothing of it is left")


def runs_of(webui: Webui, name: str) -> list[Path]:
    return list((webui.folder / "pseudoword" / "runs").glob(name))


def test_settings_are_saved_under_a_name_recalled_and_forgotten(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    visitor.unfold("Expert settings")
    visitor.field("steps").fill("77")
    visitor.field("early_stop").uncheck()
    name_saved_settings(visitor, "portraits")
    visitor.press("save_settings")
    visitor.is_told("#pseudoword_saved_message", "portraits is saved")

    visitor.reload()
    visitor.unfold("Expert settings")
    assert visitor.field("steps").input_value() != "77" and visitor.field("early_stop").is_checked()
    name_saved_settings(visitor, "portraits")
    visitor.press("recall_settings")
    visitor.is_told("#pseudoword_saved_message", "These are the settings of portraits")
    assert visitor.field("steps").input_value() == "77" and not visitor.field("early_stop").is_checked()

    visitor.press("forget_settings")
    visitor.is_told("#pseudoword_saved_message", "portraits is forgotten")
    name_saved_settings(visitor, "portraits")
    visitor.press("recall_settings")
    visitor.is_told("#pseudoword_saved_message", "Choose saved settings first")


def name_saved_settings(visitor: Visitor, name: str) -> None:
    """Write a name into the field of saved settings, whether it is among its choices or not."""
    visitor.field("saved").fill(name)
    visitor.field("saved").press("Enter")


def test_a_form_that_lacks_something_is_answered_in_a_sentence(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    visitor.press("start")
    visitor.is_told("#pseudoword_message", "There are no pictures yet")
    visitor.field("folder").fill(str(PICTURES))
    visitor.press("start")
    visitor.is_told("#pseudoword_message", "An embedding needs a name")


def test_what_is_written_in_the_form_is_shown_as_text(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    visitor.field("name").fill("<img src=x onerror=alert(1)>")
    visitor.is_told("#pseudoword_name_hint", "cannot be used")
    assert not visitor.page.query_selector("#pseudoword_name_hint img")


def test_every_embedding_is_offered_to_go_on_from_also_one_that_came_later(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    assert WORD_OF_BEFORE in visitor.choices("continued")
    embeddings = webui.folder / "embeddings"
    shutil.copyfile(embeddings / f"{WORD_OF_BEFORE}.safetensors", embeddings / "toma.safetensors")
    visitor.reload()
    visitor.page.wait_for_timeout(2000)
    assert {WORD_OF_BEFORE, "toma"} <= set(visitor.choices("continued"))


def test_the_picture_of_a_word_is_not_offered_to_go_on_from(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    shutil.copyfile(next(PICTURES.glob("*.png")), webui.folder / "embeddings" / "fep.preview.png")
    visitor.reload()
    visitor.page.wait_for_timeout(2000)
    assert not [choice for choice in visitor.choices("continued") if "preview" in choice]


def test_saved_settings_are_offered_after_the_page_was_reloaded(webui: Webui, visit: Visit) -> None:
    visitor = visit(webui)
    visitor.unfold("Expert settings")
    name_saved_settings(visitor, "landscapes")
    visitor.press("save_settings")
    visitor.is_told("#pseudoword_saved_message", "landscapes is saved")
    visitor.reload()
    visitor.unfold("Expert settings")
    visitor.page.set_default_timeout(10_000)  # for the choices to appear, of which there may be none
    assert "landscapes" in visitor.choices("saved")
