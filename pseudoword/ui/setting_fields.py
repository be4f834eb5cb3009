"""A form field for every training setting, made from its description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..training.captions import BUILT_IN_TEMPLATES
from ..training.settings import Description, TrainSettings, describe_settings

SHOWN_ABOVE = ("name", "start")  # which have fields of their own in the panel
FIELDS_PER_ROW = 2
EXPERT = tuple(description for description in describe_settings() if description.name not in SHOWN_ABOVE)


def make_fields(values: Sequence[Any], templates: Iterable[str] = ()) -> list[Any]:
    """The fields of `EXPERT` with `values`, both in its order; `templates` are files offered by name."""
    given, fields = list(zip(EXPERT, values, strict=True)), []
    for start in range(0, len(given), FIELDS_PER_ROW):
        with gr.Row(elem_classes="pseudoword-fields"):
            fields += [_field(description, value, templates) for description, value in given[start:][:FIELDS_PER_ROW]]
    return fields


def _field(description: Description, value: Any, templates: Iterable[str]) -> Any:
    allowed = description.allowed
    facts = ", ".join(part for part in (allowed.unit, allowed.range) if part)
    common: dict[str, Any] = {
        "label": description.name.replace("_", " "),
        "info": allowed.meaning + (f" ({facts})" if facts else ""),
        "elem_id": f"pseudoword_{description.name}",
    }
    if description.kind is bool:
        return gr.Checkbox(value=value, **common)
    if description.name == "templates":
        return gr.Dropdown([*BUILT_IN_TEMPLATES, *templates], value=value, allow_custom_value=True, **common)
    if description.choices:
        return gr.Dropdown(list(description.choices), value=value, **common)
    if description.kind in (int, float) and not description.optional:
        precision = 0 if description.kind is int else None
        return gr.Number(value=value, precision=precision, **common)
    return gr.Textbox(value=value, max_lines=1, **common)


def shown(settings: Mapping[str, Any], templates: Mapping[str, Path]) -> list[Any]:
    """What the fields of `EXPERT` show of `settings`, the defaults where these say nothing."""
    names = {str(path): name for name, path in templates.items()}
    given = [(description, settings.get(description.name, description.default)) for description in EXPERT]
    return [names.get(value, value) if isinstance(value, str) else _shown(kind, value) for kind, value in given]


def _shown(description: Description, value: Any) -> Any:
    """An optional number is a text, which may be empty for none."""
    if value is None:
        return ""
    return str(value) if description.optional else value


def settings_of(name: str, start: str, values: Sequence[Any], templates: Mapping[str, Path]) -> TrainSettings:
    """The settings that the form's fields hold, those of `EXPERT` in its order. Raises SettingsError.

    `templates` are the files that the form offers by name.
    """
    given: dict[str, Any] = {"name": name.strip(), "start": start.strip() or "auto"}
    for description, value in zip(EXPERT, values, strict=True):
        given[description.name] = _value(description, value)
    if given["templates"] in templates:
        given["templates"] = str(templates[given["templates"]])
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
