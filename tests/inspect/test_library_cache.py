"""The cache saves time and nothing else: whatever becomes of its file, the table is the same."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest

from pseudoword import cache_file
from pseudoword.embedding import save_embedding
from pseudoword.inspect.library_cache import CACHE_VERSION
from pseudoword.inspect.library_row import FileFacts
from pseudoword.inspect.library_table import scan
from tests.embedding import words
from tests.inspect.libraries import age, files_read, many_words, remembered

COUNT = 12


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder with `COUNT` files: words of several formats, a picture, a broken file."""
    folder = tmp_path / "library"
    many_words(folder, COUNT - 4)
    save_embedding(words.sdxl(), folder / "sub" / "xl", "pt")
    save_embedding(words.sd1("carded"), folder / "card", "card")
    (folder / "broken.pt").write_bytes(b"PK\3\4")
    picture = (folder / "card.png").read_bytes()
    (folder / "picture.png").write_bytes(picture.replace(b"sd-ti-embedding", b"sd-no-embedding"))
    age(folder)
    return folder


def test_the_second_look_reads_no_file_and_finds_the_same(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, fresh, read = library.parent / "new" / "cache", scan([library]), files_read(monkeypatch)
    assert scan([library], cache) == fresh and len(read) == COUNT
    assert scan([library], cache) == fresh and len(read) == COUNT
    assert scan([library / "sub"], cache).rows[0].name == "xl" and len(read) == COUNT


def test_changed_files_are_read_again_and_gone_ones_forgotten(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = library.parent / "cache"
    scan([library], cache)
    read = files_read(monkeypatch)
    save_embedding(words.sd1(), library / "word-0001.safetensors", overwrite=True)
    (library / "word-0002.safetensors").unlink()
    os.utime(library / "word-0003.safetensors", (1, 1))
    assert scan([library], cache) == scan([library])
    assert read[:2] == ["word-0001.safetensors", "word-0003.safetensors"]
    assert "word-0002.safetensors" not in remembered(cache) and len(remembered(cache)) == COUNT - 1


def test_files_of_other_folders_are_not_forgotten(library: Path) -> None:
    cache = library.parent / "cache"
    many_words(library.parent / "library2", 2)
    scan([library], cache)
    scan([library.parent / "library2"], cache)
    assert len(remembered(cache)) == COUNT + 2
    scan([library.parent / "none"], cache)
    assert len(remembered(cache)) == COUNT + 2


def test_a_file_that_just_changed_is_not_remembered(library: Path) -> None:
    cache = library.parent / "cache"
    os.utime(library / "word-0000.safetensors")
    scan([library], cache)
    assert "word-0000.safetensors" not in remembered(cache) and len(remembered(cache)) == COUNT - 1


def test_a_stopped_look_forgets_nothing_and_keeps_what_it_read(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = library.parent / "cache"
    read = files_read(monkeypatch)
    told: list[int] = []
    scan([library], cache, lambda done, total: told.append(done), lambda: told[-1:] == [5])
    assert len(remembered(cache)) == len(read) == 5
    scan([library], cache)
    assert len(read) == COUNT
    scan([library], cache, should_stop=lambda: True)
    assert len(remembered(cache)) == COUNT


def test_what_is_raised_by_progress_closes_the_cache_and_keeps_what_was_read(library: Path) -> None:
    def fail(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan([library], library.parent / "cache", fail)
    assert len(remembered(library.parent / "cache")) == 5


# --- files that are no cache ------------------------------------------------------------------------------------------


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE files (name TEXT)")
        connection.execute("INSERT INTO files VALUES ('precious')")
        connection.commit()


def other_version(path: Path) -> None:
    scan([path.parent / "library"], path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {CACHE_VERSION + 1}")


def without_a_table(path: Path) -> None:
    scan([path.parent / "library"], path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE files")


def cut_off(path: Path) -> None:
    scan([path.parent / "library"], path)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def damaged_pages(path: Path) -> None:
    scan([path.parent / "library"], path)
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)


def of_a_future_version(path: Path) -> None:
    scan([path.parent / "library" / "sub"], path)
    data = bytearray(path.read_bytes())
    data[18] = 3  # for SQLite: to be read and not written
    path.write_bytes(data)


SPOILED: list[Callable[[Path], object]] = [
    foreign_database,
    other_version,
    without_a_table,
    cut_off,
    damaged_pages,
    of_a_future_version,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"no database at all"),
    lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000),
    lambda path: path.with_name("cache-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\1" * 2000),
]


@pytest.mark.parametrize("spoil", SPOILED, ids=range(len(SPOILED)))
def test_a_spoiled_cache_is_made_anew_and_nothing_is_lost(
    spoil: Callable[[Path], object], library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, fresh = library.parent / "cache", scan([library])
    spoil(cache)
    assert scan([library], cache) == fresh
    read = files_read(monkeypatch)
    for _ in range(2):  # what was damaged where nobody looked at first is mended at the next look
        assert scan([library], cache) == fresh
    read.clear()
    assert scan([library], cache) == fresh and not read and len(remembered(cache)) == COUNT


def test_bytes_that_changed_inside_an_entry_are_noticed(library: Path) -> None:
    cache, fresh = library.parent / "cache", scan([library])
    scan([library], cache)
    data = cache.read_bytes()
    assert data.count(b'"steps": 1200') >= 1
    cache.write_bytes(data.replace(b'"steps": 1200', b'"steps": 1201').replace(b'"sdxl"', b'"s\xff\xfel"'))
    assert scan([library], cache) == fresh and scan([library], cache) == fresh


def test_any_damage_leaves_the_table_as_it_is_and_is_mended(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, fresh = library.parent / "cache", scan([library])
    scan([library], cache)
    sound, dice, read = cache.read_bytes(), random.Random(4), files_read(monkeypatch)
    for _ in range(60):
        data = bytearray(sound)
        for _ in range(dice.choice([1, 5, 200])):
            data[dice.randrange(len(data))] = dice.randrange(256)
        cache.write_bytes(data[: dice.choice([len(data), dice.randrange(len(data))])])
        for _ in range(3):  # found damaged when it is opened, when an entry is read, or after writing
            assert scan([library], cache) == fresh
        read.clear()
        assert scan([library], cache) == fresh and not read


@pytest.mark.parametrize("kind", ["folder", "pipe", "no place", "null", "device"])
def test_a_cache_that_cannot_be_is_gone_without(kind: str, library: Path) -> None:
    cache, fresh = library.parent / "cache", scan([library])
    if kind == "folder":
        cache.mkdir()
    elif kind == "pipe" and hasattr(os, "mkfifo"):
        os.mkfifo(cache)
    elif kind == "no place":
        cache.touch()
        cache /= "cache"
    elif kind == "null":
        cache = library.parent / "cac\0he"
    elif kind == "device":
        cache.symlink_to("/dev/null")
    assert scan([library], cache) == fresh


def test_a_cache_on_a_read_only_disk_is_read_and_costs_only_time(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = library.parent / "cache"
    scan([library], cache)
    (library / "word-0000.safetensors").unlink()
    many_words(library / "new", 1)
    real = sqlite3.connect

    def read_only(path: Path, **options: object) -> sqlite3.Connection:
        return real(f"file:{path}?mode=ro", uri=True, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(sqlite3, "connect", read_only)  # the tests may be root's, who may write anything
    read, fresh = files_read(monkeypatch), scan([library])
    read.clear()
    for _ in range(2):
        assert scan([library], cache) == fresh
    assert read == ["word-0000.safetensors"] * 2
    assert scan([library], library.parent / "other") == fresh and not (library.parent / "other").exists()


def test_a_cache_that_somebody_keeps_locked_is_waited_for_once(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, fresh = library.parent / "cache", scan([library])
    scan([library], cache)
    monkeypatch.setattr(cache_file, "WAIT_S", 0.1)
    with closing(sqlite3.connect(cache)) as other:
        other.execute("BEGIN EXCLUSIVE")
        read = files_read(monkeypatch)
        assert scan([library], cache) == fresh and len(read) == COUNT
        other.rollback()
        other.execute("BEGIN IMMEDIATE")  # can be read, cannot be written
        (library / "word-0000.safetensors").unlink()
        read.clear()
        assert len(scan([library], cache).rows) == len(fresh.rows) - 1 and not read
    assert len(remembered(cache)) == COUNT


@pytest.mark.skipif(os.name == "nt", reason="Windows' names of files have no halves of characters")
def test_names_with_halves_of_characters_are_remembered(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = os.fsencode(library) + b"/moon\xff.safetensors"
    try:
        os.rename(os.fsencode(library / "word-0000.safetensors"), odd)
    except OSError:
        pytest.skip("this file system has no such names")
    fresh, read = scan([library], library.parent / "cache"), files_read(monkeypatch)
    assert scan([library], library.parent / "cache") == fresh and not read


def test_a_time_beyond_what_sqlite_counts_is_remembered(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = library / "word-0000.safetensors"
    os.utime(many, ns=(0, 2**62))
    fresh, read = scan([library], library.parent / "cache"), files_read(monkeypatch)
    assert scan([library], library.parent / "cache") == fresh and not read


def test_new_facts_get_a_new_version() -> None:
    names = " ".join(field.name for field in fields(FileFacts))
    assert (CACHE_VERSION, names) == (
        1,
        "name problem kind pickle unsafe_pickle short_hash architecture vector_count widths mean_norm largest_norm "
        "steps trained_on clip_skip fingerprint signature",
    )
