"""The CLIP skip panel: its fields, and the table below them, called as Gradio calls it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pseudoword.jobs.layers.checkpoint_layers import CheckpointLayers, parse_table
from pseudoword.ui.clip_skip_panel import NO_CHECKPOINT, build, read, remembered, saved

SHA256 = "ab" * 32


@pytest.fixture
def table(tmp_path: Path) -> CheckpointLayers:
    return CheckpointLayers(tmp_path / "checkpoint-layers.json")


def loaded() -> tuple[str, str]:
    return SHA256, "anime-v3"


@pytest.mark.parametrize("has_hires", [True, False])
def test_the_panel_is_built_and_says_nothing_at_first(table: CheckpointLayers, has_hires: bool) -> None:
    async def built() -> tuple[gr.Blocks, Any, list[Any]]:
        with gr.Blocks() as page:
            source, fields = build(table, loaded, "clip_skip", has_hires)
        return page, source, fields

    page, source, fields = asyncio.run(built())
    assert source.value == "The layers below"
    assert [field.value for field in fields] == [""] * 4
    assert [field.visible for field in fields] == [True, True, has_hires, has_hires]
    components = page.config["components"]
    assert len([part for part in components if part["type"] == "button"]) == len(page.config["dependencies"]) == 3
    assert all(field.info for field in fields) and len({field.label for field in fields}) == 4


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
