"""The panel that trains: its handlers, called as Gradio calls them, in the Gradio of whichever pins are installed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pseudoword.jobs.trainings import Trainings
from pseudoword.ui import training_panel
from pseudoword.ui.training_panel import continued, give, name_says, preset_values, started
from tests.jobs.small_host import small_host
from tests.training.small_runs import WORD, draw_pictures


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    return Trainings(small_host(tmp_path / "runs"))


def press_start(trainings: Trainings, files: list[str] | None = None, folder: str = "", name: str = WORD) -> str:
    """Press Start with 'quick look' on the tiny model."""
    return started(trainings, files, folder, name, "the dog", *preset_values("quick look"))


def test_the_panel_is_built_and_every_button_is_wired(trainings: Trainings) -> None:
    async def build() -> gr.Blocks:  # outside a running loop Gradio opens loops of its own, and never closes them
        with gr.Blocks() as page:
            training_panel.build(trainings)
        return page

    config = asyncio.run(build()).config
    buttons = [part["props"]["value"] for part in config["components"] if part["type"] == "button"]
    assert buttons == ["Start", "Pause", "Resume", "Stop, keep", "Cancel", "Look again", "Go on with it"]
    assert len(config["dependencies"]) == len(buttons) + 2  # and the preset, and the name


def test_a_name_is_judged_while_it_is_typed(trainings: Trainings) -> None:
    assert name_says(trainings, "  ") == ""
    assert "pseudoword-good" in name_says(trainings, WORD)
    assert "knows the word" in name_says(trainings, "dog")
    assert "<script>" not in name_says(trainings, "<script>")


def test_a_training_starts_from_uploads_and_is_told(trainings: Trainings, tmp_path: Path) -> None:
    files = [str(path) for path in sorted(draw_pictures(tmp_path / "given").iterdir())]
    assert f"Learning {WORD}" in press_start(trainings, files)
    job = trainings.latest
    assert job is not None
    assert "being learned right now" in press_start(trainings, files, name="zxqv-other")
    assert give(trainings, "cancel")() == ""
    job.wait(60)
    assert job.watch().state == "cancelled"
    assert "No training is under way" in give(trainings, "pause")()


def test_a_training_starts_from_a_folder(trainings: Trainings, tmp_path: Path) -> None:
    assert f"Learning {WORD}" in press_start(trainings, folder=f" {draw_pictures(tmp_path / 'given')} ")
    assert trainings.latest is not None
    trainings.latest.cancel()
    trainings.latest.wait(60)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no pictures yet"),
        ({"folder": "/nowhere/at/all"}, "does not exist"),
        ({"files": ["a.png"], "folder": "/tmp"}, "one of the two"),
        ({"folder": "/nowhere", "name": "../up"}, "up"),
        ({"folder": "/nowhere", "name": ""}, "name"),
    ],
)
def test_what_is_missing_is_said(trainings: Trainings, given: dict[str, Any], said: str) -> None:
    answer = press_start(trainings, **given)
    assert "pseudoword-warning" in answer and said in answer
    assert trainings.latest is None


def test_nothing_goes_on_where_nothing_was_chosen(trainings: Trainings) -> None:
    assert "Choose a run" in continued(trainings, None)
    assert "no interrupted run" in continued(trainings, "../elsewhere")
