"""The table of a library: what each file is, in every format, in whatever folders."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from pseudoword.embedding import EmbeddingLibrary, load_embedding, save_embedding
from pseudoword.embedding.library import MAX_DEPTH
from pseudoword.inspect.library_row import ModelShape
from pseudoword.inspect.library_table import scan
from tests.embedding import words
from tests.inspect.libraries import by_path, many_words, word

ONE = words.vectors(2, 768, seed=3)
A1111 = {"string_to_token": {"*": 265}, "string_to_param": {"*": ONE}, "name": "moon", "step": 250}
RUNS_A_PROGRAM = b"cos\nsystem\n(X\x04\x00\x00\x00truetR"


# --- what a row says --------------------------------------------------------------------------------------------------


def test_a_row_says_what_its_file_holds(tmp_path: Path) -> None:
    path = save_embedding(words.sd1("stored", count=3), tmp_path / "people" / "Ada", "pt")
    (row,) = scan([tmp_path]).rows
    assert (row.name, row.path, row.folder, row.file) == ("Ada", "people/Ada.pt", str(tmp_path), path)
    assert (row.problem, row.kind, row.architecture, row.vector_count) == ("", "A1111 pt", "sd1", 3)
    assert (row.widths, row.steps, row.trained_on, row.clip_skip) == (
        (("clip_l", 768),),
        1200,
        "model-v1.safetensors",
        1,
    )
    norms = load_embedding(path).vectors["clip_l"].norm(dim=1)
    assert (row.mean_norm, row.largest_norm) == pytest.approx((float(norms.mean()), float(norms.max())), rel=1e-6)
    assert row.size_bytes == path.stat().st_size and row.changed_ns == path.stat().st_mtime_ns
    assert row.short_hash == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert (row.pickle, row.unsafe_pickle, row.group, row.duplicate) == (True, False, None, None)
    assert len(row.signature) == 768 * 2


def test_sdxl_has_the_widths_and_norms_of_both_encoders(tmp_path: Path) -> None:
    word = load_embedding(save_embedding(words.sdxl(), tmp_path / "moon"))
    (row,) = scan([tmp_path]).rows
    assert (row.architecture, row.widths) == ("sdxl", (("clip_g", 1280), ("clip_l", 768)))
    assert row.largest_norm == pytest.approx(float(word.vectors["clip_g"].norm(dim=1).max()), rel=1e-6)
    assert len(row.signature) == 4096


def test_the_format_is_read_from_the_content_and_not_from_the_suffix(tmp_path: Path) -> None:
    torch.save(A1111, tmp_path / "a1111.bin")
    torch.save(A1111, tmp_path / "old-a1111.pt", _use_new_zipfile_serialization=False)
    torch.save({"<moon>": ONE}, tmp_path / "diffusers.pt")
    torch.save({"clip_l": ONE, "clip_g": words.vectors(2, 1280)}, tmp_path / "sdxl.pt")
    torch.save(ONE, tmp_path / "bare.pt")
    word(tmp_path, "plain", ONE).rename(tmp_path / "plain.bin")
    word(tmp_path, "card", ONE, "card")
    (tmp_path / "text.pt").write_text("hello world")
    kinds = {path: (row.kind, row.pickle) for path, row in by_path(scan([tmp_path])).items()}
    assert kinds == {
        "a1111.bin": ("A1111 pt", True),
        "old-a1111.pt": ("A1111 pt", True),
        "diffusers.pt": ("diffusers", True),
        "sdxl.pt": ("torch", True),
        "bare.pt": ("torch", True),
        "plain.bin": ("safetensors", False),
        "card.png": ("picture card", False),
        "text.pt": ("unknown", False),
    }


def test_names_are_those_of_the_library(tmp_path: Path) -> None:
    save_embedding(words.sd1("inside"), tmp_path / "outside", "card")
    save_embedding(words.sd1("inside-too"), tmp_path / "sub" / "file.name", "pt")
    assert sorted(row.name for row in scan([tmp_path]).rows) == EmbeddingLibrary(tmp_path).names()


def test_previews_are_found_where_the_webui_finds_them(tmp_path: Path) -> None:
    wanted = {"a": "a.png", "b": "b.preview.png", "c": "c.jpg", "d": "d.preview.webp", "e": "e.gif", "f": None}
    for name, preview in wanted.items():
        word(tmp_path, name, ONE, "pt")
        if preview is not None:
            Image.new("RGB", (8, 8)).save(tmp_path / preview)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpeg")  # png comes first
    (tmp_path / "f.png").mkdir()
    word(tmp_path, "card", words.vectors(1, 768), "card")
    table = scan([tmp_path])
    found = {row.name: row.preview for row in table.rows}
    expected = {name: None if preview is None else tmp_path / preview for name, preview in wanted.items()}
    assert found == {**expected, "card": tmp_path / "card.png"}


def test_what_fits_a_model(tmp_path: Path) -> None:
    for name, embedding in {"one": words.sd1(), "two": words.sd2(), "xl": words.sdxl()}.items():
        save_embedding(embedding, tmp_path / name)
    word(tmp_path, "tiny", words.vectors(1, 64))
    (tmp_path / "broken.pt").touch()
    models = [ModelShape("sd1", 768), ModelShape("sd2", 1024), ModelShape("sdxl", 2048), ModelShape("sd1", 64)]
    rows = scan([tmp_path]).rows
    fitting = [[row.name for row in rows if row.fits(model)] for model in models]
    assert fitting == [["one"], ["two"], ["xl"], ["tiny"]]


def test_pictures_without_an_embedding_are_no_rows(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "holiday.png")
    assert scan([tmp_path]).rows == ()


def test_a_long_text_about_the_checkpoint_is_cut(tmp_path: Path) -> None:
    torch.save({**A1111, "sd_checkpoint_name": "m" * 100_000}, tmp_path / "w.pt")
    (row,) = scan([tmp_path]).rows
    assert len(row.trained_on) == 200 and row.trained_on.endswith("m…")


def test_vectors_as_large_as_numbers_get_have_norms(tmp_path: Path) -> None:
    word(tmp_path, "large", torch.full((2, 768), 3e38))
    word(tmp_path, "zero", torch.zeros(2, 768))
    large, zero = scan([tmp_path]).rows
    assert large.largest_norm == pytest.approx(3e38 * 768**0.5, rel=1e-6)
    assert (zero.mean_norm, zero.problem, zero.signature) == (0.0, "", b"\0" * 1536)


# --- folders ----------------------------------------------------------------------------------------------------------


def test_several_folders_are_one_table_and_a_file_in_two_of_them_is_one_row(tmp_path: Path) -> None:
    word(tmp_path / "a", "moon", ONE)
    word(tmp_path / "a" / "sub", "sun", words.vectors(1, 768))
    word(tmp_path / "b", "star", words.vectors(1, 768, seed=9))
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a" / "sub")
    table = scan([tmp_path / "a", tmp_path / "b", tmp_path / "a" / "sub", tmp_path / "b" / ".." / "a"])
    assert [(Path(row.folder).name, row.path) for row in table.rows] == [
        ("a", "moon.safetensors"),
        ("a", "sub/sun.safetensors"),
        ("b", "star.safetensors"),
    ]
    assert not table.groups and table.complete


def test_folders_in_a_loop_are_looked_into_once(tmp_path: Path) -> None:
    word(tmp_path, "moon", ONE)
    (tmp_path / "around").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    assert [row.name for row in scan([tmp_path]).rows] == ["moon"]


def test_a_file_can_be_named_in_the_place_of_a_folder(tmp_path: Path) -> None:
    named = word(tmp_path, "moon", ONE)
    word(tmp_path, "sun", words.vectors(1, 16, seed=9))
    (row,) = scan([named]).rows
    assert (row.path, Path(row.folder)) == ("moon.safetensors", tmp_path)
    assert len(scan([named, tmp_path]).rows) == 2


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    table = scan([tmp_path / "none", tmp_path / "file"])
    assert table.rows == () and table.complete
    assert "none cannot be looked into (No such file or directory)" in table.skipped[0]
    assert "file cannot be looked into (Not a directory)" in table.skipped[1]


def test_a_folder_without_permission_is_named_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word(tmp_path / "closed", "moon", ONE)
    word(tmp_path / "open", "sun", ONE)
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # the tests may be root's, who has every permission
    table = scan([tmp_path])
    assert [row.name for row in table.rows] == ["sun"]
    assert table.skipped == (
        f"The folder {tmp_path / 'closed'} cannot be looked into (Permission denied); what lies in it is missing here.",
    )


def test_folders_nested_without_end_are_not_followed_to_it(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(MAX_DEPTH + 200):
        deep /= "d"
    deep.mkdir(parents=True)
    word(tmp_path / "d", "near", ONE)
    table = scan([tmp_path])
    assert [row.name for row in table.rows] == ["near"] and "nested more than 100 deep" in table.skipped[0]


# --- progress, stopping, memory ---------------------------------------------------------------------------------------


def test_progress_is_told_from_none_to_all(tmp_path: Path) -> None:
    many_words(tmp_path, 3)
    told: list[tuple[int, int]] = []
    scan([tmp_path], on_progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_stopped_table_has_the_rows_so_far_and_says_that_it_is_not_complete(tmp_path: Path) -> None:
    many_words(tmp_path, 5)
    told: list[int] = []
    table = scan([tmp_path], on_progress=lambda done, total: told.append(done), should_stop=lambda: told[-1:] == [2])
    assert len(table.rows) == 2 and not table.complete
    assert not scan([tmp_path], should_stop=lambda: True).complete


def test_vectors_are_not_kept(tmp_path: Path) -> None:
    for seed in range(40):
        word(tmp_path, f"word-{seed}", words.vectors(512, 768, seed))  # 60 MB in all
    with words.soon_and_in_little_memory(seconds=10, megabytes=25):
        assert len(scan([tmp_path]).rows) == 40
