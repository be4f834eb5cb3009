"""The inspector in a real browser, on words that we wrote and that diffusers and A1111 would write."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file

from pseudoword.embedding import Embedding, EmbeddingMetadata, load_embedding, save_embedding
from tests.jobs.small_library import rows
from tests.studio.process import PATIENCE_S, Studio
from tests.studio.tabs import open_tab

SHOWN_MS = 1000 * PATIENCE_S


def furnish(folder: Path) -> None:
    """Words in several formats, one with a preview, a copy, one of another model, and a broken file."""
    facts = EmbeddingMetadata(steps=120, trained_on="tiny")
    moon = Embedding("moon", {"clip_l": rows(3)}, facts)
    save_embedding(moon, folder / "moon")
    Image.new("RGB", (300, 300), "orange").save(folder / "moon.preview.png")
    (folder / "old").mkdir()
    save_embedding(moon, folder / "old" / "moon-of-before", "pt")
    save_file({"sun": rows(2, seed=5)}, folder / "sun.safetensors")  # as diffusers' training script does
    torch.save(
        {"string_to_token": {"*": 265}, "string_to_param": {"*": rows(1, seed=6)}, "name": "star", "step": 99},
        folder / "star.pt",
    )
    save_embedding(Embedding("wide", {"clip_l": rows(2, 768), "clip_g": rows(2, 1280)}), folder / "wide")
    (folder / "broken.pt").write_bytes(b"PK\x03\x04 nothing")
    then = time.time() - 3600
    for file in folder.rglob("*.*"):
        os.utime(file, (then, then))


class Window:
    """The inspector in a window of its own; what scripts complain of is kept."""

    def __init__(self, browser: Any, studio: Studio, width: int = 1300, theme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 1000})
        self.page.set_default_timeout(SHOWN_MS)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{studio.address}/?__theme={theme}")
        open_tab(self.page, "Inspect")
        self.page.wait_for_selector(".pseudoword-library-row")

    def names(self) -> list[str]:
        found: list[str] = self.page.locator("#pseudoword-library td .pseudoword-library-open").all_inner_texts()
        return found

    def shows(self, names: list[str]) -> None:
        """Wait until the table has just these rows."""
        self.page.wait_for_function(
            "names => JSON.stringify([...document.querySelectorAll('#pseudoword-library td .pseudoword-library-open')]"
            ".map(e => e.innerText)) === JSON.stringify(names)",
            arg=names,
        )

    def choose(self, name: str) -> None:
        """Press a row, and wait until the word is shown."""
        self.page.click(f"#pseudoword-library button:text-is('{name}')")
        self.page.wait_for_selector(f".pseudoword-word-name:text-is('{name}')")

    def tab(self, name: str) -> None:
        self.page.click(f"role=tab[name='{name}']")

    def fill(self, name: str, text: str) -> None:
        self.page.locator(f"#pseudoword_{name} textarea, #pseudoword_{name} input").first.fill(text)

    def is_told(self, place: str, text: str) -> None:
        """Wait until `place` says `text`."""
        self.page.wait_for_function(
            "([place, text]) => document.querySelector(place)?.innerText.includes(text)", arg=[f"#{place}", text]
        )

    def taken(self, selector: str, folder: Path) -> Path:
        """The file that a link gives."""
        with self.page.expect_download() as taken:
            self.page.locator(selector).first.click()
        path = folder / taken.value.suggested_filename
        taken.value.save_as(path)
        return path


def test_the_library_is_searched_sorted_and_a_word_looked_at(browser: Any, studio: Studio, tmp_path: Path) -> None:
    furnish(studio.folder / "embeddings")
    window = Window(browser, studio)
    page = window.page
    window.shows(["broken", "moon", "moon-of-before", "star", "sun", "wide"])
    assert page.locator(".pseudoword-library-picture img").count() == 1
    page.fill("#pseudoword-library input[type=search]", "moon")
    window.shows(["moon", "moon-of-before"])
    page.click("#pseudoword-library button:text-is('Vectors')")
    page.fill("#pseudoword-library input[type=search]", "")
    window.shows(["star", "sun", "wide", "moon", "moon-of-before", "broken"])
    page.check("label:has-text('fit the loaded model') input")
    window.shows(["star", "sun", "moon", "moon-of-before"])
    page.uncheck("label:has-text('fit the loaded model') input")
    page.check("label:has-text('broken') input")
    window.shows(["broken"])
    assert "damaged" in page.inner_text(".pseudoword-library-problem")
    page.uncheck("label:has-text('broken') input")

    window.choose("moon")
    word = page.inner_text("#pseudoword_word")
    for told in ("120", "tiny", "Nearest tokens in tiny-model", "moon-of-before"):
        assert told in word
    shown = page.locator("#pseudoword_word figure img.pseudoword-in-light")
    assert shown.count() == 4
    for number in range(4):
        shown.nth(number).locator("..").scroll_into_view_if_needed()
        page.wait_for_function(
            "image => image.complete && image.naturalWidth === 1200", arg=shown.nth(number).element_handle()
        )
    plot = window.taken("#pseudoword_word figure a:has-text('PNG'):visible", tmp_path)
    with Image.open(plot) as picture:
        assert picture.width == 1200
    data = window.taken("#pseudoword_word figure a:has-text('CSV')", tmp_path)
    assert [row["vector"] for row in csv.DictReader(data.read_text(encoding="utf-8").splitlines())] == ["1", "2", "3"]
    page.click("[data-pseudoword-open='old/moon-of-before.pt']")
    page.wait_for_selector(".pseudoword-word-name:text-is('moon-of-before')")
    page.click("#pseudoword-library button:text-is('wide')")
    window.is_told("pseudoword_word", "Load an SDXL checkpoint")
    assert not window.complaints


def test_dark_and_narrow_pages_show_it_all(browser: Any, studio: Studio) -> None:
    furnish(studio.folder / "embeddings")
    window = Window(browser, studio, width=390, theme="dark")
    window.choose("moon")
    window.page.locator("#pseudoword_word figure").first.scroll_into_view_if_needed()
    window.page.wait_for_selector("#pseudoword_word figure img[src*='theme=dark']:visible")
    assert not window.page.locator("#pseudoword_word figure img[src*='theme=light']:visible").count()
    assert window.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"


def test_a_word_is_mixed_cut_replaced_and_brought_back(browser: Any, studio: Studio) -> None:
    embeddings = studio.folder / "embeddings"
    furnish(embeddings)
    before = (embeddings / "moon.safetensors").read_bytes()
    window = Window(browser, studio)
    window.choose("moon")
    window.tab("Arithmetic")
    window.fill("expression", "0.5*moon + 0.5*sun")
    window.is_told("pseudoword_expression_given", "3 and 2 vectors do not go together")
    window.fill("expression", "0.5*moon[0:2] + 0.5*sun")
    window.is_told("pseudoword_expression_given", "2 vectors for clip_l")
    window.fill("mix_name", "moonlight")
    window.page.click("#pseudoword_mix_save")
    window.is_told("pseudoword_mix_message", "moonlight")
    made = next(studio.folder.rglob("moonlight.safetensors"))
    recipe = json.loads(load_embedding(made).metadata.recipe)
    assert recipe["expression"] == "0.5*moon[0:2] + 0.5*sun"
    assert [part["name"] for part in recipe["embeddings"]] == ["moon", "sun"]

    window.tab("Prompt")
    window.fill("viewed_prompt", "a photo of moonlight, (a cat:1.3)")
    window.is_told("pseudoword_prompt_view", "moonlight\n2 places")
    window.is_told("pseudoword_prompt_view", "×1.3")

    window.tab("Library")
    window.choose("moon")
    window.tab("Convert and edit")
    window.is_told("pseudoword_edit_about", "moon.safetensors")
    window.fill("edit_vectors", "3, 1")
    window.page.check("#pseudoword_edit_replace input")
    window.page.click("#pseudoword_edit_save")
    window.is_told("pseudoword_edit_message", "moon")
    assert load_embedding(embeddings / "moon.safetensors").vector_count == 2
    window.page.on("dialog", lambda dialog: dialog.accept())  # what is in its place now is lost
    window.page.click("#pseudoword_edit_undo")
    ends = time.monotonic() + PATIENCE_S
    while (embeddings / "moon.safetensors").read_bytes() != before:
        assert time.monotonic() < ends, "the file of before never came back"
        time.sleep(0.1)
    assert not window.complaints


def test_what_each_vector_does_is_shown_in_pictures_and_can_be_cancelled(browser: Any, studio: Studio) -> None:
    furnish(studio.folder / "embeddings")
    window = Window(browser, studio)
    window.choose("moon")
    window.tab("What each vector does")
    window.page.click("button:has-text('Show what each vector does')")
    window.is_told("pseudoword_inspection", "without 3")
    window.page.wait_for_selector(".pseudoword-strip img")
    window.is_told("pseudoword_inspection", "8 pictures")
    window.tab("Between two")
    window.fill("between_count", "40")
    window.page.click("#pseudoword_between_other input")
    window.page.click("#pseudoword_between_other li:has-text('moon-of-before')")
    window.page.click("#pseudoword_between_show")
    window.page.wait_for_selector("#pseudoword_between_strip .pseudoword-strip")
    window.page.click("#pseudoword_between_cancel")
    window.is_told("pseudoword_inspection", "Cancelled; what was made by then is kept")
    assert not window.complaints
