"""Scoring pictures in a real browser: dropped, pasted, from a folder; the matrix, and what can be taken along."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from PIL import Image

from tests.scoring.pictures import hostile, with_prompt
from tests.studio.process import PATIENCE_S, Studio, started
from tests.studio.tabs import open_tab
from tests.studio.test_inspector_in_browser import Window

PASTE = """base64 => {
  const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
CELLS = "#pseudoword_score_result td.pseudoword-score-cell"


class ScoreWindow(Window):
    """The score panel in a window of its own."""

    def __init__(self, browser: Any, studio: Studio, width: int = 1300, theme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 1000})
        self.page.set_default_timeout(1000 * PATIENCE_S)
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{studio.address}/?__theme={theme}")
        open_tab(self.page, "Score")
        self.page.wait_for_selector("#pseudoword_score_start")

    def drop(self, paths: list[Path], together: int) -> None:
        """Drop pictures, and wait until so many are in the tray."""
        self.page.set_input_files("#pseudoword_score_pictures input[type=file]", list(map(str, paths)))
        self.is_told("pseudoword_score_count", f"{together} pictures")

    def score(self, texts: str) -> None:
        """Score beside `texts`, and wait for the matrix."""
        self.page.evaluate("document.querySelector('.pseudoword-scores')?.remove()")
        self.fill("score_texts", texts)
        self.page.click("#pseudoword_score_start")
        self.page.wait_for_selector(".pseudoword-score-table")


def test_dropped_and_pasted_pictures_stand_beside_their_own_prompts(
    browser: Any, studio: Studio, tmp_path: Path
) -> None:
    facts = "\nSteps: 1, Sampler: a, Seed: 1"
    prompts = ["a (red:1.2) cat", "a <b>dog</b>"]
    paths = [with_prompt(tmp_path / f"{place}.png", one + facts, place) for place, one in enumerate(prompts)]
    window = ScoreWindow(browser, studio)
    page = window.page
    window.drop(paths, 2)
    page.click("#pseudoword_score_prompts")
    window.is_told("pseudoword_score_message", "on the line of its number")
    page.evaluate(PASTE, PIXEL)
    window.is_told("pseudoword_score_count", "3 pictures")
    texts = page.input_value("#pseudoword_score_texts textarea")
    assert texts == "a red cat\na <b>dog</b>"
    window.score(f"{texts}\n{'word ' * 90}")
    told = page.inner_text("#pseudoword_score_result")
    for text in ("3 pictures beside 3 texts", "pseudoword-mini [", "3 × 128", "3 × 3", "of 3 (", "the rest is cut off"):
        assert text in told, text
    assert "2. a <b>dog</b>" in told and "3. pasted-1.png" in told
    assert page.locator(CELLS).count() == 9 and page.locator(".pseudoword-score-own").count() == 3
    assert (
        page.locator(".pseudoword-score-text").count()
        == 3
        == page.locator(".pseudoword-score-picture[scope=row]").count()
    )
    page.wait_for_function("[...document.querySelectorAll('.pseudoword-score-thumbnail')].every(i => i.naturalWidth)")
    page.click("#pseudoword_score_result label:has-text('Probability')")
    shares = [float(text.split("%")[0]) for text in page.locator(CELLS).all_inner_texts()]
    assert abs(sum(shares[:3]) - 100) < 0.3
    page.click("#pseudoword_score_clear")
    page.wait_for_function("document.querySelector('#pseudoword_score_count').innerText.trim() === ''")
    assert not window.complaints


def test_a_folder_is_scored_by_classes_and_taken_along(browser: Any, studio: Studio, tmp_path: Path) -> None:
    sound, broken = hostile(tmp_path / "folder")
    window = ScoreWindow(browser, studio)
    page = window.page
    window.fill("score_folder", str(tmp_path / "folder"))
    page.click("#pseudoword_score_way label:has-text('Classes')")
    page.click("#pseudoword_score_templates label:has-text('seven')")
    window.score("cat\ndog\nhouse")
    told = page.inner_text("#pseudoword_score_result")
    assert "7 pictures beside 3 classes" in told and "6 pictures could not be read" in told
    assert all(f"{name}:" in told for name in broken) and "1. cat" not in told
    table = window.taken("#pseudoword_score_result a:has-text('CSV')", tmp_path)
    lines = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert {line["picture"] for line in lines} == sound | broken and len(lines) == 27
    figures = json.loads(window.taken("#pseudoword_score_result a:has-text('JSON')", tmp_path).read_text("utf-8"))
    assert figures["labels"] == ["cat", "dog", "house"] and figures["are_classes"]
    with Image.open(window.taken("#pseudoword_score_result a:has-text('PNG')", tmp_path)) as sheet:
        assert sheet.width > 900
    page.click("#pseudoword_score_result button:has-text('dog')")
    column = [float(text.split("%")[0]) for text in page.locator(f"{CELLS}:nth-child(3)").all_inner_texts()]
    assert column == sorted(column, reverse=True) and len(column) == 7
    assert not window.complaints


def test_cancel_is_there_only_while_pictures_are_scored_and_names_are_told_apart(
    browser: Any, studio: Studio, tmp_path: Path
) -> None:
    paths = [with_prompt(tmp_path / place / "cat.png", "a cat", seed) for seed, place in enumerate(["here", "there"])]
    window = ScoreWindow(browser, studio)
    page = window.page
    window.is_told("pseudoword-clip-note", "built in: it learned from icons alone")
    page.wait_for_selector("#pseudoword_score_cancel:disabled")
    window.drop(paths, 2)
    window.score("a cat\na dog")
    page.wait_for_selector("#pseudoword_score_cancel:disabled")
    told = page.inner_text("#pseudoword_score_result")
    assert "1. cat.png" in told and "2. cat (2).png" in told
    assert not window.complaints


def test_the_models_are_listed_and_one_is_only_downloaded_after_a_yes(browser: Any, studio: Studio) -> None:
    window = ScoreWindow(browser, studio)
    page = window.page
    page.click("#pseudoword_clips_fold >> text=CLIP models")
    window.is_told("pseudoword-clips", "the best here")
    window.is_told("pseudoword-clips", "built in")
    page.click("#pseudoword_clip_wanted input")
    page.locator("#pseudoword_clip_wanted li").first.click()
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#pseudoword_clip_download")
    assert "download" not in page.inner_text("#pseudoword_clip_message")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#pseudoword_clip_download")
    window.is_told("pseudoword-clips", "could not be downloaded")


def test_a_dark_and_narrow_page_shows_it_all(browser: Any, studio: Studio, tmp_path: Path) -> None:
    hostile(tmp_path / "folder")
    window = ScoreWindow(browser, studio, width=390, theme="dark")
    window.fill("score_folder", str(tmp_path / "folder"))
    window.score("a cat\n" + "\n".join(f"a dog of the kind {number}" for number in range(12)))
    assert window.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    assert not window.complaints


def test_who_may_download_no_model_is_told_before_he_presses_anything(
    browser: Any, model: Path, tmp_path: Path
) -> None:
    with started(model, tmp_path, "--proxied") as studio:
        window = ScoreWindow(browser, studio)
        window.page.click("#pseudoword_clips_fold >> text=CLIP models")
        window.is_told("pseudoword-clips", "Only admins download CLIP models")
        window.page.wait_for_selector("#pseudoword_clip_download:disabled")
        assert not window.complaints


def test_a_picture_that_cannot_be_read_is_a_tile_that_says_so(browser: Any, studio: Studio, tmp_path: Path) -> None:
    hostile(tmp_path / "folder")
    window = ScoreWindow(browser, studio)
    window.drop([tmp_path / "folder" / name for name in ("text.png", "cut-off.png", "cmyk.jpg")], 3)
    shown = "#pseudoword_score_tray button img"
    window.page.wait_for_function(
        "place => [...document.querySelectorAll(place)].filter((one) => one.naturalWidth).length >= 3", arg=shown
    )
    assert "text.png: it is no picture in the formats" in window.page.inner_text("#pseudoword_score_tray")
    assert not window.complaints
