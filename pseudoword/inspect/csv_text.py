"""Tables as CSV text, a header row first.

Texts that a spreadsheet would take for a formula get an apostrophe in front: token texts, and names of embeddings that
come from strangers, may begin with anything.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Cell: TypeAlias = "str | int | float | None"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """`rows` below `header`; lines end with a carriage return and a line feed, as RFC 4180 wants. None is empty."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(header)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def harmless(cell: Cell) -> Cell:
    """`cell`, with an apostrophe before a text that would be a formula; numbers stay as they are."""
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\0", "�")  # at which readers of CSV stop
    # Spaces before it don't stop all programs from seeing a formula.
    return "'" + text if text.lstrip(" \n").startswith(FORMULA_STARTS) else text
