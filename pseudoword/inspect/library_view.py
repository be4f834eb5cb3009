"""Rows of the library's table as people want to see them: sorted, filtered, searched, and as CSV or JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..diffusion import Architecture
from ..embedding.metadata import encodable
from ..errors import SettingsError
from .csv_text import csv_text
from .library_row import LibraryRow, ModelShape
from .library_table import LibraryTable

Value: TypeAlias = str | int | float | bool | None


def _shown_path(path: Path | None) -> str:
    return "" if path is None else encodable(str(path))


COLUMNS: dict[str, Callable[[LibraryRow], Value]] = {
    "name": lambda row: row.name,
    "folder": lambda row: row.folder,
    "path": lambda row: row.path,
    "problem": lambda row: row.problem,
    "architecture": lambda row: row.architecture,
    "vectors": lambda row: row.vector_count,
    "widths": lambda row: ", ".join(f"{encoder} {width}" for encoder, width in row.widths),
    "mean_norm": lambda row: row.mean_norm,
    "largest_norm": lambda row: row.largest_norm,
    "steps": lambda row: row.steps,
    "trained_on": lambda row: row.trained_on,
    "clip_skip": lambda row: row.clip_skip,
    "format": lambda row: row.kind,
    "pickle": lambda row: row.pickle,
    "unsafe_pickle": lambda row: row.unsafe_pickle,
    "bytes": lambda row: row.size_bytes,
    "changed": lambda row: row.changed,
    "sha256": lambda row: row.short_hash,
    "fingerprint": lambda row: row.fingerprint,
    "group": lambda row: row.group,
    "duplicate": lambda row: row.duplicate,
    "preview": lambda row: _shown_path(row.preview),
}
"""Every column: the name that sorting, CSV and JSON use, and its value; None or an empty text where it is missing."""


@dataclass(frozen=True)
class RowFilter:
    """What rows must be to be shown; all that is asked for at once. `search` is explained at `matches`."""

    search: str = ""
    fits: ModelShape | None = None
    architecture: Architecture | None = None
    duplicates_only: bool = False
    problems_only: bool = False

    def shows(self, row: LibraryRow) -> bool:
        """Whether `row` is all that is asked for."""
        return (
            (self.fits is None or row.fits(self.fits))
            and (self.architecture is None or row.architecture == self.architecture)
            and (not self.duplicates_only or row.group is not None)
            and (not self.problems_only or bool(row.problem))
            and matches(row, self.search)
        )


def filtered(rows: Iterable[LibraryRow], wanted: RowFilter) -> list[LibraryRow]:
    """Those of `rows` that `wanted` shows, in their order."""
    return [row for row in rows if wanted.shows(row)]


def matches(row: LibraryRow, search: str) -> bool:
    """Whether every word of `search` is, in any case of letters, in the name, path, folder or checkpoint of `row`."""
    text = _comparable("\n".join((row.name, row.path, row.folder, row.trained_on)))
    return all(word in text for word in _comparable(search).split())


def ordered(rows: Iterable[LibraryRow], column: str, *, descending: bool = False) -> list[LibraryRow]:
    """`rows` by a column of `COLUMNS`, text in any case of letters; equal ones keep their order.

    Rows without a value come last, whichever way the others are sorted. Raises SettingsError for an unknown column.
    """
    value_of = COLUMNS.get(column)
    if value_of is None:
        raise SettingsError(f"The table has no column {column[:40]!a}; choose one of {', '.join(COLUMNS)}.")
    rows = list(rows)
    present = [row for row in rows if not _is_missing(value_of(row))]
    missing = [row for row in rows if _is_missing(value_of(row))]
    # One column has values of one type.
    return sorted(present, key=lambda row: _rank(value_of(row)), reverse=descending) + missing


def to_csv(rows: Sequence[LibraryRow], columns: Sequence[str] = tuple(COLUMNS)) -> str:
    """`rows` with a line of titles, by RFC 4180. Texts that a spreadsheet would compute get an apostrophe in front."""
    return csv_text(columns, ([COLUMNS[column](row) for column in columns] for row in rows))


def to_json(table: LibraryTable) -> str:
    """The whole table; what is missing is null."""
    rows = [{name: _or_none(value_of(row)) for name, value_of in COLUMNS.items()} for row in table.rows]
    groups = [
        {
            "number": group.number,
            "files": [_shown_path(file) for file in group.files],
            "exact": group.exact,
            "lowest_cosine": round(group.lowest_cosine, 6),
            "sentence": group.sentence,
        }
        for group in table.groups
    ]
    content = {"complete": table.complete, "rows": rows, "groups": groups, "skipped": list(table.skipped)}
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)


def _is_missing(value: Value) -> bool:
    return value is None or value == ""


def _or_none(value: Value) -> Value:
    return None if _is_missing(value) else value


def _rank(value: Value) -> Any:
    return _comparable(value) if isinstance(value, str) else value


def _comparable(text: str) -> str:
    # Decomposed, as macOS stores the names of files: composed letters that people type are found, é sorts beside e.
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
