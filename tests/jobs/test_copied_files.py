"""Uploads from several folders, brought together in one."""

from __future__ import annotations

from pathlib import Path

from pseudoword.jobs.copied_files import copies_of


def test_no_file_takes_the_place_of_another_whatever_they_are_called(tmp_path: Path) -> None:
    given = [tmp_path / "here" / "cat.png", tmp_path / "here" / "2-cat.png", tmp_path / "there" / "cat.png"]
    for number, path in enumerate(given):
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
    copies = copies_of(given, tmp_path / "set")
    assert {source: copy.read_text() for copy, source in copies.items()} == dict(zip(given, "012", strict=True))
