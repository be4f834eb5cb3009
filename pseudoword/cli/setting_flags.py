"""The settings of training as flags: one for each, made from its description, so that none is forgotten."""

from __future__ import annotations

import argparse
from typing import Any

from ..training.settings import Description, TrainSettings, describe_settings


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting; what is not given stays out of the parsed arguments."""
    group = parser.add_argument_group("training settings")
    for description in describe_settings():
        _add_flag(group, description)


def settings_from(arguments: argparse.Namespace) -> TrainSettings:
    """The settings that were given as flags, and the defaults for the others. Raises SettingsError."""
    names = [description.name for description in describe_settings()]
    return TrainSettings.from_dict({name: getattr(arguments, name) for name in names if hasattr(arguments, name)})


def _add_flag(group: argparse._ArgumentGroup, description: Description) -> None:
    options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": help_text(description)}
    if description.kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    else:
        options["required"] = description.required
        options["type"] = _Value(description)
        options["metavar"] = "{" + ",".join(description.choices) + "}" if description.choices else _metavar(description)
    group.add_argument("--" + description.name.replace("_", "-"), **options)


def help_text(description: Description) -> str:
    """Meaning, unit, range and default in one line."""
    allowed = description.allowed
    facts = " ".join(part for part in (allowed.unit, allowed.range) if part)
    text = allowed.meaning + (f" ({facts})" if facts else "")
    if not description.required:
        text += f" [default: {_default_text(description.default)}]"
    return text.replace("%", "%%")


def _default_text(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "none" if default is None else str(default)


def _metavar(description: Description) -> str:
    return {int: "N", float: "X", str: "TEXT"}[description.kind] if description.name != "name" else "WORD"


class _Value:
    """Reads the text of one flag; argparse shows its name where it raises ValueError."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self.__name__ = {int: "whole number", float: "number", str: "text"}[description.kind]

    def __call__(self, text: str) -> Any:
        if self._description.optional and text.lower() == "none":
            return None
        return self._description.kind(text)
