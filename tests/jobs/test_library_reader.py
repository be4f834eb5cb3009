"""The library's table is read in the background, for everybody who looks."""

from __future__ import annotations

from pathlib import Path

from pseudoword.jobs.library.library_reader import LibraryReader
from tests.inspect.libraries import many_words
from tests.jobs.small_host import wait_until


def test_the_last_table_stays_until_the_next_is_read(tmp_path: Path) -> None:
    many_words(tmp_path, 5)
    reader = LibraryReader(lambda: [tmp_path], None)
    assert reader.watch().version == 0 and not reader.watch().table.rows
    assert len(reader.table().rows) == 5, "the first is waited for"
    many_words(tmp_path, 8)
    assert len(reader.table().rows) == 5
    reader.read()
    wait_until(lambda: reader.watch().version == 2)
    assert len(reader.table().rows) == 8
    assert (reader.watch().done, reader.watch().total) == (8, 8)


def test_reading_can_be_stopped_and_begun_again(tmp_path: Path) -> None:
    many_words(tmp_path, 300)
    reader = LibraryReader(lambda: [tmp_path], None)
    reader.read()
    wait_until(lambda: reader.watch().done > 3)
    reader.stop()
    wait_until(lambda: not reader.watch().is_under_way)
    table = reader.watch().table
    assert not table.complete and 0 < len(table.rows) < 300
    reader.read()
    wait_until(lambda: reader.watch().version == 2)
    assert reader.watch().table.complete and len(reader.watch().table.rows) == 300


def test_a_failure_is_a_table_that_says_so(tmp_path: Path) -> None:
    def places() -> list[Path]:
        raise RuntimeError("the disk went away")

    reader = LibraryReader(places, None)
    assert reader.table().skipped == ("The library could not be read: the disk went away",)
    assert not reader.table().complete
