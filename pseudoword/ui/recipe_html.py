"""How an embedding came about, as its file says it, in lines that a person reads."""

from __future__ import annotations

import json
from html import escape
from typing import Any

MOST_LINES, MOST_LETTERS = 60, 300  # a file may say anything


def recipe_html(recipe: str) -> str:
    """The recipe, its first line to be seen and the others behind a click; nothing where there is none."""
    lines = [escape(line[:MOST_LETTERS]) for line in lines_of(recipe)[:MOST_LINES]]
    if len(lines) < 2:
        return "".join(lines)
    items = "".join(f"<li>{line}</li>" for line in lines[1:])
    return f'<details class="pseudoword-recipe"><summary>{lines[0]}</summary><ul>{items}</ul></details>'


def lines_of(recipe: str) -> list[str]:
    """A line for each entry of a JSON object, as ours are; else the lines as they stand."""
    try:
        found = json.loads(recipe)
        if isinstance(found, dict):
            return [f"{name_of(key)}: {said}" for key, value in found.items() if (said := in_words(value))]
    except (ValueError, RecursionError):
        pass
    return [line for line in recipe.splitlines() if line.strip()]


def name_of(key: str) -> str:
    """A key as words."""
    return key.replace("_", " ")


def in_words(value: Any) -> str:
    """A JSON value without brackets and quotes; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(in_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{name_of(key)} {in_words(one)}" for key, one in value.items())
    return str(value)
