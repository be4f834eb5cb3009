"""The table in docs/training.md, written from the settings: `python -m tools.document_settings`."""

from __future__ import annotations

from pathlib import Path

from pseudoword.training.settings import Description, describe_settings

PAGE = Path(__file__).parents[1] / "docs" / "training.md"
BEGIN, END = "<!-- settings -->\n", "<!-- end of settings -->\n"


def cell(description: Description) -> str:
    """The value column of one setting: its choices, or its range with unit."""
    if description.choices:
        return ", ".join(description.choices)
    if description.kind is bool:
        return "true, false"
    range_and_unit = f"{description.allowed.range} {description.allowed.unit}".strip()
    return range_and_unit + (" or none" if description.optional else "")


def table() -> str:
    """The table in Markdown."""
    lines = ["| Setting | Default | Values | Meaning |", "|---|---|---|---|"]
    for one in describe_settings():
        default = "required" if one.required else "none" if one.default is None else str(one.default).lower()
        lines.append(f"| `{one.name}` | {default} | {cell(one)} | {one.allowed.meaning} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """`page` with the table as it must be now between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
