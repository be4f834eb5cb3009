"""An index follows its folders: what is new is read, what is gone or changed leaves it, what is broken is named."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from pseudoword.decoding import load_picture
from pseudoword.errors import DatasetError
from pseudoword.scoring import ClipScorer, index_update
from pseudoword.scoring.index_filter import Wanted
from pseudoword.scoring.index_update import Progress, bring_up_to_date
from pseudoword.scoring.infotext import facts_of
from pseudoword.scoring.picture_index import PictureIndex
from tests.scoring.pictures import clip_folder, fill, hostile, picture, with_prompt
from tests.scoring.watched_loans import DECODING, PASS, watched_loans

pytest.importorskip("open_clip")

LONG_AGO = 1e9
FACTS = "\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, Seed: 1, Model hash: 0a1b, Model: dreamer"


@dataclass
class Place:
    """A folder of pictures, and its index."""

    folder: Path
    index: PictureIndex
    scorer: ClipScorer
    cache: Path

    def bring(self, steps: int = 10**6, at_once: int = 8) -> list[Progress]:
        """Bring the index up to date, or make so many steps."""
        roots, using = [str(self.folder)], lambda: nullcontext(self.scorer)
        with contextlib.closing(bring_up_to_date(self.index, roots, using, self.cache, at_once, 1)) as progress:
            return [now for now, _ in zip(progress, range(steps), strict=False)]

    def names(self) -> set[str]:
        """All pictures that are found."""
        found = self.index.find(None, Wanted((str(self.folder),)), 1000)
        return {os.path.relpath(hit.row.file.path, self.folder) for hit in found.hits}

    def unreadable(self) -> dict[str, str]:
        """What could not be read, with the reasons."""
        return {name: why for _, name, why in self.index.unreadable([str(self.folder)])}


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ClipScorer:
    clip = clip_folder(tmp_path_factory.mktemp("clip"))
    return ClipScorer.load(clip / "open_clip_config.json", clip / "open_clip_model.safetensors")


@pytest.fixture
def place(tmp_path: Path, scorer: ClipScorer) -> Iterator[Place]:
    (tmp_path / "pictures").mkdir()
    with PictureIndex(tmp_path / "index", scorer.identity, scorer.width) as index:
        yield Place(tmp_path / "pictures", index, scorer, tmp_path / "cache")


def aged(folder: Path) -> None:
    """Let all files be old: of young ones nobody knows whether they will change without a trace."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO, LONG_AGO))


def test_pictures_are_found_by_texts_and_by_pictures_as_the_model_sees_them(place: Place) -> None:
    paths = fill(place.folder, 20)
    place.bring()
    features = place.scorer.image_features([load_picture(path) for path in paths])
    wanted = Wanted((str(place.folder),))
    for query in (place.scorer.text_features(["a dog"])[0], features[7]):
        found = place.index.find(query, wanted, 20)
        exact = features @ query
        assert [hit.cosine for hit in found.hits] == pytest.approx(
            exact.sort(descending=True).values.tolist(), abs=2e-3
        )
        assert found.hits[0].row.file.path == str(paths[int(exact.argmax())])


def test_facts_come_from_the_file_and_the_score_is_that_of_its_own_prompt(place: Place) -> None:
    path = with_prompt(place.folder / "a.png", f"a (dog:1.2){FACTS}")
    with_prompt(place.folder / "only-a-hash.png", "a cat\nSteps: 1, Sampler: a, Seed: 1, Model hash: ff", seed=1)
    fill(place.folder, 1)
    place.bring()
    rows = {hit.row.file.name: hit.row.facts for hit in place.index.find(None, Wanted((str(place.folder),)), 9).hits}
    assert rows["a.png"].checkpoint == "dreamer [0a1b]" and rows["a.png"].prompt == "a (dog:1.2)"
    cosine = place.scorer.image_features([load_picture(path)]) @ place.scorer.text_features(["a dog"]).T
    assert rows["a.png"].score == pytest.approx(100 * max(float(cosine), 0), abs=0.2)
    assert rows["only-a-hash.png"].checkpoint == "ff"
    assert (rows["0000.png"].checkpoint, rows["0000.png"].prompt, rows["0000.png"].score) == ("", "", None)


def test_the_line_of_facts_is_read_as_the_webui_writes_it() -> None:
    facts = facts_of('a, b\nSteps: 20, Size: 512x512, Lora hashes: "a: 1, b: 2", Model: x, Version: v1.10.1')
    assert facts["Lora hashes"] == "a: 1, b: 2" and facts["Model"] == "x" and facts["Version"] == "v1.10.1"
    assert facts_of("Model: x") == facts_of("") == {}


def test_what_is_known_is_not_read_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(place.folder, 30)
    aged(place.folder)
    assert place.bring()[-1] == Progress("reading", 30, 30)
    monkeypatch.setattr(index_update, "folder_features", None)
    assert all(now.stage == "looking" for now in place.bring()) and len(place.names()) == 30


def test_the_model_is_lent_for_passes_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with_prompt(place.folder / "a.png", "a dog")
    loans = watched_loans(monkeypatch)
    using = loans.watched(lambda: nullcontext(place.scorer))
    list(bring_up_to_date(place.index, [str(place.folder)], using, place.cache, 8, 1))
    assert (loans.within, loans.outside, loans.count) == ({PASS}, {DECODING}, 3)  # it, the picture, and its prompt


def test_the_folder_changes_and_the_index_follows(place: Place) -> None:
    fill(place.folder, 12)
    aged(place.folder)
    place.bring()
    (place.folder / "0000.png").unlink()
    shutil.move(place.folder / "0001.png", place.folder / "moved.png")
    shutil.rmtree(place.folder / "sub")
    picture(99).save(place.folder / "0003.png")
    (place.folder / "new" / "deeper").mkdir(parents=True)
    picture(50).save(place.folder / "new" / "deeper" / "one.png")
    changed = place.scorer.image_features([picture(99)])[0]
    place.bring()
    still = {f"{number:04}.png" for number in (3, 4, 6, 7, 9, 10)}
    assert place.names() == still | {"moved.png", os.path.join("new", "deeper", "one.png")}
    best = place.index.find(changed, Wanted((str(place.folder),)), 1).hits[0]
    assert best.row.file.name == "0003.png" and best.cosine == pytest.approx(1, abs=1e-3)


def test_a_young_file_is_looked_at_again_until_it_is_old(place: Place) -> None:
    path = place.folder / "a.png"
    picture(1).save(path)
    place.bring()
    status = path.stat()
    picture(2).save(path)
    path.write_bytes(path.read_bytes().ljust(status.st_size, b"\0")[: status.st_size])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # a clock that ticks every two seconds
    place.bring()
    query = place.scorer.image_features([picture(2)])[0]
    hit = place.index.find(query, Wanted((str(place.folder),)), 1)
    assert not hit.hits or hit.hits[0].cosine == pytest.approx(1, abs=1e-3)


def test_hostile_files_are_named_once_and_the_others_found(place: Place) -> None:
    sound, broken = hostile(place.folder)
    link = {"gone.png"}  # links are not followed, and no picture of ours
    foreign = {"phone.heic"}
    aged(place.folder)
    place.bring()
    assert place.names() == sound and set(place.unreadable()) == broken - link - foreign
    assert "64 million pixels" in place.unreadable()["huge.png"]
    assert all(now.stage == "looking" and not now.total for now in place.bring())
    picture(3).save(place.folder / "text.png")
    (place.folder / "empty.jpg").unlink()
    place.bring()
    assert "text.png" in place.names() and set(place.unreadable()) == {"cut-off.png", "huge.png"}


def test_links_are_not_followed(place: Place, tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", 2)
    (place.folder / "folder").symlink_to(tmp_path / "elsewhere")
    (place.folder / "file.png").symlink_to(tmp_path / "elsewhere" / "0000.png")
    place.bring()
    assert place.names() == set()


def test_a_disk_that_is_away_loses_nothing(place: Place) -> None:
    fill(place.folder, 6)
    place.bring()
    away = place.folder.with_name("away")
    place.folder.rename(away)
    place.bring()
    assert place.index.count() == 6 and place.names() == set()
    away.rename(place.folder)
    assert len(place.names()) == 6


def test_pictures_that_vanish_or_change_while_they_are_read_do_no_harm(place: Place) -> None:
    paths = fill(place.folder, 40)
    aged(place.folder)
    roots, using = [str(place.folder)], lambda: nullcontext(place.scorer)
    for number, _ in enumerate(bring_up_to_date(place.index, roots, using, place.cache, 4, 1)):
        if number == 4:
            for path in paths[10:20]:
                path.unlink()
            picture(500).save(paths[25])
            (place.folder / "sub" / "later.png").write_bytes(paths[0].read_bytes())
    place.bring()
    assert len(place.names()) == 31 and not place.unreadable()
    features = place.scorer.image_features([picture(500)])
    best = place.index.find(features[0], Wanted((str(place.folder),)), 1).hits[0]
    assert best.row.file.path == str(paths[25])


def test_ended_in_the_middle_it_goes_on_from_there(place: Place) -> None:
    fill(place.folder, 40)
    aged(place.folder)
    assert place.bring(steps=6, at_once=4)[-1].stage == "reading"
    begun = len(place.names())
    assert 0 < begun < 40
    rest = place.bring()
    assert rest[-1] == Progress("reading", 40 - begun, 40 - begun) and len(place.names()) == 40


def test_two_folders_have_one_index_and_are_searched_apart(place: Place, tmp_path: Path) -> None:
    fill(place.folder, 3)
    fill(tmp_path / "other", 5)
    place.bring()
    Place(tmp_path / "other", place.index, place.scorer, place.cache).bring()
    assert place.index.count() == 8 and place.index.count([str(place.folder)]) == 3 == len(place.names())
    place.bring()
    assert place.index.count() == 8


def test_a_lasting_failure_keeps_what_was_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(place.folder, 30)
    monkeypatch.setattr(index_update, "WRITTEN_AFTER_S", 0)
    add, calls = PictureIndex.add, []

    def filling_up(self: PictureIndex, *given: object) -> None:
        calls.append(given)
        if len(calls) > 3:
            raise DatasetError("The index of pictures cannot be kept (No space left on device); make room.")
        add(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(PictureIndex, "add", filling_up)
    with pytest.raises(DatasetError, match="No space left"):
        place.bring(at_once=4)
    assert len(place.names()) == 1 + 4 + 4  # at first fewer, so that the encoder need not wait


def test_an_index_that_was_deleted_is_made_of_what_is_remembered(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(place.folder, 8)
    aged(place.folder)
    place.bring()
    encoded: list[int] = []
    encode = ClipScorer.features_of_pixels

    def counted(self: ClipScorer, pixels: torch.Tensor) -> torch.Tensor:
        encoded.append(len(pixels))
        return encode(self, pixels)

    monkeypatch.setattr(ClipScorer, "features_of_pixels", counted)
    shutil.rmtree(place.index.folder)
    with PictureIndex(place.index.folder, place.scorer.identity, place.scorer.width) as anew:
        Place(place.folder, anew, place.scorer, place.cache).bring()
        assert anew.count() == 8 and not encoded
        feature = anew.feature(0)
        assert feature is not None and torch.isfinite(feature).all()
