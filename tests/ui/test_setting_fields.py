"""The form's fields give the settings that people see in it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pseudoword.errors import SettingsError
from pseudoword.training.settings import TrainSettings
from pseudoword.ui.presets import PRESETS
from pseudoword.ui.setting_fields import EXPERT, make_fields, settings_of, shown


async def built(values: list[Any]) -> list[Any]:
    """The fields, made in a page, and inside a running loop: elsewhere Gradio opens loops that it never closes."""
    with gr.Blocks():
        return make_fields(values)


def test_untouched_fields_are_the_default_settings() -> None:
    values = [field.value for field in asyncio.run(built(shown({}, {})))]
    assert settings_of("zxqv", "auto", values, {}) == TrainSettings(name="zxqv")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_fills_the_form_with_settings_that_are_allowed(preset: str) -> None:
    settings = settings_of("zxqv", "", shown(PRESETS[preset], {}), {})
    assert settings == TrainSettings(name="zxqv", **PRESETS[preset])


def test_template_files_are_offered_by_name_and_kept_by_path() -> None:
    offered = {"subject.txt": Path("/webui/templates/subject.txt")}
    values = entering("templates", "subject.txt")
    settings = settings_of("zxqv", "auto", values, offered)
    assert settings.templates == "/webui/templates/subject.txt"
    assert shown(settings.to_dict(), offered) == values


@pytest.mark.parametrize(
    ("name", "entered", "meant"),
    [
        ("size", " 512 ", 512),
        ("size", "", None),
        ("size", "none", None),
        ("min_snr", "5", 5.0),
        ("steps", 300.0, 300),
        ("learning_rate", "0.005:100, 1e-3", "0.005:100, 1e-3"),
    ],
)
def test_what_is_entered_is_understood(name: str, entered: Any, meant: Any) -> None:
    assert getattr(settings_of("zxqv", "auto", entering(name, entered), {}), name) == meant


@pytest.mark.parametrize(
    ("name", "entered"),
    [
        ("size", "large"),
        ("size", "nan"),
        ("steps", None),
        ("steps", 1.5),
        ("batch", 0),
        ("vectors", 76),
        ("min_snr", "-1"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, entered: Any) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_of("zxqv", "auto", entering(name, entered), {})


def entering(name: str, entered: Any) -> list[Any]:
    """The form's values with one of them changed."""
    values = shown({}, {})
    values[[description.name for description in EXPERT].index(name)] = entered
    return values
