"""The CLIP skip panel: its fields, and the table below them, called as Gradio calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pseudoword.jobs.layers.checkpoint_layers import CheckpointLayers, parse_table, table_text
from pseudoword.ui.checkpoint_table import NO_CHECKPOINT, imported, read, remembered, saved
from pseudoword.ui.clip_skip_panel import build
from tests.ui.built_page import built, buttons_in, ids_in

SHA256 = "ab" * 32


@pytest.fixture
def table(tmp_path: Path) -> CheckpointLayers:
    return CheckpointLayers(tmp_path / "checkpoint-layers.json")


def loaded() -> tuple[str, str]:
    return SHA256, "anime-v3"


@pytest.mark.parametrize("tab", ["txt2img", "img2img"])
def test_the_panel_is_built_and_says_nothing_at_first(table: CheckpointLayers, tab: str) -> None:
    found: list[Any] = []
    config = built(lambda: found.append(build(table, loaded, tab)))
    ((source, fields),) = found
    assert source.value == "The layers below"
    assert [field.value for field in fields] == [""] * 4
    assert [field.visible for field in fields] == [True, True, tab == "txt2img", tab == "txt2img"]
    assert all(field.info for field in fields) and len({field.label for field in fields}) == 4
    ids = ids_in(config)
    assert len(ids) == len(set(ids)) and all(id.startswith(f"pseudoword_{tab}_clip_skip_") for id in ids)
    table_buttons = ["Read the table", "Save the table", "Export to a file", "Import a file"]
    remember = "Remember the layers above for this checkpoint"
    assert buttons_in(config) == ["Compare layers with this prompt", remember, *table_buttons]


def test_the_layers_above_are_remembered_for_the_checkpoint(table: CheckpointLayers) -> None:
    text, as_read, message = remembered(table, loaded, "2", "1")
    assert text == as_read and f"{SHA256}; 2; 1; anime-v3" in text and "anime-v3 wants 2 from now on" in message
    assert read(table) == (text, text, "")


@pytest.mark.parametrize("layers", ["", "x", "0"])
def test_layers_that_are_none_are_not_remembered(table: CheckpointLayers, layers: str) -> None:
    _, _, message = remembered(table, loaded, layers, "")
    assert "pseudoword-warning" in message and table.entries() == {}


def test_without_a_checkpoint_it_is_said(table: CheckpointLayers) -> None:
    assert NO_CHECKPOINT in remembered(table, lambda: None, "2", "")[2]


def test_an_edited_table_is_saved_and_a_wrong_one_stays_in_the_field(table: CheckpointLayers) -> None:
    before, _, _ = read(table)
    text, as_read, message = saved(table, f"{SHA256}; 1=0.5,2=0.5; ; <b>mine</b>", before)
    assert text == as_read and "The table is saved" in message and parse_table(text) == table.entries() != {}
    wrong, still, message = saved(table, "<script>; 2", as_read)
    assert (wrong, still) == ("<script>; 2", as_read) and "Line 1" in message and "<script>" not in message
    assert len(table.entries()) == 1


def test_a_file_s_lines_are_put_into_the_table_and_saved_by_who_looks_at_them(table: CheckpointLayers) -> None:
    remembered(table, loaded, "2", "")
    before = read(table)[0]
    text, as_read, message = imported(table, f"{SHA256[:10]}; 1\n{'cd' * 32}; 3; ; other", "", "")
    assert as_read == before and "2 from the file, of which 1 had other layers here" in message
    assert read(table)[0] == before, "nothing is saved yet"
    assert "The table is saved" in saved(table, text, as_read)[2]
    assert {key[:2]: wanted.prompt.text for key, wanted in table.entries().items()} == {"ab": "1", "cd": "3"}


def test_lines_that_are_edited_stay_beside_those_of_a_file(table: CheckpointLayers) -> None:
    edited = f"{SHA256}; 2"
    text, as_read, message = imported(table, "cd" * 32 + "; 3", edited, "as it was read")
    assert len(parse_table(text)) == 2 and as_read == "as it was read" and "1 from the file; now save" in message


def test_what_cannot_be_imported_changes_nothing_and_is_told(table: CheckpointLayers) -> None:
    shown = f"{SHA256}; 2"
    text, _, message = imported(table, "{<b>}", shown, "")
    assert text == shown and "The file is no such table. Line 1" in message and "<b>" not in message
    text, _, message = imported(table, shown, "half a line", "")
    assert text == "half a line" and "The table above cannot be read. Line 1" in message


def test_what_is_exported_can_be_imported_elsewhere(table: CheckpointLayers, tmp_path: Path) -> None:
    remembered(table, loaded, "1=0.5,2=0.5", "2")
    other = CheckpointLayers(tmp_path / "other.json")
    text, as_read, _ = imported(other, table_text(table.entries()), "", "")
    saved(other, text, as_read)
    assert other.entries() == table.entries() != {}
