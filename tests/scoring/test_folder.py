"""A folder is scored whole, whatever lies in it; what was encoded once is found again, and nothing else changes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pseudoword.errors import SettingsError
from pseudoword.scoring import ClipScorer, FeatureCache, Portion, folder_features, pictures_below
from tests.scoring.pictures import clip_folder, fill, hostile, picture, with_prompt

pytest.importorskip("open_clip")


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ClipScorer:
    folder = clip_folder(tmp_path_factory.mktemp("folder"))
    return ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")


def scored(folder: Path, scorer: ClipScorer, cache: Path | None = None) -> Portion:
    """All portions of a folder in one."""
    listing = pictures_below(folder)
    with FeatureCache(cache, scorer.identity) as features:
        portions = list(folder_features(listing.paths, scorer, features))
    return Portion(
        tuple(path for portion in portions for path in portion.paths),
        torch.cat([portion.features for portion in portions if portion.paths] or [torch.zeros(0, 16)]),
        tuple(prompt for portion in portions for prompt in portion.prompts),
        sum(portion.remembered for portion in portions),
        (*listing.unreadable, *(one for portion in portions for one in portion.unreadable)),
    )


def old(folder: Path) -> None:
    """Make all files a day old: younger ones may still change."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (10**9, 10**9))


def encoded_now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each later call of the encoder gets."""
    counts: list[int] = []
    encode = ClipScorer.features_of_pixels

    def counting(self: ClipScorer, pixels: torch.Tensor) -> torch.Tensor:
        counts.append(len(pixels))
        return encode(self, pixels)

    monkeypatch.setattr(ClipScorer, "features_of_pixels", counting)
    return counts


def test_all_pictures_below_come_in_order_with_the_features_that_the_model_gives(
    scorer: ClipScorer, tmp_path: Path
) -> None:
    paths = fill(tmp_path / "pictures", 75)
    found = scored(tmp_path / "pictures", scorer)
    assert found.paths == tuple(map(str, paths)) and not found.unreadable
    expected = scorer.image_features([Image.open(path) for path in paths])
    assert torch.nn.functional.cosine_similarity(found.features, expected).min() > 0.99999


def test_odd_pictures_are_read_and_broken_ones_named(scorer: ClipScorer, tmp_path: Path) -> None:
    sound, broken = hostile(tmp_path)
    found = scored(tmp_path, scorer)
    assert {Path(path).name for path in found.paths} == sound and found.features.isfinite().all()
    assert {Path(one.path).name for one in found.unreadable} == broken
    reasons = {Path(one.path).name: one.reason for one in found.unreadable}
    assert "64 million" in reasons["huge.png"] and "cut off" in reasons["cut-off.png"]
    assert "gone" in reasons["gone.png"] and "no picture" in reasons["text.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have names only on Unix")
def test_a_pipe_that_is_called_a_picture_is_not_waited_for(scorer: ClipScorer, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe" in scored(tmp_path, scorer).unreadable[0].reason


def test_the_second_look_encodes_nothing_and_is_the_same(
    scorer: ClipScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = tmp_path / "pictures", tmp_path / "new" / "cache"
    fill(folder, 40)
    with_prompt(folder / "made.png", "a cat\nSteps: 20, Sampler: Euler, Seed: 1")
    old(folder)
    first, counts = scored(folder, scorer, cache), encoded_now(monkeypatch)
    again = scored(folder, scorer, cache)
    assert (again.paths, again.prompts) == (first.paths, first.prompts) and "a cat" in again.prompts
    assert torch.equal(again.features, first.features) and not counts
    assert (first.remembered, again.remembered) == (0, 41)


def test_moved_and_touched_files_are_known_by_what_they_are_and_changed_ones_are_not(
    scorer: ClipScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = tmp_path / "pictures", tmp_path / "cache"
    paths = fill(folder, 6)
    old(folder)
    scored(folder, scorer, cache)
    counts = encoded_now(monkeypatch)
    paths[0].rename(folder / "moved.png")
    os.utime(paths[1])
    picture(99).save(paths[2])
    assert scored(folder, scorer, cache).remembered == 5 and counts == [1]


def test_features_of_two_models_never_meet(scorer: ClipScorer, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 3)
    other = ClipScorer.builtin()
    assert other.identity != scorer.identity
    first = scored(tmp_path / "pictures", scorer, tmp_path / "cache")
    second = scored(tmp_path / "pictures", other, tmp_path / "cache")
    assert second.remembered == 0 and first.features.shape[1] != second.features.shape[1]
    assert torch.equal(scored(tmp_path / "pictures", scorer, tmp_path / "cache").features, first.features)


def test_the_same_weights_are_the_same_model_wherever_they_lie(scorer: ClipScorer, tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "elsewhere")
    weights = folder / "open_clip_model.safetensors"
    assert ClipScorer.load(folder / "open_clip_config.json", weights).identity == scorer.identity


def test_a_folder_that_changes_meanwhile_loses_only_what_is_gone(scorer: ClipScorer, tmp_path: Path) -> None:
    paths = fill(tmp_path, 200)
    listing = pictures_below(tmp_path)
    with FeatureCache(None, scorer.identity) as cache:
        portions = folder_features(listing.paths, scorer, cache)
        seen = list(next(portions).paths)
        shutil.rmtree(tmp_path / "sub")
        picture(1).save(tmp_path / "9999.png")
        rest = list(portions)
    seen += [path for portion in rest for path in portion.paths]
    lost = [one for portion in rest for one in portion.unreadable]
    assert len(seen) + len(lost) == len(paths) and lost and all("gone" in one.reason for one in lost)


def test_stopping_in_the_middle_keeps_what_is_done_and_leaves_no_thread(scorer: ClipScorer, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 120)
    old(tmp_path / "pictures")
    with FeatureCache(tmp_path / "cache", scorer.identity) as cache:
        portions = folder_features(pictures_below(tmp_path / "pictures").paths, scorer, cache)
        begun = len(next(portions).paths)
        portions.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decoding")]
    assert 0 < begun == scored(tmp_path / "pictures", scorer, tmp_path / "cache").remembered


SPOILED: list[Callable[[Path], Any]] = [
    lambda cache: cache.write_bytes(cache.read_bytes()[: cache.stat().st_size // 2]),
    lambda cache: cache.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000),
    lambda cache: cache.write_bytes(b"".join([cache.read_bytes()[:4096], b"\xff" * 9000])),
    lambda cache: cache.rename(cache.with_name("elsewhere")).with_name("cache").mkdir(),
]


@pytest.mark.parametrize("spoil", SPOILED, ids=range(len(SPOILED)))
def test_whatever_becomes_of_the_cache_the_features_are_the_same(
    spoil: Callable[[Path], Any], scorer: ClipScorer, tmp_path: Path
) -> None:
    fill(tmp_path / "pictures", 20)
    old(tmp_path / "pictures")
    first = scored(tmp_path / "pictures", scorer, tmp_path / "cache")
    spoil(tmp_path / "cache")
    for _ in range(3):
        assert torch.equal(scored(tmp_path / "pictures", scorer, tmp_path / "cache").features, first.features)


def test_bytes_that_changed_inside_a_feature_are_noticed(scorer: ClipScorer, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 4)
    old(tmp_path / "pictures")
    first = scored(tmp_path / "pictures", scorer, tmp_path / "cache")
    with closing(sqlite3.connect(tmp_path / "cache")) as connection:
        connection.execute("UPDATE features SET feature = zeroblob(32) WHERE rowid = 1")
        connection.execute("UPDATE features SET feature = 'text' WHERE rowid = 2")
        connection.commit()
    again = scored(tmp_path / "pictures", scorer, tmp_path / "cache")
    assert torch.equal(again.features, first.features) and again.remembered == 2


def test_a_full_disk_costs_the_cache_and_no_scores(
    scorer: ClipScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "pictures", 90)
    old(tmp_path / "pictures")
    with FeatureCache(tmp_path / "cache", scorer.identity) as cache:
        list(folder_features(pictures_below(tmp_path / "pictures").paths[:30], scorer, cache))
    real = sqlite3.connect

    def nearly_full(path: Path, **options: Any) -> sqlite3.Connection:
        connection = real(path, **options)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")  # for SQLite the same as a full disk
        return connection

    monkeypatch.setattr(sqlite3, "connect", nearly_full)
    with FeatureCache(tmp_path / "cache", scorer.identity) as cache:
        portions = list(folder_features(pictures_below(tmp_path / "pictures").paths, scorer, cache))
    assert sum(len(portion.paths) for portion in portions) == 90
    assert sum(portion.remembered for portion in portions) == 30
    assert cache.problem is not None and "full" in cache.problem
    monkeypatch.undo()
    assert scored(tmp_path / "pictures", scorer, tmp_path / "cache").remembered == 30


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no folder"):
        pictures_below(tmp_path / "none")


@pytest.mark.skipif(os.name == "nt", reason="Windows' names of files have no halves of characters")
def test_names_with_halves_of_characters_are_scored_and_remembered(scorer: ClipScorer, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 1)
    odd = os.fsencode(tmp_path / "pictures") + b"/moon\xff.png"
    os.rename(tmp_path / "pictures" / "0000.png", odd)
    old(tmp_path / "pictures")
    scored(tmp_path / "pictures", scorer, tmp_path / "cache")
    assert scored(tmp_path / "pictures", scorer, tmp_path / "cache").remembered == 1
