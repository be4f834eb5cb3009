"""An index finds what plain products find, forgets what is gone, and outlives whatever happens to its files."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from pseudoword import cache_file
from pseudoword.cache_file import stamp_of
from pseudoword.errors import DatasetError, IndexUnreadable
from pseudoword.scoring.index_filter import Wanted
from pseudoword.scoring.index_shards import ROWS
from pseudoword.scoring.index_table import Facts, Seen
from pseudoword.scoring.picture_index import FEWEST_LOOKED_AT, PictureIndex

MODEL, WIDTH = "12" * 32, 32
ROOT = Path(__file__).parents[2]


def features(count: int, seed: int = 0, width: int = WIDTH) -> Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def files(folder: Path, count: int) -> list[Seen]:
    """So many files, a day between one and the next."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(count):
        path = folder / f"{number:05}.png"
        path.write_bytes(b"%d" % number)
        os.utime(path, (1e9 + 86400 * number,) * 2)
        found.append(Seen(str(folder), path.name, stamp_of(path.stat()), path.stat().st_mtime))
    return found


def filled(place: Path, pictures: Path, count: int, seed: int = 0) -> tuple[list[Seen], Tensor]:
    """An index of so many pictures at `place`."""
    some, known = files(pictures, count), features(count, seed)
    with PictureIndex(place, MODEL, WIDTH) as index, index.writing():
        facts = [Facts(f"model-{n % 3}", f"a Thing of {n} parts", float(n) if n % 2 else None) for n in range(count)]
        index.add(some, facts, known)
    return some, known


def names(found: object) -> list[str]:
    return [hit.row.file.name for hit in found.hits]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PictureIndex, Tensor, Wanted]]:
    """An index of more pictures than are looked at exactly."""
    place = tmp_path_factory.mktemp("many")
    _, known = filled(place / "index", place / "pictures", 2 * FEWEST_LOOKED_AT)
    with PictureIndex(place / "index", MODEL, WIDTH) as index:
        yield index, known, Wanted((str(place / "pictures"),))


def test_the_best_are_those_of_plain_products_with_their_cosines(many: tuple[PictureIndex, Tensor, Wanted]) -> None:
    index, known, wanted = many
    for query in features(20, seed=1):
        found = index.find(query, wanted, 30)
        exact = (known.half().float() @ query).topk(30)
        assert [hit.row.slot for hit in found.hits] == exact.indices.tolist()
        assert [hit.cosine for hit in found.hits] == pytest.approx(exact.values.tolist(), abs=1e-6)
        assert found.among == len(known) and not found.is_stale


def test_one_goes_on_where_the_first_ended(many: tuple[PictureIndex, Tensor, Wanted]) -> None:
    index, known, wanted = many
    whole = names(index.find(known[5], wanted, 90))
    assert whole == [name for first in (0, 30, 60) for name in names(index.find(known[5], wanted, 30, first))]
    assert not index.find(known[5], wanted, 30, first=10 * len(known)).hits


def test_without_a_feature_the_latest_come_first(many: tuple[PictureIndex, Tensor, Wanted]) -> None:
    index, known, wanted = many
    found = index.find(None, wanted, 3)
    assert [hit.row.slot for hit in found.hits] == [len(known) - 1, len(known) - 2, len(known) - 3]
    assert all(hit.cosine is None for hit in found.hits)


def test_filters_leave_only_what_is_wanted(tmp_path: Path) -> None:
    _, known = filled(tmp_path / "index", tmp_path / "pictures", 60)
    root = (str(tmp_path / "pictures"),)
    day = 86400.0

    def kept(**what: object) -> set[int]:
        found = index.find(known[0], Wanted(**{"roots": root, **what}), 100)  # type: ignore[arg-type]
        assert found.among == len(found.hits)
        return {hit.row.slot for hit in found.hits}

    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index:
        every = set(range(60))
        assert kept() == every
        assert kept(since=1e9 + 10 * day, until=1e9 + 20 * day) == set(range(10, 20))
        assert kept(checkpoint="model-1") == {n for n in every if n % 3 == 1}
        assert kept(checkpoint="no such") == set()
        assert kept(least_score=20, most_score=30) == {n for n in every if n % 2 and 20 <= n <= 30}
        assert kept(words=("THING", "7 ")) == {7, 17, 27, 37, 47, 57}
        assert kept(words=("%",)) == kept(words=("_",)) == kept(words=("\\",)) == kept(words=("\ud800",)) == set()
        assert kept(roots=(str(tmp_path / "pict"),)) == kept(roots=()) == set()
        assert index.checkpoints(root) == ["model-0", "model-1", "model-2"] and not index.checkpoints(())


def test_deleted_and_changed_files_are_not_found_any_more(tmp_path: Path) -> None:
    some, known = filled(tmp_path / "index", tmp_path / "pictures", 50)
    wanted = Wanted((str(tmp_path / "pictures"),))
    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index:
        best = names(index.find(known[0], wanted, 12))
        Path(some[0].path).unlink()
        (tmp_path / "pictures" / best[1]).write_bytes(b"another picture")
        (tmp_path / "pictures" / best[2]).unlink()
        (tmp_path / "pictures" / best[2]).symlink_to(some[40].path)
        found = index.find(known[0], wanted, 9)
        assert names(found) == best[3:] and found.is_stale
        with index.writing():
            index.remove([0])
        assert index.count() == 49 and index.row(0) is None and index.feature(0) is None


def test_slots_are_used_again_but_not_while_somebody_may_look_at_them(tmp_path: Path) -> None:
    some, _ = filled(tmp_path / "index", tmp_path / "pictures", 20)
    new = files(tmp_path / "more", 4)
    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index, index.writing():
        index.remove([3, 7])
        index.add(new[:2], [Facts()] * 2, features(2, seed=5))
        assert index.row(3) is None and index.row(20) is not None
    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index, index.writing():
        index.add(new[2:], [Facts()] * 2, features(2, seed=6))
        row = index.row(3)
        assert row is not None and row.file == new[2] and index.row(7) is not None and index.count() == 22
        found = index.find(features(2, seed=6)[1], Wanted((str(tmp_path),)), 1)
        assert found.hits[0].row.slot == 7 and found.hits[0].cosine == pytest.approx(1, abs=1e-3)


def test_more_than_a_file_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pseudoword.scoring.index_shards.ROWS", 16)
    monkeypatch.setattr("pseudoword.scoring.picture_index.ROWS", 16)
    some, known = filled(tmp_path / "index", tmp_path / "pictures", 50)
    assert len(list((tmp_path / "index").glob("rows-*.bin"))) == 4
    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index:
        for slot in (0, 15, 16, 49):
            assert index.find(known[slot], Wanted((str(tmp_path),)), 1).hits[0].row.slot == slot
    assert ROWS == 65_536


def test_the_index_of_another_model_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    filled(tmp_path / "index", tmp_path / "pictures", 5)
    with PictureIndex(tmp_path / "index", "34" * 32, WIDTH) as index:
        assert index.count() == 0
    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index:
        assert index.count() == 0


def test_only_one_process_writes_and_the_others_see_it(tmp_path: Path) -> None:
    filled(tmp_path / "index", tmp_path / "pictures", 5)
    with (
        PictureIndex(tmp_path / "index", MODEL, WIDTH) as ours,
        PictureIndex(tmp_path / "index", MODEL, WIDTH) as other,
    ):
        assert other.count() == 5
        with ours.writing():
            with pytest.raises(DatasetError, match="Another program"), other.writing():
                pass
            ours.add(files(tmp_path / "more", 2), [Facts()] * 2, features(2, seed=9))
        assert other.count() == 7 and len(other.find(features(1)[0], Wanted((str(tmp_path),)), 9).hits) == 7
        with other.writing():
            other.add(files(tmp_path / "third", 1), [Facts()], features(1, seed=8))
        assert ours.count() == 8


def test_who_searches_is_not_disturbed_by_who_writes(tmp_path: Path) -> None:
    _, known = filled(tmp_path / "index", tmp_path / "pictures", 40)
    more = files(tmp_path / "more", 200)
    problems: list[BaseException] = []
    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index:
        done = threading.Event()

        def look() -> None:
            try:
                while not done.is_set():
                    assert index.find(known[3], Wanted((str(tmp_path),)), 1).hits[0].row.slot == 3
            except BaseException as problem:
                problems.append(problem)

        thread = threading.Thread(target=look)
        thread.start()
        with index.writing():
            for start in range(0, 200, 10):
                index.add(more[start : start + 10], [Facts()] * 10, features(10, seed=1000 + start))
                index.remove([40 + start // 10])
        done.set()
        thread.join()
        assert not problems and index.count() == 220


def test_a_row_that_another_process_adds_while_the_rows_are_read_is_there_the_next_time(tmp_path: Path) -> None:
    filled(tmp_path / "index", tmp_path / "pictures", 5)
    new = files(tmp_path / "more", 2)
    with (
        PictureIndex(tmp_path / "index", MODEL, WIDTH) as ours,
        PictureIndex(tmp_path / "index", MODEL, WIDTH) as other,
        other.writing(),
    ):
        other.add(new[:1], [Facts()], features(1, seed=8))
        meanwhile = [new[1:]]

        def asked(question: str) -> None:
            if "slot >=" in question and meanwhile:
                other.add(meanwhile.pop(), [Facts()], features(1, seed=9))

        ours._table.file._connection.set_trace_callback(asked)  # type: ignore[union-attr]
        assert len(ours.find(None, Wanted((str(tmp_path),)), 9).hits) == 6 and not meanwhile
        assert len(ours.find(None, Wanted((str(tmp_path),)), 9).hits) == 7


def test_while_another_program_keeps_the_index_to_itself_that_is_said_and_then_all_is_there_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "WAIT_S", 0.05)
    filled(tmp_path / "index", tmp_path / "pictures", 5)
    wanted = Wanted((str(tmp_path),))
    with (
        PictureIndex(tmp_path / "index", MODEL, WIDTH) as index,
        closing(sqlite3.connect(tmp_path / "index" / "pictures.sqlite", isolation_level=None)) as other,
    ):
        assert len(index.find(None, wanted, 9).hits) == 5
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            for look in (lambda: index.find(None, wanted, 9), lambda: index.count(), lambda: index.row(0)):
                with pytest.raises(IndexUnreadable, match="cannot be read just now .*; try again"):
                    look()
        other.execute("DELETE FROM pictures WHERE slot = 2")
        other.execute("COMMIT")
        assert index.row(0) is not None and len(index.find(None, wanted, 9).hits) == index.count() == 4


def test_a_question_that_cannot_be_answered_costs_no_picture(tmp_path: Path) -> None:
    filled(tmp_path / "index", tmp_path / "pictures", 5)
    wanted = Wanted((str(tmp_path),))
    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index:
        with pytest.raises(IndexUnreadable, match="too complex"):
            index.find(None, Wanted((str(tmp_path),), words=("x" * 60_000,)), 9)
        assert len(index.find(None, wanted, 9).hits) == 5


def test_memory_that_was_too_little_for_a_moment_costs_no_picture(tmp_path: Path) -> None:
    filled(tmp_path / "index", tmp_path / "pictures", 5)

    def without_memory(*_: object) -> None:
        raise MemoryError

    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index:
        index._table.file._connection.row_factory = without_memory  # type: ignore[union-attr]
        with pytest.raises(IndexUnreadable):
            index.count()
        assert index.count() == 5


@pytest.mark.parametrize("moment", ["rows", "table", "new file"])
def test_a_full_disk_loses_nothing_that_was_there(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 5
    filled(tmp_path / "index", tmp_path / "pictures", count)
    new = files(tmp_path / "more", 300)
    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index:
        with monkeypatch.context() as patch:
            if moment == "table":
                index._table.file._connection.execute("PRAGMA max_page_count = 1")  # type: ignore[union-attr]
            else:
                call = "fsync" if moment == "rows" else "replace"
                patch.setattr(os, call, full)
            if moment == "new file":
                patch.setattr("pseudoword.scoring.picture_index.ROWS", count)
                patch.setattr("pseudoword.scoring.index_shards.ROWS", count)
            with pytest.raises(DatasetError, match="make room"), index.writing():
                index.add(new, [Facts(prompt="long " * 100)] * 300, features(300, seed=1))
        assert index.count() == count
        with index.writing():  # there is room again
            index.add(new[:2], [Facts()] * 2, features(2, seed=1))
        assert index.count() == count + 2
        assert len(index.find(features(1)[0], Wanted((str(tmp_path),)), 9).hits) == count + 2


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_place_where_nothing_can_be_kept_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match="cannot be kept"):
        PictureIndex(tmp_path / "file" / "index", MODEL, WIDTH).open()


@settings(max_examples=40)
@given(st.data())
def test_whatever_happens_to_its_files_it_opens_and_never_finds_what_is_not_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = tmp_path_factory.mktemp("damaged")
    _, known = filled(place / "index", place / "pictures", 12)
    path = data.draw(st.sampled_from(sorted(one for one in (place / "index").iterdir() if one.stat().st_size)))
    content = bytearray(path.read_bytes()[:200_000])
    kind = data.draw(st.sampled_from(["cut", "changed", "gone", "replaced", "grown"]))
    if kind == "changed":
        for _ in range(data.draw(st.integers(1, 20))):
            content[data.draw(st.integers(0, min(len(content), 30_000) - 1))] = data.draw(st.integers(0, 255))
        with open(path, "r+b") as file:
            file.write(content)
    elif kind == "cut":
        os.truncate(path, data.draw(st.integers(0, path.stat().st_size - 1)))
    elif kind == "grown":
        os.truncate(path, path.stat().st_size + data.draw(st.integers(1, 9000)))
    elif kind == "gone":
        path.unlink()
    else:
        path.write_bytes(data.draw(st.binary(max_size=2000)))
    wanted = Wanted((str(place),))
    with PictureIndex(place / "index", MODEL, WIDTH) as index:
        there = {f"{number:05}.png" for number in range(12)} | {"again.png"}
        assert set(names(index.find(known[0], wanted, 20))) <= there
        for _ in range(2):  # the first may find out that there is damage
            try:
                with index.writing():
                    seen = files(place / "more", 1)[0]
                    index.add([seen], [Facts()], known[:1])
            except DatasetError:
                continue
            break
        assert index.count() <= 13 and set(names(index.find(known[0], wanted, 20))) <= there


def test_killed_at_any_moment_every_row_has_its_own_feature(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    done = subprocess.run(
        [sys.executable, "-m", "tests.scoring.killed_indexing", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["wrong"] == 0 and told["found at the end"] == told["pictures"], told
    assert -signal.SIGKILL in told["ends"], told


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PictureIndex(tmp_path / "index", MODEL, WIDTH) as index:

        def refused(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError("unable to open database file")

        monkeypatch.setattr(sqlite3, "connect", refused)
        with pytest.raises(DatasetError, match="cannot be kept"), index.writing():
            pass
