"""Pseudoword → Inspect in the real WebUI: on its page, beside other people's generations, and in its own prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, TypeAlias

import pytest
import torch
from PIL import Image

from pseudoword.embedding import Embedding, load_embedding, save_embedding
from tests.jobs.small_library import rows
from tests.webui.browsing import Visitor
from tests.webui.inspecting import FURNISHED, SOUND, WIDTH, Inspecting, furnish, known_vectors, read_library
from tests.webui.server import Webui

Visit: TypeAlias = Callable[[Webui], Visitor]
OF_A1111 = "toy-robin"
EVERYTHING = sorted([*FURNISHED, OF_A1111])


@pytest.fixture(scope="module")
def toys(usual_webui: Webui) -> Webui:
    """The usual WebUI, whose library has words of several programs; A1111's own code writes one."""
    furnish(usual_webui.folder / "embeddings")
    asked = {"name": OF_A1111, "num_vectors_per_token": 2, "init_text": "bird", "overwrite_old": False}
    answer = usual_webui.ask("/sdapi/v1/create/embedding", asked)
    assert answer.status == 200 and (usual_webui.folder / "embeddings" / "toy-robin.pt").is_file(), answer
    usual_webui.ask("/sdapi/v1/refresh-embeddings", {})
    read_library(usual_webui)
    return usual_webui


@pytest.fixture
def inspecting(toys: Webui, visit: Visit) -> Inspecting:
    """A window on the inspector, its table searched for those words."""
    window = Inspecting(visit(toys))
    window.search("toy-")
    window.shows(EVERYTHING)
    return window


# ---- looking -------------------------------------------------------------------------------------------------------


def test_files_of_all_programs_are_in_the_table_and_none_is_run(inspecting: Inspecting, toys: Webui) -> None:
    sprung = toys.folder / "sprung"
    assert "cannot be read" in inspecting.row("toy-broken") and "damaged" in inspecting.row("toy-broken")
    assert "unsafe" in inspecting.row("toy-trap") and not sprung.exists()
    torch.load(toys.folder / "embeddings" / "toy-trap.pt", weights_only=False)  # which it would have done
    sprung.rmdir()
    assert "toys/toy-of-before.pt" in inspecting.row("toy-of-before")
    for name, told in {OF_A1111: "pickle", "toy-moon": "copy", "toy-wide": "does not fit"}.items():
        assert told in inspecting.row(name), name
    assert inspecting.page.locator(".pseudoword-library-picture img").count() == 2  # a preview, and the card itself

    inspecting.sort("Vectors")
    by_count = ["toy-card", OF_A1111, "toy-sun", "toy-wide", "toy-moon", "toy-of-before"]
    inspecting.shows([*by_count, "toy-broken", "toy-trap"])
    inspecting.filter("fit the loaded model")
    inspecting.shows([name for name in by_count if name != "toy-wide"])
    inspecting.filter("fit the loaded model", False)
    inspecting.filter("broken")
    inspecting.shows(["toy-broken", "toy-trap"])
    inspecting.filter("broken", False)
    inspecting.search("toys/")
    inspecting.shows(["toy-of-before"])


@pytest.mark.parametrize("name", [*SOUND, OF_A1111])
def test_every_word_is_taken_apart(toys: Webui, name: str) -> None:
    row = next(row for row in toys.ask(f"/pseudoword/v1/library?search={name}").json["rows"] if row["name"] == name)
    word = toys.ask(f"/pseudoword/v1/words?word={row['label']}").json
    if name == "toy-wide":
        assert "pseudoword-mini has others" in word["missing"] and "Load an SDXL checkpoint" in word["missing"]
        return
    assert word["compared_with"] == "pseudoword-mini" and not word["missing"]
    assert len(word["vectors"]) == word["vector_count"] == row["vectors"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_word_has_its_figures_and_plots(toys: Webui, visit: Visit, theme: str) -> None:
    window = Inspecting(visit(toys), theme)
    window.search("toy-")
    window.shows(EVERYTHING)
    told = window.choose(OF_A1111)
    assert "bird" in told and "nearly the same" in told.lower()  # both vectors are those of the word it began with
    told = window.choose("toy-moon")
    for text in ("120", "Nearest tokens in pseudoword-mini", "by direction", "toy-of-before"):
        assert text in told, text
    window.has_plots(theme)


# ---- pictures, beside others ---------------------------------------------------------------------------------------


def test_what_each_vector_does_is_shown_and_can_be_cancelled_while_others_generate(
    inspecting: Inspecting, toys: Webui
) -> None:
    before, _ = toys.picture()
    page = inspecting.page
    inspecting.choose("toy-moon")
    inspecting.tab("What each vector does")
    inspecting.visitor.press("vectors_show")
    inspecting.visitor.is_told("#pseudoword_vectors_strip", "8 pictures, 20 steps each")
    figures = page.locator("#pseudoword_vectors_strip .pseudoword-strip-figure").all_inner_texts()
    assert len(figures) == 4 and all(figures[1:]), figures
    route = f"/pseudoword/v1/strips/{strip_in(page, 'vectors')}"
    assert b"without 3" in toys.ask(f"{route}/figures.csv").content
    for picture in ("0/3.png", "plot.png", "sheet.png"):
        Image.open(BytesIO(toys.ask(f"{route}/{picture}").content)).load()

    inspecting.tab("Library")
    inspecting.choose(OF_A1111)
    inspecting.tab("Between two")
    inspecting.visitor.field("between_count").fill("50")
    inspecting.visitor.field("between_other").click()
    page.click("#pseudoword_between_other li:has-text('toy-sun')")
    inspecting.visitor.press("between_show")
    inspecting.visitor.is_told("#pseudoword_between_strip", "left")  # as it says once some are there
    under_way = f"/pseudoword/v1/strips/{strip_in(page, 'between')}"
    made = toys.ask(under_way).json["done"]
    during, _ = toys.picture()
    assert made < toys.ask(under_way).json["total"] == 100 and toys.ask(under_way).json["state"] == "making"
    inspecting.visitor.press("between_cancel")
    inspecting.visitor.is_told("#pseudoword_between_strip", "Cancelled; what was made by then is kept")
    assert before == during == toys.picture()[0]


def strip_in(page: Any, form: str) -> str:
    """The id of the strip that a form shows."""
    found: str = page.get_attribute(f"#pseudoword_{form}_strip [data-strip]", "data-strip")
    return found


# ---- words that are made and changed here --------------------------------------------------------------------------


def test_a_word_made_of_others_is_in_the_next_prompt_and_has_its_card(inspecting: Inspecting, toys: Webui) -> None:
    visitor = inspecting.visitor
    inspecting.tab("Arithmetic")
    visitor.field("expression").fill("0.5*toy-moon + 0.5*toy-sun")
    visitor.is_told("#pseudoword_expression_given", "3 and 2 vectors do not go together")
    visitor.field("expression").fill("0.5*toy-moon[0:2] + 0.5*toy-sun")
    visitor.is_told("#pseudoword_expression_given", "2 vectors for clip_l")
    visitor.field("mix_name").fill("toy-moonlight")
    visitor.press("mix_save")
    visitor.is_told("#pseudoword_mix_message", "toy-moonlight is saved")
    file = toys.folder / "embeddings" / "toy-moonlight.safetensors"
    short_hash = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    assert known_vectors(toys)["toy-moonlight"] == 2
    visitor.open_tab("txt2img")
    visitor.page.click("#txt2img_extra_tabs > .tab-nav button:has-text('Textual Inversion')")
    visitor.page.wait_for_selector("#txt2img_textual_inversion_cards .card[data-name='toy-moonlight']")
    visitor.page.click("#txt2img_extra_tabs > .tab-nav button:has-text('Generation')")
    assert f'TI hashes: "toy-moonlight: {short_hash}"' in visitor.generate("a photo of toy-moonlight")
    file.unlink()
    toys.ask("/sdapi/v1/refresh-embeddings", {})
    read_library(toys)


def test_a_word_is_cut_and_brought_back_in_the_webui_s_prompts_at_once(inspecting: Inspecting, toys: Webui) -> None:
    visitor, file = inspecting.visitor, toys.folder / "embeddings" / "toy-moon.safetensors"
    before = file.read_bytes()
    inspecting.choose("toy-moon")
    inspecting.tab("Convert and edit")
    visitor.is_told("#pseudoword_edit_about", "toy-moon.safetensors")
    visitor.field("edit_vectors").fill("3, 1")
    visitor.is_told("#pseudoword_edit_outcome", "3 vectors → 2")
    visitor.field("edit_replace").check()
    visitor.press("edit_save")
    visitor.is_told("#pseudoword_edit_message", "toy-moon.safetensors is replaced")
    assert known_vectors(toys)["toy-moon"] == 2
    assert torch.equal(load_embedding(file).vectors["clip_l"], rows(3, WIDTH)[[2, 0]])
    visitor.page.once("dialog", lambda dialog: dialog.accept())
    visitor.press("edit_undo")
    visitor.is_told("#pseudoword_edit_message", "toy-moon.safetensors is back as it was")
    assert known_vectors(toys)["toy-moon"] == 3 and file.read_bytes() == before


# ---- prompts -------------------------------------------------------------------------------------------------------


@pytest.fixture
def swallower(toys: Webui) -> Iterator[str]:
    """A word of the library that is called like one of the vocabulary."""
    file = save_embedding(Embedding("table", {"clip_l": rows(2, WIDTH)}), toys.folder / "embeddings" / "table")
    read_library(toys)
    yield "table"
    file.unlink()
    read_library(toys)


def test_a_prompt_is_shown_as_the_webui_reads_it(swallower: str, inspecting: Inspecting) -> None:
    view = "#pseudoword_prompt_view"
    inspecting.tab("Prompt")
    inspecting.visitor.field("viewed_prompt").fill(f"a {swallower} BREAK (toy-moon:1.4), [a dog]")
    inspecting.visitor.is_told(view, "Chunk 2 of 2")
    told: Any = inspecting.page.inner_text(view)
    assert "The embedding table takes the place of the ordinary word table" in told
    for text in ("toy-moon\n3 places", "×1.4", "×0.909"):
        assert text in told, text
