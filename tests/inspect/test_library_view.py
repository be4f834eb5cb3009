"""Sorting, filtering and searching the table, and taking it elsewhere."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.embedding import save_embedding
from pseudoword.errors import SettingsError
from pseudoword.inspect.library_row import LibraryRow, ModelShape
from pseudoword.inspect.library_table import LibraryTable, scan
from pseudoword.inspect.library_view import COLUMNS, RowFilter, filtered, matches, ordered, to_csv, to_json
from tests.embedding import words

text = st.text(st.characters(codec="utf-8"), max_size=8)
rows = st.builds(
    LibraryRow,
    name=text,
    folder=text,
    path=text,
    file=st.just(Path("w.pt")),
    problem=st.sampled_from(["", "It is broken."]),
    architecture=st.sampled_from([None, "sd1", "sd2", "sdxl"]),
    vector_count=st.none() | st.integers(1, 3),
    widths=st.sampled_from([(), (("clip_l", 768),), (("clip_l", 64),), (("clip_g", 1280), ("clip_l", 768))]),
    mean_norm=st.none() | st.floats(0, 3),
    steps=st.none() | st.integers(0, 3),
    trained_on=text | st.sampled_from(["=1+1", "@SUM(A1)", "-2", "+3", "\t=4"]),
    pickle=st.booleans(),
    changed_ns=st.none() | st.integers(-(2**70), 2**70),
    group=st.none() | st.integers(1, 3),
)
tables = st.lists(rows, max_size=8)
columns = st.sampled_from(list(COLUMNS))


def row(**facts: object) -> LibraryRow:
    place: dict[str, object] = {"name": "moon", "folder": "/words", "path": "moon.pt", "file": Path("/words/moon.pt")}
    return LibraryRow(**{**place, **facts})  # type: ignore[arg-type]


@given(tables, columns, st.booleans())
def test_sorting_keeps_every_row_and_has_missing_values_last(
    table: list[LibraryRow], column: str, descending: bool
) -> None:
    found = ordered(table, column, descending=descending)
    assert sorted(map(id, found)) == sorted(map(id, table))
    missing = [COLUMNS[column](entry) in (None, "") for entry in found]
    assert missing == sorted(missing)
    values = [COLUMNS[column](entry) for entry, gone in zip(found, missing, strict=True) if not gone]
    if values and not isinstance(values[0], str):
        assert values == sorted(values, reverse=descending)  # type: ignore[type-var]


@given(tables, columns, st.booleans())
def test_sorting_is_stable(table: list[LibraryRow], column: str, descending: bool) -> None:
    found = ordered(table, column, descending=descending)
    for value in {COLUMNS[column](entry) for entry in table}:
        before = [id(entry) for entry in table if COLUMNS[column](entry) == value]
        assert [id(entry) for entry in found if COLUMNS[column](entry) == value] == before
    assert ordered(found, column, descending=descending) == found


def test_text_is_sorted_as_people_sort() -> None:
    names = ["zebra", "Moon", "École", "apple", "earth", ""]
    found = [entry.name for entry in ordered([row(name=name) for name in names], "name")]
    assert found == ["apple", "earth", "École", "Moon", "zebra", ""]


def test_an_unknown_column_is_a_clear_error() -> None:
    with pytest.raises(SettingsError, match="no column 'colour'; choose one of name, folder, path"):
        ordered([], "colour")


@given(tables, st.builds(RowFilter, architecture=st.sampled_from([None, "sd1"]), duplicates_only=st.booleans()))
def test_a_filter_leaves_some_in_their_order_and_changes_nothing_twice(
    table: list[LibraryRow], wanted: RowFilter
) -> None:
    found = filtered(table, wanted)
    assert [id(entry) for entry in table if wanted.shows(entry)] == [id(entry) for entry in found]
    assert filtered(found, wanted) == found
    assert filtered(table, RowFilter()) == table


def test_what_filters_show() -> None:
    sd1, xl = (("clip_l", 768),), (("clip_g", 1280), ("clip_l", 768))
    table = [
        row(name="fits", architecture="sd1", widths=sd1),
        row(name="tiny", architecture="sd1", widths=(("clip_l", 64),), group=1),
        row(name="xl", architecture="sdxl", widths=xl),
        row(name="broken", problem="It is broken."),
    ]

    def names(wanted: RowFilter) -> list[str]:
        return [entry.name for entry in filtered(table, wanted)]

    assert names(RowFilter(fits=ModelShape("sd1", 768))) == ["fits"]
    assert names(RowFilter(fits=ModelShape("sdxl", 2048))) == ["xl"]
    assert names(RowFilter(architecture="sd1")) == ["fits", "tiny"]
    assert names(RowFilter(duplicates_only=True)) == ["tiny"]
    assert names(RowFilter(problems_only=True)) == ["broken"]
    assert names(RowFilter(architecture="sd1", search="T")) == ["fits", "tiny"]
    assert names(RowFilter(duplicates_only=True, problems_only=True)) == []


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", True),
        ("MOON", True),
        ("people ada", True),
        ("V1-5", True),
        ("strasse", True),
        ("Café", True),
        ("cafe\u0301", True),
        ("moon sun", False),
        ("sd1", False),
    ],
)
def test_a_search_finds_words_in_name_folder_and_checkpoint(search: str, found: bool) -> None:
    entry = row(name="Moon", folder="/Straße/CAFÉ", path="people/Ada/m.pt", trained_on="v1-5-pruned")
    assert matches(entry, search) == found


@given(rows)
def test_a_row_is_found_by_its_name_in_any_case(entry: LibraryRow) -> None:
    assert all(matches(entry, said) for said in (entry.name, entry.name.casefold(), entry.trained_on, entry.path))


@given(tables)
def test_csv_has_a_line_per_row_and_nothing_that_a_spreadsheet_computes(table: list[LibraryRow]) -> None:
    lines = list(csv.reader(io.StringIO(to_csv(table), newline="")))
    assert lines[0] == list(COLUMNS) and len(lines) == len(table) + 1
    for line, entry in zip(lines[1:], table, strict=True):
        assert len(line) == len(COLUMNS) and not any(cell.startswith(("=", "+", "-", "@")) for cell in line)
        assert line[0].removeprefix("'") == entry.name.replace("\0", "�").removeprefix("'")
        assert line[list(COLUMNS).index("steps")] == ("" if entry.steps is None else str(entry.steps))


def test_a_formula_in_csv_gets_an_apostrophe() -> None:
    for formula in ("=1+1", "+1", "-1", "@SUM(A1)"):
        assert f"'{formula}" in to_csv([row(trained_on=formula)])
    assert "'" not in to_csv([row(trained_on="model=1")])


@given(tables)
def test_json_has_every_row_and_null_where_something_is_missing(table: list[LibraryRow]) -> None:
    found = json.loads(to_json(LibraryTable(tuple(table))))
    assert found["complete"] is True and found["groups"] == [] and len(found["rows"]) == len(table)
    for line, entry in zip(found["rows"], table, strict=True):
        assert line.keys() == COLUMNS.keys() and line["name"] == (entry.name or None) and line["steps"] == entry.steps


def test_a_real_table_as_json_and_csv(tmp_path: Path) -> None:
    save_embedding(words.sdxl(), tmp_path / "moon")
    save_embedding(words.sdxl(), tmp_path / "sun", "pt")
    (tmp_path / "sun.png").touch()
    table = scan([tmp_path, tmp_path / "none"])
    found = json.loads(to_json(table))
    assert found["rows"][0]["widths"] == "clip_g 1280, clip_l 768" and found["rows"][0]["changed"].endswith("Z")
    assert found["rows"][1]["preview"] == str(tmp_path / "sun.png")
    assert found["groups"][0]["files"] == [str(tmp_path / "moon.safetensors"), str(tmp_path / "sun.pt")]
    assert len(found["skipped"]) == 1 and "moon.safetensors" in to_csv(table.rows)
