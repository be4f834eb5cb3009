"""A form field for every training setting, made from its description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from ..training.settings import Description, TrainSettings, describe_settings

SHOWN_ABOVE = ("name", "start")  # which have fields of their own in the panel
EXPERT = tuple(description for description in describe_settings() if description.name not in SHOWN_ABOVE)


def make_fields() -> list[Any]:
    """The fields of `EXPERT`, in its order."""
    return [_field(description) for description in EXPERT]


def _field(description: Description) -> Any:
    allowed = description.allowed
    facts = ", ".join(part for part in (allowed.unit, allowed.range) if part)
    common: dict[str, Any] = {
        "label": description.name.replace("_", " "),
        "info": allowed.meaning + (f" ({facts})" if facts else ""),
        "elem_id": f"pseudoword_{description.name}",
    }
    if description.kind is bool:
        return gr.Checkbox(value=description.default, **common)
    if description.choices:
        return gr.Dropdown(list(description.choices), value=description.default, **common)
    if description.kind in (int, float) and not description.optional:
        precision = 0 if description.kind is int else None
        return gr.Number(value=description.default, precision=precision, **common)
    return gr.Textbox(value=shown(description, description.default), max_lines=1, **common)


def shown(description: Description, value: Any) -> Any:
    """`value` as its field shows it: an optional number is a text, which may be empty for none."""
    if value is None:
        return ""
    return str(value) if description.optional else value


def settings_of(name: str, start: str, values: Sequence[Any]) -> TrainSettings:
    """The settings that the form's fields hold, those of `EXPERT` in its order. Raises SettingsError."""
    given: dict[str, Any] = {"name": name.strip(), "start": start.strip() or "auto"}
    for description, value in zip(EXPERT, values, strict=True):
        given[description.name] = _value(description, value)
    return TrainSettings.from_dict(given)


def _value(description: Description, value: Any) -> Any:
    """What a field holds, as the setting's kind; what cannot be is left for the settings to complain of."""
    if description.kind not in (int, float) or description.choices:
        return value
    if isinstance(value, str):
        text = value.strip().lower()
        if description.optional and text in ("", "none"):
            return None
        try:
            value = float(text)
        except ValueError:
            return value
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if description.kind is int and is_whole else value
