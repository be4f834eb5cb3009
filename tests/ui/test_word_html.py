"""What a page shows of one embedding: everything that is known, and nothing that a stranger's file could smuggle in."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from pseudoword.embedding import Embedding, EmbeddingMetadata, save_embedding
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.ui.library_tab import NONE_CHOSEN, word_says
from tests.jobs.small_library import library_host, library_in, put_word, rows, without_model

EVIL = '<img src=x onerror="alert(1)">\'"&'


class Tags(HTMLParser):
    """The elements and attributes of a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def inspector(tmp_path: Path) -> Inspector:
    return Inspector(library_host(library_in(tmp_path)))


def test_facts_figures_and_plots_of_a_word_are_shown(inspector: Inspector) -> None:
    put_word(inspector, "moon")
    put_word(inspector, "sun", rows(1, seed=4))
    page = Tags(word_says(inspector, "moon.safetensors"))
    for told in ("moon", "Stable Diffusion 1", "clip_l 32", "120", "tiny", "by direction (cosine)", "sun"):
        assert told in page.text
    plots = [attributes["src"] or "" for tag, attributes in page.found if tag == "img"]
    assert len(plots) == 8, "four plots, each for light and for dark pages"
    assert {re.search(r"words/(\w+)\.png", plot)[1] for plot in plots} == {"norms", "similarity", "map", "layers"}  # type: ignore[index]
    assert any(a.get("data-pseudoword-open") == "sun.safetensors" for tag, a in page.found if tag == "button")


def test_without_a_loaded_model_no_plot_is_promised_that_needs_it(inspector: Inspector) -> None:
    put_word(inspector, "moon")
    shelf = {Path("stored.safetensors"): {"clip_l": rows(50)}}
    page = Tags(word_says(Inspector(without_model(inspector.host, shelf)), "moon.safetensors"))
    plots = [attributes["src"] or "" for tag, attributes in page.found if tag == "img"]
    assert len(plots) == 6 and not [plot for plot in plots if "layers" in plot]
    assert "While its model is loaded" in page.text


def test_grave_findings_stand_first_and_many_notes_are_folded_away(inspector: Inspector) -> None:
    vocabulary = inspector.host.model().text_encoders[0].vocabulary
    put_word(inspector, "sick", torch.cat([vocabulary[5:12], torch.zeros(1, 32), vocabulary[20:21] * 500]))
    shown = word_says(inspector, "sick.safetensors")
    text = Tags(shown).text
    assert 0 < text.index("problem") < text.index("notes") and "drowns the rest of the prompt" in text
    assert "none: all zeros" in text
    assert "<summary>7 notes</summary>" in shown or "<summary>8 notes</summary>" in shown


def test_a_stranger_s_file_cannot_put_anything_into_the_page(inspector: Inspector) -> None:
    (folder,) = inspector.host.library()
    facts = EmbeddingMetadata(trained_on=EVIL, description=EVIL, recipe=EVIL)
    word = Embedding(EVIL, {"clip_l": rows(2)}, facts)
    for name in ("evil", "also"):
        saved = save_embedding(word, folder / name)
        saved.rename(folder / f"{name} {EVIL.replace('/', '')}.safetensors")
    label = f"evil {EVIL}.safetensors"
    page = Tags(word_says(inspector, label))
    assert EVIL in page.text
    assert not [tag for tag, _ in page.found if tag in ("script", "iframe", "style")]
    assert not [name for _, attributes in page.found for name in attributes if name.startswith("on")]
    assert all((a["src"] or "").startswith("pseudoword/v1/") for tag, a in page.found if tag == "img")
    assert all((a["href"] or "").startswith("pseudoword/v1/") for tag, a in page.found if tag == "a")


def test_what_is_missing_or_gone_is_one_sentence(inspector: Inspector) -> None:
    assert word_says(inspector, None) == NONE_CHOSEN == word_says(inspector, "")
    path = put_word(inspector, "moon")
    assert "There is no embedding" in Tags(word_says(inspector, "other")).text
    shown = Tags(word_says(Inspector(without_model(inspector.host)), "moon.safetensors"))
    assert "no model is loaded" in shown.text and not [tag for tag, _ in shown.found if tag == "img"]
    path.unlink()
    assert "is gone" in Tags(word_says(inspector, "moon.safetensors")).text
