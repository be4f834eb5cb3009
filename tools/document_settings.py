"""The table in docs/training.md, written from the settings: `python -m tools.document_settings`."""

from __future__ import annotations

from pseudoword.training.settings import Description, describe_settings
from tools.pages import ROOT, table, write_section

PAGE = ROOT / "docs" / "training.md"
SECTION = "settings"


def values(description: Description) -> str:
    """What one setting may be: its choices, or its range with unit."""
    if description.choices:
        return ", ".join(description.choices)
    if description.kind is bool:
        return "true, false"
    range_and_unit = f"{description.allowed.range} {description.allowed.unit}".strip()
    return range_and_unit + (" or none" if description.optional else "")


def settings_table() -> str:
    """The table in Markdown."""
    rows: list[list[object]] = []
    for one in describe_settings():
        default = "required" if one.required else "none" if one.default is None else str(one.default).lower()
        rows.append([f"`{one.name}`", default, values(one), one.allowed.meaning])
    return table(["Setting", "Default", "Values", "Meaning"], rows)


if __name__ == "__main__":
    write_section(PAGE, SECTION, settings_table())
