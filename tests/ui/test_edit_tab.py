"""The tab that changes embeddings and writes them in other formats."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
import torch
from PIL import Image

from pseudoword.embedding import Embedding, EmbeddingMetadata, load_embedding
from pseudoword.jobs.library.inspector import Inspector
from pseudoword.ui import edit_tab
from pseudoword.ui.edit_handlers import FACTS, downloaded, outcome, saved, shown, size, undone
from tests.jobs.small_library import library_host, put, toy
from tests.ui.built_page import built, buttons_in, ids_in

LABEL = "moon.pt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "embeddings").mkdir()
    put(tmp_path / "embeddings", toy("moon", 4), "pt")
    return tmp_path / "embeddings"


@pytest.fixture
def inspector(folder: Path) -> Inspector:
    return Inspector(library_host(folder))


def facts_of(inspector: Inspector, label: str = LABEL) -> list[str]:
    """What the fields of facts show."""
    return shown(inspector, label)[8:]


def changes(inspector: Inspector, label: str | None = LABEL, **given: Any) -> list[Any]:
    """What the fields hold after `given` was typed into them."""
    facts = dict(zip(FACTS, facts_of(inspector), strict=True)) | {k: v for k, v in given.items() if k in FACTS}
    fields = [label, given.get("vectors", ""), given.get("name", "moon")]
    return [*fields, given.get("half", False), given.get("bare", False), *facts.values()]


def press_save(
    inspector: Inspector, format: Any = "pt", preview: Any = None, replace: bool = False, **given: Any
) -> tuple[str, Any]:
    """Press Save; returns what is told, and the label that is looked at afterwards."""
    told, choice, *fields = saved(inspector, gr.State(None), format, preview, replace, *changes(inspector, **given))
    assert len(fields) == 8 + len(FACTS)
    return told, choice.get("value")


def test_the_tab_is_built_and_every_handler_gets_and_gives_what_its_fields_want(inspector: Inspector) -> None:
    chosen: list[Any] = []

    def build() -> None:
        chosen.append(gr.Dropdown(inspector.labels(), label="Embedding"))
        edit_tab.build(inspector, chosen[0])

    config = built(build)
    ids = ids_in(config)
    assert len(set(ids)) == len(ids) and all(id.startswith("pseudoword_edit_") for id in ids)
    assert buttons_in(config) == ["Save", "Only download", "Undo last replace"]
    outputs = {len(dependency["outputs"]) for dependency in config["dependencies"]}
    assert {len(shown(inspector, LABEL)), len(undone(inspector, chosen[0], None))} <= outputs


# What is shown


def test_the_facts_of_the_chosen_embedding_are_shown(inspector: Inspector) -> None:
    about, vectors, name, format, *ticks, preview = shown(inspector, LABEL)[:8]
    assert "moon.pt, A1111 pt" in about and "clip_l 32" in about and "someone.else" in about and "batch" in about
    assert (vectors, name, format, ticks, preview) == ("", "moon", "pt", [False, False, False], None)
    assert dict(zip(FACTS, facts_of(inspector), strict=True))["steps"] == "7"


def test_nothing_is_shown_where_nothing_is_chosen(inspector: Inspector) -> None:
    for label in (None, "", "gone.pt", "../../etc/passwd"):
        fields = shown(inspector, label)
        assert fields[1:3] == ["", ""] and set(fields[8:]) == {""}
    assert "There is no embedding" in shown(inspector, "gone.pt")[0]


def test_what_a_file_says_is_never_html(inspector: Inspector, folder: Path) -> None:
    metadata = EmbeddingMetadata(recipe="<script>", extra={"<img src=x>": "<b>"})
    put(folder, type(toy())("<i>", toy().vectors, metadata))
    about = shown(Inspector(inspector.host), "<i>.safetensors")[0]
    assert not re.search("<(script|img|b|i)", about) and "&lt;script&gt;" in about


def test_what_becomes_of_it_is_said_while_one_types(inspector: Inspector) -> None:
    assert "4 vectors → 3, clip_l." in outcome(inspector, LABEL, "1-2, 4", "moon", False)
    assert "moon → sun, 4 vectors, clip_l." in outcome(inspector, LABEL, "", "sun", False)
    assert "4 vectors, clip_l, rounded to fp16." in outcome(inspector, LABEL, "", "moon", True)
    assert "no vector 5" in outcome(inspector, LABEL, "5", "moon", False)
    assert "cannot be used" in outcome(inspector, LABEL, "", "<b>", False)
    assert outcome(inspector, LABEL, "", "moon", False) == outcome(inspector, None, "1", "", True) == ""


# Saving


def test_a_copy_is_saved_in_another_format(inspector: Inspector, folder: Path) -> None:
    told, label = press_save(inspector, "safetensors", name="sun", vectors="4, 1", author="Bo", steps="")
    size = (folder / "sun.safetensors").stat().st_size
    assert "sun.safetensors is saved: moon → sun, 4 vectors → 2, clip_l; " in told and f"{size / 1000:.1f} KB" in told
    word = load_embedding(folder / "sun.safetensors")
    assert label == "sun.safetensors" and (folder / "moon.pt").exists()
    assert (word.metadata.author, word.metadata.steps, word.metadata.title) == ("Bo", None, "A toy")
    assert word.vectors["clip_l"].tolist() == toy("moon", 4).vectors["clip_l"][[3, 0]].tolist()


def test_a_file_is_replaced_only_if_that_is_wanted_and_comes_back(inspector: Inspector, folder: Path) -> None:
    before = (folder / LABEL).read_bytes()
    told, label = press_save(inspector, vectors="1")
    assert "already" in told and label is None and (folder / LABEL).read_bytes() == before
    told, label = press_save(inspector, vectors="1", replace=True)
    assert "moon.pt is replaced: 4 vectors → 1, clip_l; " in told and label == LABEL
    assert "earlier versions kept" in shown(inspector, LABEL)[0]
    told, choice, *_ = undone(inspector, gr.State(None), LABEL)
    assert "moon.pt is back as it was" in told and choice["value"] == LABEL
    assert (folder / LABEL).read_bytes() == before
    assert "Nothing was kept" in undone(inspector, gr.State(None), LABEL)[0]


def test_a_file_of_another_name_takes_its_place_and_gives_it_back(inspector: Inspector, folder: Path) -> None:
    told, label = press_save(inspector, "safetensors", name="sun", replace=True)
    assert "sun.safetensors has taken the place of moon.pt: moon → sun, 4 vectors" in told
    assert inspector.labels() == [label] == ["sun.safetensors"]
    _, choice, *fields = undone(inspector, gr.State(None), "sun.safetensors")
    assert choice["value"] == LABEL and fields[2] == "moon" and inspector.labels() == [LABEL]


def test_numbers_of_16_bits_make_a_file_smaller_which_is_told(inspector: Inspector, folder: Path) -> None:
    before = put(folder, toy("sun", 75)).stat().st_size
    told, label = press_save(inspector, "safetensors", label="sun.safetensors", name="sun", half=True, replace=True)
    after = (folder / "sun.safetensors").stat().st_size
    assert after < 0.6 * before and label == "sun.safetensors"
    assert f"75 vectors, clip_l, rounded to fp16; {size(before)} → {size(after)}." in told
    download = downloaded(inspector, "safetensors", None, *changes(inspector, "sun.safetensors", name="sun", half=True))
    assert f"rounded to fp16; {size(after)} → {size(after)}." in download
    put(folder, Embedding("vast", {"clip_l": torch.full((1, 32), 70_000.0)}))
    again = Inspector(inspector.host)
    told, label = press_save(again, "pt", label="vast.safetensors", name="new", half=True)
    assert "fp16 ends at 65504" in told and label is None


def test_the_host_is_told_of_every_save(folder: Path) -> None:
    told: list[str] = []
    inspector = Inspector(library_host(folder, words_changed=lambda: told.append("changed")))
    press_save(inspector, name="sun")
    press_save(inspector, replace=True)
    undone(inspector, gr.State(None), LABEL)
    assert len(told) == 3


def test_everything_that_is_known_can_be_removed(inspector: Inspector, folder: Path) -> None:
    press_save(inspector, "safetensors", name="sun", bare=True)
    assert load_embedding(folder / "sun.safetensors").metadata.author == ""
    assert b"Ada" not in (folder / "sun.safetensors").read_bytes()


def test_a_preview_is_attached_as_either_gradio_hands_it_over(
    inspector: Inspector, folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.png")
    press_save(inspector, name="one", preview=str(tmp_path / "a.png"))
    press_save(inspector, name="two", preview=SimpleNamespace(name=str(tmp_path / "a.png")))
    assert (folder / "one.preview.png").read_bytes() == (folder / "two.preview.png").read_bytes()
    (tmp_path / "a.png").write_bytes(b"no picture")
    told, _ = press_save(inspector, name="three", preview=str(tmp_path / "a.png"))
    assert "The preview a.png cannot be used" in told and not list(folder.glob("three*"))


def test_a_card_shows_the_preview_that_there_is(inspector: Inspector, folder: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(folder / "moon.preview.png")
    press_save(inspector, "card", name="one")
    (folder / "moon.preview.png").write_bytes(b"broken")
    press_save(inspector, "card", name="two")
    found = []
    for name in ("one", "two"):
        with Image.open(folder / f"{name}.png") as card:
            found.append(card.convert("RGB").getpixel((256, 40)))
    assert found[0] == (255, 0, 0) != found[1]


def test_a_card_that_is_edited_keeps_its_picture(inspector: Inspector, folder: Path, tmp_path: Path) -> None:
    def top(name: str) -> Any:
        with Image.open(folder / f"{name}.png") as card:
            return card.convert("RGB").getpixel((256, 40))

    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "blue.png")
    press_save(inspector, "card", name="star", preview=str(tmp_path / "red.png"))
    press_save(inspector, "card", label="star.png", name="star", vectors="1", replace=True)
    press_save(inspector, "card", label="star.png", name="sun")
    assert top("star") == top("sun") == (255, 0, 0)
    press_save(inspector, "card", label="star.png", name="star", preview=str(tmp_path / "blue.png"), replace=True)
    assert top("star") == (0, 0, 255)


def test_files_outside_of_the_library_are_copied_into_it_only(inspector: Inspector, folder: Path) -> None:
    path = put(folder.parent, toy("far"))
    inspector.reader(str(folder.parent)).table()
    before = path.read_bytes()
    told, _ = press_save(inspector, "safetensors", replace=True, label=str(path), name="far")
    assert "is not in the library" in told
    assert "is not in the library" in undone(inspector, gr.State(None), str(path))[0]
    told, label = press_save(inspector, "safetensors", label=str(path), name="far")
    assert label == "far.safetensors" and path.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"label": None}, "Choose an embedding first"),
        ({"label": "gone.pt"}, "There is no embedding"),
        ({"vectors": "9"}, "no vector 9"),
        ({"steps": "many"}, "whole number"),
        ({"name": "a/b"}, "cannot be used"),
        ({"format": "exe", "name": "sun"}, "is no format"),
        ({"format": None, "name": "sun"}, "is no format"),
        ({"format": "exe", "replace": True}, "is no format"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    inspector: Inspector, folder: Path, given: dict[str, Any], sentence: str
) -> None:
    told, label = press_save(inspector, **given)
    assert told.startswith('<p class="pseudoword-warning"') and sentence in told and label is None
    assert [path.name for path in folder.iterdir()] == [LABEL]


# A download


def test_a_download_holds_the_changed_word_and_leaves_nothing_behind(inspector: Inspector, folder: Path) -> None:
    told = downloaded(inspector, "safetensors", None, *changes(inspector, vectors="1-2", name="sun"))
    data = re.search('base64,([^"]*)" download="sun.safetensors">', told)
    assert data is not None and "moon → sun, 4 vectors → 2, clip_l; " in told
    (folder.parent / "down.safetensors").write_bytes(base64.b64decode(data[1]))
    assert load_embedding(folder.parent / "down.safetensors").vector_count == 2
    assert [path.name for path in folder.iterdir()] == [LABEL]
    assert "Choose an embedding first" in downloaded(inspector, "pt", None, *changes(inspector, None))
    assert "is no format" in downloaded(inspector, "exe", None, *changes(inspector))
