"""Pictures of a host are found: in its folders alone, by one model at a time, by an index that one can pause."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pseudoword.errors import ModelError, PseudowordError, SettingsError
from pseudoword.jobs.search import picture_search
from pseudoword.jobs.search.picture_search import Asked, OpenIndex, PictureSearch, id_of
from pseudoword.jobs.search.search_question import Question
from pseudoword.scoring.index_filter import Wanted
from tests.jobs.small_host import PATIENCE_S, wait_until
from tests.jobs.small_scorings import scoring_host
from tests.scoring.pictures import fill, picture

pytest.importorskip("open_clip")


def searching(folder: Path, clip: Path, count: int = 20, **changes: object) -> PictureSearch:
    """A host with so many pictures in its outputs."""
    for path in fill(folder / "outputs", count):
        os.utime(path, (1e9, 1e9))
    given = {"features": folder / "data" / "features.sqlite", "outputs": lambda: [folder / "outputs"], **changes}
    return PictureSearch(scoring_host(folder, clip, **given))


@pytest.fixture
def search(tmp_path: Path, clip: Path) -> Iterator[PictureSearch]:
    found = searching(tmp_path, clip)
    yield found
    found.end()


def brought(search: PictureSearch, folder: str = "", model: str = "") -> tuple[OpenIndex, Wanted]:
    """The index, up to date."""
    opened, roots = search.opened(model), search.roots(folder)
    job = search.start(opened, roots)
    job.wait(PATIENCE_S)
    assert job.watch().state == "up to date", job.watch()
    return opened, Wanted(roots)


def names(search: PictureSearch, opened: OpenIndex, wanted: Wanted, asked: Asked | None = None) -> list[str]:
    return [hit.row.file.name for hit in search.find(opened, asked or Asked(), wanted, 100).hits]


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_are_found_by_a_text_a_picture_and_another_hit(search: PictureSearch) -> None:
    opened, wanted = brought(search)
    assert opened.title.startswith("tiny-clip [") and opened.model.name == "tiny-clip"
    assert len(names(search, opened, wanted, Asked(text="a dog"))) == 20
    sample = search.sample(opened, png(7))
    hits = search.find(opened, Asked(like=sample), wanted, 3).hits
    assert hits[0].row.file.name == "0007.png" and hits[0].cosine == pytest.approx(1, abs=1e-3)
    assert names(search, opened, wanted, Asked(like=id_of(opened, hits[1].row)))[0] == hits[1].row.file.name


def test_what_is_no_picture_cannot_be_looked_for(search: PictureSearch) -> None:
    opened, wanted = brought(search)
    with pytest.raises(PseudowordError, match="cannot be read"):
        search.sample(opened, b"no picture")
    for like in ("sample-unknown", "x", f"{opened.identity[:16]}-3-00000000", f"{opened.identity[:16]}-{'9' * 400}-x"):
        with pytest.raises(SettingsError, match="no longer there"):
            search.find(opened, Asked(like=like), wanted, 3)


def test_models_are_never_mixed(search: PictureSearch) -> None:
    tiny, wanted = brought(search)
    other, _ = brought(search, model="pseudoword-mini")
    assert tiny.index.folder != other.index.folder and other.index.count() == 20
    sample = search.sample(tiny, png(3))
    hit = search.find(tiny, Asked(), wanted, 1).hits[0]
    for like in (sample, id_of(tiny, hit.row)):
        with pytest.raises(SettingsError, match="another CLIP model"):
            search.find(other, Asked(like=like), wanted, 1)
    with pytest.raises(ModelError, match="No CLIP model"):
        search.opened("no such")


def test_paused_it_stays_so_until_somebody_goes_on(tmp_path: Path, clip: Path) -> None:
    search = searching(tmp_path, clip, 120)
    opened, roots = search.opened(), search.roots()
    job = search.start(opened, roots)
    wait_until(lambda: job.watch().done > 0)
    search.pause(opened)
    job.wait(PATIENCE_S)
    done = opened.index.count()
    assert job.watch().state == "paused" and 0 < done < 120 and search.is_paused(opened)
    search.keep_up(opened, roots, at_once=True)
    assert search.job(opened) is job
    search.end()
    again = PictureSearch(search.host)
    opened = again.opened()
    again.keep_up(opened, roots)
    assert opened.index.count() == done and again.job(opened) is None and again.is_paused(opened)
    brought(again)
    assert opened.index.count() == 120 and not again.is_paused(opened)
    again.end()


def test_new_pictures_are_found_after_a_while_without_being_asked_for(
    search: PictureSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, roots = search.opened(), search.roots()
    search.keep_up(opened, roots)
    assert search.job(opened) is None  # nobody ever began
    _, wanted = brought(search)
    picture(300).save(tmp_path / "outputs" / "new.png")
    search.keep_up(opened, roots)
    monkeypatch.setattr(picture_search, "LOOK_AGAIN_S", 0)
    search.keep_up(opened, roots)
    wait_until(lambda: "new.png" in names(search, opened, wanted))


def test_only_folders_that_somebody_had_read_are_kept_up(
    search: PictureSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "private", 3)
    opened, _ = brought(search)
    monkeypatch.setattr(picture_search, "LOOK_AGAIN_S", 0)
    done = search.job(opened)
    for folder in (tmp_path, tmp_path / "private"):
        search.keep_up(opened, search.roots(str(folder)), at_once=True)
        assert search.job(opened) is done
    search.end()
    again = PictureSearch(search.host)  # after a restart
    opened = again.opened()
    again.keep_up(opened, again.roots(str(tmp_path)))
    assert again.job(opened) is None and opened.index.count() == 20
    picture(300).save(tmp_path / "outputs" / "sub" / "new.png")
    again.keep_up(opened, again.roots(str(tmp_path / "outputs" / "sub")))
    wait_until(lambda: (job := again.job(opened)) is not None and not job.is_under_way)
    assert opened.index.count() == 21
    brought(again, str(tmp_path))
    picture(301).save(tmp_path / "private" / "new.png")
    again.keep_up(opened, again.roots(str(tmp_path)))
    wait_until(lambda: opened.index.count() == 25)
    again.end()


def test_a_deleted_picture_is_gone_at_once_and_its_row_soon(search: PictureSearch, tmp_path: Path) -> None:
    opened, wanted = brought(search)
    row = search.find(opened, Asked(), wanted, 1).hits[0].row
    Path(row.file.path).unlink()
    assert row.file.name not in names(search, opened, wanted)
    with pytest.raises(SettingsError, match="no longer there"):
        search.row(id_of(opened, row))
    wait_until(lambda: opened.index.count() == 19)


def test_a_changed_picture_is_not_shown_under_its_old_name(search: PictureSearch) -> None:
    opened, wanted = brought(search)
    row = search.find(opened, Asked(), wanted, 1).hits[0].row
    picture(77).save(row.file.path)
    with pytest.raises(SettingsError, match="no longer there"):
        search.row(id_of(opened, row))


def test_only_one_folder_is_read_at_a_time(tmp_path: Path, clip: Path) -> None:
    search = searching(tmp_path, clip, 100)
    fill(tmp_path / "other", 3)
    opened = search.opened()
    job = search.start(opened, search.roots())
    assert search.start(opened, search.roots()) is job
    with pytest.raises(SettingsError, match="Another folder is being read"):
        search.start(opened, search.roots(str(tmp_path / "other")))
    job.wait(PATIENCE_S)
    _, wanted = brought(search, str(tmp_path / "other"))
    assert len(names(search, opened, wanted)) == 3 and opened.index.count() == 103
    search.end()


def test_a_server_searches_its_own_folders_alone(tmp_path: Path, clip: Path) -> None:
    fill(tmp_path / "secret", 2)
    search = searching(tmp_path, clip, 4, folders=[tmp_path / "outputs"])
    (tmp_path / "outputs" / "way-out").symlink_to(tmp_path / "secret")
    for folder in (tmp_path / "secret", tmp_path / "outputs" / ".." / "secret", tmp_path / "outputs" / "way-out", "/"):
        with pytest.raises(SettingsError, match="outside of the folders"):
            search.roots(str(folder))
    opened, wanted = brought(search)
    assert len(names(search, opened, wanted)) == 4
    # What was read before a folder became a link out of it.
    row = next(hit.row for hit in search.find(opened, Asked(), wanted, 9).hits if hit.row.file.folder.endswith("sub"))
    shutil.move(tmp_path / "outputs" / "sub", tmp_path / "secret" / "sub")
    (tmp_path / "outputs" / "sub").symlink_to(tmp_path / "secret" / "sub")
    assert row.file.name not in names(search, opened, wanted)
    with pytest.raises(SettingsError, match="outside of the folders"):
        search.row(id_of(opened, row))
    search.end()


def test_folders_within_each_other_are_searched_once(search: PictureSearch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no folder of pictures to search; name one, or .* --pictures"):
        PictureSearch(replace(search.host, outputs=lambda: [tmp_path / "none"])).roots()
    both = replace(search.host, outputs=lambda: [tmp_path / "outputs" / "sub", tmp_path / "outputs", tmp_path / "none"])
    assert PictureSearch(both).roots() == (str(tmp_path / "outputs"),)
    with pytest.raises(SettingsError, match="no folder of pictures"):
        PictureSearch(replace(search.host, outputs=lambda: [])).roots()
    with pytest.raises(SettingsError, match="is no folder"):
        search.roots(str(tmp_path / "outputs" / "0000.png"))


def test_without_a_place_for_an_index_that_is_said(search: PictureSearch) -> None:
    with pytest.raises(SettingsError, match="no place"):
        PictureSearch(replace(search.host, features=None)).opened()


def test_a_failure_is_told_and_not_repeated_by_itself(search: PictureSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, roots = search.opened(), search.roots()
    brought(search)

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("pseudoword.jobs.search.picture_index_job.bring_up_to_date", broken)
    job = search.start(opened, roots)
    job.wait(PATIENCE_S)
    assert job.watch().state == "failed" and "a defect" in job.watch().message
    search.keep_up(opened, roots, at_once=True)
    assert search.job(opened) is job


@pytest.mark.parametrize("text", ["tomorrow", "2024-13-01", "31.5.2024", "0000-01-01", "9999-12-31", "1" * 50])
def test_what_is_no_day_is_said(text: str) -> None:
    with pytest.raises(SettingsError, match="is no day"):
        Question(since=text, until=text).wanted(())


def test_words_that_are_too_long_are_refused() -> None:
    assert Question(words="x" * 2000).wanted(()).words == ("x" * 2000,)
    with pytest.raises(SettingsError, match="more than 2000 letters; name some"):
        Question(words="x" * 2001).wanted(())


def test_days_are_those_of_this_computer_and_the_last_one_counts() -> None:
    wanted = Question(since="2024-05-30", until="2024-05-31", words=" a, b  c").wanted(("x",))
    assert wanted.since == time.mktime((2024, 5, 30, 0, 0, 0, 0, 0, -1))
    assert wanted.until == time.mktime((2024, 6, 1, 0, 0, 0, 0, 0, -1)) and wanted.words == ("a", "b", "c")
