"""Documentation that programs write: sections between `<!-- name -->` and `<!-- end of name -->`, tables, pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]


def with_section(page: str, name: str, content: str) -> str:
    """`page` with `content` as its section `name`. Raises ValueError where it has no such section."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no section {name!r}")
    return pattern.sub(lambda _: begin + content.rstrip("\n") + "\n" + end, page)


def write_section(path: Path, name: str, content: str) -> None:
    """Put `content` into the section `name` of the page at `path`."""
    path.write_text(with_section(path.read_text(encoding="utf-8"), name, content), encoding="utf-8")


def table(header: list[str], rows: list[list[object]]) -> str:
    """A table in Markdown."""
    lines: list[Sequence[object]] = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def side_by_side(sheets: Sequence[Image.Image]) -> Image.Image:
    """`sheets` from left to right on white."""
    whole = Image.new("RGB", (sum(sheet.width for sheet in sheets), max(sheet.height for sheet in sheets)), "white")
    left = 0
    for sheet in sheets:
        whole.paste(sheet, (left, 0))
        left += sheet.width
    return whole
