"""Which other words of a library are near to one, told from what the table keeps of each file."""

from __future__ import annotations

from collections.abc import Sequence

from .library_duplicates import signature_directions
from .library_row import LibraryRow


def related_rows(row: LibraryRow, rows: Sequence[LibraryRow], count: int) -> list[LibraryRow]:
    """The `count` others of `rows` whose mean vectors point most alike, nearest first; files of the same vectors too.

    Compared are words with the same encoders at the same widths; in float16, enough to choose whose figures to compute.
    """
    others = [other for other in rows if other.file != row.file and other.widths == row.widths and other.signature]
    if not others or not row.signature:
        return []
    directions = signature_directions([row.signature, *(other.signature for other in others)])
    nearness = (directions[1:] @ directions[0]).tolist()
    order = sorted(range(len(others)), key=lambda place: (-nearness[place], others[place].path))
    return [others[place] for place in order[:count]]
