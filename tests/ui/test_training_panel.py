"""The panel that trains: its handlers, called as Gradio calls them, in the Gradio of whichever pins are installed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pseudoword.jobs.host import Host
from pseudoword.jobs.training.saved_settings import FILE
from pseudoword.jobs.training.trainings import Trainings
from pseudoword.ui import gradio_versions, training_panel
from pseudoword.ui.presets import PRESETS
from pseudoword.ui.setting_fields import EXPERT, shown
from pseudoword.ui.training_handlers import (
    NEW_WORD,
    continued,
    first_values,
    given,
    name_says,
    preset_values,
    recalled,
    removed,
    saved,
    started,
    thumbnails,
)
from tests.jobs.small_host import small_host
from tests.training.small_runs import WORD, draw_pictures


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return small_host(tmp_path / "runs")


@pytest.fixture
def trainings(host: Host) -> Trainings:
    return Trainings(host)


def press_start(
    trainings: Trainings,
    files: list[str] | None = None,
    folder: str = "",
    name: str = WORD,
    start: str = "the dog",
    embedding: str = NEW_WORD,
) -> str:
    """Press Start with 'quick look' on the tiny model."""
    return started(trainings, files, folder, name, start, embedding, *preset_values(trainings, "quick look"))


def end(trainings: Trainings) -> None:
    """Cancel what is under way."""
    assert trainings.latest is not None
    trainings.latest.cancel()
    trainings.latest.wait(60)


def test_the_panel_is_built_and_every_button_is_wired(trainings: Trainings) -> None:
    async def build() -> gr.Blocks:  # outside a running loop Gradio opens loops of its own, and never closes them
        with gr.Blocks() as page:
            training_panel.build(trainings)
        return page

    config = asyncio.run(build()).config
    buttons = [part["props"]["value"] for part in config["components"] if part["type"] == "button"]
    assert buttons[:5] == ["Save", "Recall", "Forget", "Check pictures", "Cancel check"]
    assert buttons[5:] == ["Start", "Pause", "Resume", "Stop, keep", "Cancel", "Go on with it", "Remove it", "Refresh"]
    asked_while_typing = 2 if gradio_versions.IS_OLD else 1  # the old version needs to be asked once more
    # And the pictures, the preset, the list of runs, which is refreshed for whoever asks, and settings of a job; of the
    # check what is left out, and that other pictures or another folder end it.
    assert len(config["dependencies"]) == len(buttons) + 4 + 3 + asked_while_typing


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
    assert "zxqv-other waits for its turn" in press_start(trainings, files, name="zxqv-other")
    assert given(trainings, "cancel") == ""
    job.wait(60)
    assert job.watch().state == "cancelled"
    other = trainings.latest
    assert other is not None and other.settings.name == "zxqv-other"
    assert given(trainings, "cancel") == ""
    other.wait(60)
    assert "No training is under way" in given(trainings, "pause")


def test_a_training_starts_from_a_folder(trainings: Trainings, tmp_path: Path) -> None:
    assert f"Learning {WORD}" in press_start(trainings, folder=f" {draw_pictures(tmp_path / 'given')} ")
    end(trainings)


def test_an_embedding_that_is_offered_can_be_gone_on_from(host: Host, tmp_path: Path) -> None:
    first = Trainings(host)
    press_start(first, folder=str(draw_pictures(tmp_path / "given")))
    assert first.latest is not None
    first.latest.wait(60)
    word = host.runs / WORD / f"{WORD}.safetensors"
    second = Trainings(replace(host, words=lambda: {WORD: word}))
    said = press_start(second, folder=str(tmp_path / "given"), name="zxqv-more", embedding=WORD)
    assert "Learning zxqv-more" in said and second.latest is not None
    assert second.latest.settings.start == f"file:{word}"
    end(second)
    assert "is gone" in press_start(second, folder=str(tmp_path / "given"), name="zxqv-more", embedding="other")


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


def test_an_earlier_run_can_be_removed_and_frees_its_name(trainings: Trainings, tmp_path: Path) -> None:
    press_start(trainings, folder=str(draw_pictures(tmp_path / "given")))
    assert trainings.latest is not None
    trainings.latest.wait(60)
    assert "already" in name_says(trainings, WORD)
    assert "Choose a run" in removed(trainings, None)[1]
    assert "no earlier run" in removed(trainings, "../given")[1] and (tmp_path / "given").exists()
    assert "is removed" in removed(trainings, WORD)[1]
    assert "is free" in name_says(trainings, WORD)


def test_settings_are_saved_recalled_and_forgotten(trainings: Trainings) -> None:
    values = preset_values(trainings, "style")
    assert "portraits is saved" in saved(trainings, " portraits ", *values)[1]
    *shown_again, said = recalled(trainings, "portraits")
    assert shown_again == values and "portraits" in said
    assert "is forgotten" in saved(trainings, "portraits")[1]
    assert "Choose saved settings" in recalled(trainings, "portraits")[-1]
    assert "no saved settings" in saved(trainings, "portraits")[1]


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\nb"])
def test_settings_need_a_name_to_be_saved(trainings: Trainings, name: str) -> None:
    assert "name of 1 to 60" in saved(trainings, name, *preset_values(trainings, "object"))[1]


def test_settings_that_cannot_be_are_not_saved(trainings: Trainings) -> None:
    values = preset_values(trainings, "object")
    values[[description.name for description in EXPERT].index("batch")] = 0
    assert "batch" in saved(trainings, "wrong", *values)[1]
    assert "Choose saved settings" in recalled(trainings, "wrong")[-1]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1}', b"\xff"])
def test_a_broken_file_of_saved_settings_holds_none(trainings: Trainings, content: bytes) -> None:
    trainings.host.runs.mkdir()
    (trainings.host.runs / FILE).write_bytes(content)
    assert "Choose saved settings" in recalled(trainings, "a")[-1]


def test_the_form_begins_as_its_host_says(host: Host) -> None:
    def at_first(**changes: Any) -> list[Any]:
        return first_values(Trainings(replace(host, **changes)))

    assert at_first() == shown({}, {})
    assert at_first(first_preset=lambda: "style") == shown(PRESETS["style"], {})
    assert at_first(first_preset=lambda: "no longer there") == shown({}, {})
    assert at_first(defaults=lambda: {"clip_skip": 2}) == shown({"clip_skip": 2}, {})
    saved(Trainings(host), "mine", *shown({"steps": 7, "warmup": 2}, {}))
    assert at_first(first_preset=lambda: "mine") == shown({"steps": 7, "warmup": 2}, {})


def test_uploads_are_shown_without_their_captions() -> None:
    assert thumbnails(None)["visible"] is False
    shown_now = thumbnails(["/tmp/a.png", "/tmp/a.txt"])
    assert shown_now["value"] == ["/tmp/a.png"] and shown_now["visible"] is True
