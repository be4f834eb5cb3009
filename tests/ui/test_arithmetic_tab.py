"""The tab that makes words of others: what it says while one types, its pictures, and what it saves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pseudoword.embedding import load_embedding, save_embedding
from pseudoword.errors import SettingsError
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.ui import arithmetic_tab
from pseudoword.ui.arithmetic_tab import EXAMPLES, NONE, expression_says, inserted, rows, saved
from tests.jobs.small_library import library_host, put, toy
from tests.ui.built_page import built, buttons_in, ids_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "embeddings").mkdir()
    put(tmp_path / "embeddings", toy("zonk"), "pt")
    put(tmp_path / "embeddings", toy("my style", 1), "pt")
    return tmp_path / "embeddings"


@pytest.fixture
def inspector(folder: Path) -> Iterator[Inspector]:
    inspector = Inspector(library_host(folder))
    yield inspector


def test_the_tab_is_built_with_ids_of_its_own_and_offers_the_library(inspector: Inspector) -> None:
    lists: list[tuple[Any, Callable[[], list[str]]]] = []
    config = built(lambda: lists.extend(arithmetic_tab.build(inspector, gr.State(None))))
    ids = ids_in(config)
    assert len(set(ids)) == len(ids) and all(id.startswith("pseudoword_") for id in ids)
    ((_, offered),) = lists
    assert offered() == [NONE], "a page is built without waiting for the files"
    inspector.reader().table()
    assert offered() == [NONE, "my style", "zonk"]
    assert {"Preview", "Cancel", "Save", *EXAMPLES} == set(buttons_in(config))


# While one types


def test_what_an_expression_gives_is_said(inspector: Inspector) -> None:
    told = expression_says(inspector, "2*zonk + 0*dog")
    assert "3 vectors for clip_l (Stable Diffusion 1), embeddings in it: zonk." in told and told.count("<tr>") == 4
    assert "1 vector for clip_l" in expression_says(inspector, "dog") and "embeddings in it: none" in expression_says(
        inspector, "dog"
    )
    assert ">dog <small>1.000</small>" in expression_says(inspector, "dog") and "1.00 ×" in expression_says(
        inspector, "normalize(dog)"
    )
    assert expression_says(inspector, " ") == expression_says(inspector, None) == ""


def test_what_is_wrong_is_said_with_its_place_below(inspector: Inspector) -> None:
    told = expression_says(inspector, "zonk + <b>nothing")
    assert '<p class="pseudoword-warning" role="status">Found' in told or "There" in told
    assert "<pre" in told and "&lt;b&gt;" in told and "<b>n" not in told
    assert expression_says(inspector, "zonk + (dog").endswith("zonk + (dog\n           ^</pre>")


def test_a_file_that_is_gone_is_told(inspector: Inspector, folder: Path) -> None:
    inspector.words()
    (folder / "zonk.pt").unlink()
    assert "zonk.pt cannot be read" in expression_says(inspector, "zonk")


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_work_where_their_words_are_tokens(inspector: Inspector, example: str) -> None:
    spelled = example.replace("king", "man").replace("painting", "paint")  # the tiny model has fewer words
    told = expression_says(inspector, spelled)
    assert "pseudoword-good" in told or "There is no embedding or word" in told, told


def test_an_embedding_is_inserted_as_expressions_spell_it() -> None:
    assert inserted("", "zonk") == ("zonk", NONE)
    assert inserted("2*dog", "my style") == ("2*dog + {my style}", NONE)
    assert inserted("mean(zonk, ", "zonk") == ("mean(zonk, zonk", NONE)
    for nothing in (None, "", NONE):
        assert "value" not in inserted("dog", nothing)[0]


# Pictures


def test_the_pictures_show_the_result_and_what_it_is_made_of(inspector: Inspector) -> None:
    (row,) = rows(inspector, "a photo of {}", "zonk + dog + {my style}")
    assert [shot.label for shot in row.shots] == ["the result", "zonk alone", "my style alone"]
    with pytest.raises(SettingsError, match=r"^The expression ends [^\n]*$"):
        rows(inspector, "a photo of {}", "zonk +")
    with pytest.raises(SettingsError):
        rows(inspector, "a photo", "zonk")
    with pytest.raises(SettingsError):
        rows(inspector, "a photo of {}", None)


# Saving


def test_a_word_is_saved_with_its_recipe_and_looked_at(inspector: Inspector, folder: Path) -> None:
    told, label = saved(inspector, "zonk + dog", " my-mix ", "safetensors", " Half a dog. ", False)
    assert "my-mix is saved as my-mix.safetensors, 3 vectors." in told and label == "my-mix.safetensors"
    metadata = load_embedding(folder / "my-mix.safetensors").metadata
    recipe = json.loads(metadata.recipe)
    assert recipe["expression"] == "zonk + dog" and [part["name"] for part in recipe["embeddings"]] == ["zonk"]
    assert (metadata.description, metadata.clip_skip, metadata.date[:2]) == ("Half a dog.", 1, "20")
    assert "my-mix" in inspector.names()


def test_a_word_that_takes_an_ordinary_one_s_place_is_saved_with_a_warning(inspector: Inspector) -> None:
    assert "Prompts that say" not in saved(inspector, "zonk", "my-moon", "safetensors", "", False)[0]
    told = saved(inspector, "zonk", "moon", "safetensors", "", False)[0]
    assert "moon is saved" in told and "Prompts that say moon get this word from now on" in told


def test_a_word_is_replaced_only_if_that_is_wanted(inspector: Inspector, folder: Path) -> None:
    before = (folder / "zonk.pt").read_bytes()
    told, label = saved(inspector, "dog", "Zonk", "pt", "", False)
    assert "already" in told and label is None and (folder / "zonk.pt").read_bytes() == before
    told, label = saved(inspector, "dog", "zonk", "safetensors", "", True)
    assert "zonk.pt, which was there, is kept beside it" in told and label == "zonk.safetensors"
    assert not (folder / "zonk.pt").exists()
    assert saved(inspector, "dog", "new-word", "pt", "", True)[1] == "new-word.pt"


@pytest.mark.parametrize(
    ("expression", "name", "format", "sentence"),
    [
        ("dog", "", "pt", "needs a name"),
        ("dog", None, "pt", "needs a name"),
        ("dog", "../up", "pt", "cannot be used"),
        ("dog", "<b>", "pt", "cannot be used"),
        ("dog", "good", "exe", "is no format"),
        ("dog", "good", None, "is no format"),
        (None, "good", "pt", "The expression is empty"),
        ("zonk +", "good", "pt", "ends where there must be"),
    ],
)
def test_what_cannot_be_saved_is_told(
    inspector: Inspector, folder: Path, expression: str | None, name: str | None, format: str | None, sentence: str
) -> None:
    files = sorted(folder.iterdir())
    told, label = saved(inspector, expression, name, format, None, False)
    assert "pseudoword-warning" in told and sentence in told and "<b>" not in told and label is None
    assert sorted(folder.iterdir()) == files


def test_the_word_of_a_label_in_another_folder_is_not_replaced(inspector: Inspector, tmp_path: Path) -> None:
    other = save_embedding(toy("far"), tmp_path / "far")
    inspector.reader(str(tmp_path)).table()
    told, _ = saved(inspector, "dog", "far", "safetensors", "", True)
    assert "far is saved" in told and load_embedding(other).vector_count == 3
