"""The tab that shows what is read of a prompt, and that nothing in a prompt is ever taken for HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudoword.diffusion import LoadedEncoders
from pseudoword.embedding import Embedding
from pseudoword.inspect.prompt_view import MAX_CHARACTERS
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.ui import prompt_tab
from pseudoword.ui.prompt_html import MOST_CHUNKS, strength
from pseudoword.ui.prompt_tab import prompt_says
from tests import tiny_models
from tests.jobs.small_library import library_host, put, rows, toy
from tests.ui.built_page import built, buttons_in, ids_in

HOSTILE_NAME = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    folder = tmp_path_factory.mktemp("words") / "embeddings"
    folder.mkdir()
    for word in (toy("zonk"), toy("my-style", 2), toy("art3"), toy("dog", 1), toy("vast", 80)):
        put(folder, word, "pt")
    put(folder, Embedding("foreign", {"clip_l": rows(2, 768), "clip_g": rows(2, 1280)}))
    put(folder, toy("x", 1), "pt").rename(folder / f"{HOSTILE_NAME}.pt")
    return Inspector(library_host(folder))


class Page(HTMLParser):
    """What a browser makes of HTML: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")

    def count(self, kind: str) -> int:
        """How many elements are of the class."""
        return sum(kind in (attributes.get("class") or "").split() for _, attributes in self.elements)


def page(inspector: Inspector, prompt: str, attention: bool = True) -> Page:
    return Page(prompt_says(inspector, prompt, attention))


# What is shown


def test_the_tab_is_built(inspector: Inspector) -> None:
    config = built(lambda: prompt_tab.build(inspector))
    assert ids_in(config) == ["pseudoword_viewed_prompt", "pseudoword_attention", "pseudoword_prompt_view"]
    assert not buttons_in(config) and config["dependencies"]


def test_tokens_embeddings_weights_and_padding_are_shown(inspector: Inspector) -> None:
    shown = page(inspector, "a (red:1.2) dogs zonk, my-style")
    tokens = tiny_models.tokenizer().tokenize("a red dogs ,")
    assert f"{len(tokens) + 5} of 75 places taken" in shown.text
    assert all(f"<small>{token}</small>" in prompt_says(inspector, "a red dogs ,", True) for token in tokens)
    assert "zonk3 places" in shown.text and "my-style2 places" in shown.text and "×1.2" in shown.text
    assert shown.count("pseudoword-prompt-up") == 1 and shown.count("pseudoword-prompt-word") == 2
    assert re.search(r"padding × \d+", shown.text) and "The rest of a chunk is padding: <|endoftext|>" in shown.text


def test_a_word_of_several_tokens_is_one_run_of_boxes(inspector: Inspector) -> None:
    shown = page(inspector, "unbelievable")
    assert shown.count("pseudoword-prompt-token") > 1 and shown.count("pseudoword-prompt-ends") == 1


def test_how_full_each_chunk_is_and_where_others_stop_reading(inspector: Inspector) -> None:
    shown = page(inspector, "a photo " * 50 + "BREAK zonk")
    assert "Chunk 1 of 3, 75 of 75 places taken" in shown.text and "Chunk 3 of 3, 3 of 75 places taken" in shown.text
    assert shown.count("pseudoword-prompt-cut") == 1 and shown.count("pseudoword-prompt-lost") == 26
    assert "reads one chunk only loses the last 28 places" in shown.text


def test_an_embedding_that_others_cut_in_two_is_drawn_in_two(inspector: Inspector) -> None:
    shown = page(inspector, "a " * 73 + "BREAK zonk")
    assert "zonk2 places" in shown.text and "zonkvectors 3 to 3" in shown.text and "cuts zonk in two" in shown.text
    vast = page(inspector, "vast")
    assert "vast75 places" in vast.text and "vastvectors 76 to 80" in vast.text


def test_names_that_change_other_prompts_are_told(inspector: Inspector) -> None:
    assert "takes the place of the ordinary word dog" in page(inspector, "a dog").text
    told = page(inspector, "art 3, zonk").text
    assert "finds the embedding art3 once, where it is meant not at all: «art 3»" in told and "zonk once" not in told


def test_embeddings_for_other_models_are_text(inspector: Inspector) -> None:
    shown = page(inspector, "a (foreign:1.2) zonk")
    assert "The embedding foreign is for another kind of model" in shown.text
    assert shown.count("pseudoword-prompt-word") == 1
    unloaded = Inspector(replace(inspector.host, encoders=lambda: None))
    assert "foreign2 places" in page(unloaded, "foreign").text


def test_brackets_may_be_text(inspector: Inspector) -> None:
    assert "×" not in page(inspector, "(red:1.2)", attention=False).text.replace("padding ×", "")


def test_both_text_encoders_of_sdxl_read_the_same_with_other_padding(inspector: Inspector, tmp_path: Path) -> None:
    tokenizer = tiny_models.tokenizer()
    zeros: Any = SimpleNamespace(
        pad_id=0,
        start_id=tokenizer.start_id,
        end_id=tokenizer.end_id,
        tokenize=tokenizer.tokenize,
        token_text=tokenizer.token_text,
    )
    encoders: Sequence[Any] = [
        SimpleNamespace(name="clip_l", tokenizer=tokenizer, vocabulary=rows(9, 768)),
        SimpleNamespace(name="clip_g", tokenizer=zeros, vocabulary=rows(9, 1280)),
    ]
    host = replace(inspector.host, encoders=lambda: LoadedEncoders("xl", "xl", "sdxl", encoders))
    told = page(Inspector(host), "a dog").text
    assert "only the padding differs: clip_l <|endoftext|> (2047), clip_g ! (0)" in told


def test_without_a_model_clip_s_own_tokenizer_reads(inspector: Inspector) -> None:
    pytest.importorskip("open_clip")
    told = page(Inspector(replace(inspector.host, encoders=lambda: None)), "a photo").text
    assert "photo1125" in told and "(49407)" in told


def test_nothing_is_shown_of_nothing(inspector: Inspector) -> None:
    assert prompt_says(inspector, "", True) == prompt_says(inspector, None, True) == ""


# Hostile prompts

ELEMENTS = {"div", "p", "b", "progress", "section", "span", "bdi", "small"}
ATTRIBUTES = {"class", "title", "style", "max", "value", "role"}
PIECES = st.sampled_from(
    [
        "<script>",
        "</span>",
        '" onclick="x',
        "<!--",
        "&lt;",
        "]]>",
        "zonk ",
        HOSTILE_NAME,
        "BREAK ",
        "(",
        ":1.2)",
        "[",
        "]",
    ]
    + ["\\", "\0", "\ud800", "\u202e", "\u0301", "😀", "${1}", "{{x}}", "(a:1e9)", "(a:-2)", "(b:0)", "9" * 30, "\n"]
)
PROMPTS = st.lists(st.one_of(PIECES, st.text(st.characters(), max_size=5)), max_size=30).map("".join)


@settings(deadline=None)
@given(PROMPTS, st.booleans())
def test_nothing_in_a_prompt_becomes_html(inspector: Inspector, prompt: str, attention: bool) -> None:
    shown = page(inspector, prompt, attention)
    for tag, attributes in shown.elements:
        assert tag in ELEMENTS and attributes.keys() <= ATTRIBUTES
        assert re.fullmatch(r"(pseudoword-[\w-]+ ?)+", attributes.get("class") or "pseudoword-none")
        assert re.fullmatch(r"--strength: [01]\.\d\d", attributes.get("style") or "--strength: 0.00")
    assert all(letter.isprintable() for letter in shown.text)


@pytest.mark.parametrize(
    "prompt",
    [
        "<" * MAX_CHARACTERS,
        "a" * MAX_CHARACTERS,
        "😀" * MAX_CHARACTERS,
        "(" * MAX_CHARACTERS,
        "zonk " * 4000,
        ",\n" * 10_000,
    ],
)
def test_the_longest_prompts_are_shown_in_part(inspector: Inspector, prompt: str) -> None:
    html = prompt_says(inspector, prompt, True)
    assert len(html) < 300 * 77 * MOST_CHUNKS and Page(html).count("pseudoword-prompt-chunk") <= MOST_CHUNKS


def test_what_cannot_be_read_is_told_in_one_line(inspector: Inspector) -> None:
    for prompt in ("a" * (MAX_CHARACTERS + 1), "(a:1.2.3)"):
        assert page(inspector, prompt).elements == [("p", {"class": "pseudoword-warning", "role": "status"})]


def test_half_a_weight_is_as_strong_as_twice_the_weight() -> None:
    assert strength(0.5) == strength(2.0) == 1.0 and strength(1.05) == 0.1 and 0 < strength(1.3) < 1
    assert strength(float("inf")) == strength(float("nan")) == strength(0.0) == strength(-1.0) == 1.0
