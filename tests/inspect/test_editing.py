"""Edits of an embedding, and that no edit that is saved is lost for good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pseudoword.embedding import (
    SUFFIXES,
    Embedding,
    EmbeddingLibrary,
    EmbeddingMetadata,
    FileFormat,
    load_embedding,
    save_embedding,
)
from pseudoword.errors import EmbeddingFileError, SettingsError
from pseudoword.inspect import editing
from pseudoword.inspect.editing import (
    former_files,
    renamed,
    save_edited,
    undo,
    with_metadata,
    with_places,
    without_metadata,
)
from tests.embedding import words
from tests.embedding.test_other_programs import a1111_finds, needs

# Vectors


def test_vectors_are_put_in_another_order_and_dropped_for_all_encoders() -> None:
    word = words.sdxl(count=3)
    found = with_places(word, [2, 0])
    for encoder, rows in word.vectors.items():
        assert torch.equal(found.vectors[encoder], rows[[2, 0]])
    assert found.metadata == word.metadata and word.vector_count == 3
    assert words.same_vectors(with_places(word, [-1]), with_places(word, [2]))


@given(st.permutations(range(5)))
def test_an_order_and_its_inverse_leave_all_as_it_was(order: list[int]) -> None:
    word = words.sd1(count=5)
    assert words.same_vectors(with_places(with_places(word, order), [order.index(place) for place in range(5)]), word)


@pytest.mark.parametrize(
    ("places", "wanted"),
    [
        ([3], "moon-cat has no vector 3; its 3 are numbered 0 to 2"),
        ([-4], "has no vector -4"),
        ([0, 1, 0], "Vector 0 of moon-cat is named twice"),
        ([1, -2], "Vector 1 of moon-cat is named twice"),
        ([], "No vector of moon-cat would be left"),
    ],
)
def test_places_that_are_not_there_are_refused(places: list[int], wanted: str) -> None:
    with pytest.raises(SettingsError, match=wanted):
        with_places(words.sd1(), places)


# Name and metadata


def test_a_new_name_goes_with_its_title_and_trigger_phrase() -> None:
    word = with_metadata(words.sd1("moon"), title="moon", trigger_phrase="moon")
    found = renamed(word, "sun")
    assert (found.name, found.metadata.title, found.metadata.trigger_phrase) == ("sun", "sun", "sun")
    assert renamed(words.sd1(), "sun").metadata.title == "A cat of the moon"
    with pytest.raises(SettingsError, match="cannot be used"):
        renamed(word, "a/b")


def test_a_file_keeps_nothing_of_a_former_name(tmp_path: Path) -> None:
    word = load_embedding(save_embedding(Embedding("moon", words.sd1().vectors), tmp_path / "moon"))
    path = save_edited(renamed(word, "sun"), tmp_path / "sun")
    assert b"moon" not in path.read_bytes() and load_embedding(path).name == "sun"


def test_metadata_is_set_and_stripped() -> None:
    word = with_metadata(words.sd1(), author="Bo", steps=7, clip_skip=None)
    assert (word.metadata.author, word.metadata.steps, word.metadata.clip_skip) == ("Bo", 7, None)
    assert word.metadata.recipe == words.FACTS.recipe and word.metadata.extra == words.FACTS.extra
    assert without_metadata(word).metadata == EmbeddingMetadata()
    assert words.same_vectors(without_metadata(word), word)


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"autor": "Bo"}, "no fact 'autor' about an embedding; choose of architecture, title, .*, steps, clip_skip"),
        ({"extra": "x"}, "no fact 'extra'"),
        ({"steps": "7"}, "steps is '7'; give a whole number"),
        ({"steps": -1}, "steps is '-1'"),
        ({"steps": True}, "steps is 'True'"),
        ({"title": None}, "title is 'None'; give a text"),
    ],
)
def test_facts_that_make_no_sense_are_refused(facts: dict[str, str | int | None], wanted: str) -> None:
    with pytest.raises(SettingsError, match=wanted):
        with_metadata(words.sd1(), **facts)


# Saving


def test_nothing_is_overwritten_without_being_told(tmp_path: Path) -> None:
    path = save_edited(words.sd1("moon"), tmp_path / "moon")
    before = path.read_bytes()
    with pytest.raises(EmbeddingFileError, match="already exists"):
        save_edited(words.sdxl("moon"), tmp_path / "moon")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["moon.safetensors"]


@pytest.mark.parametrize("format", ["safetensors", "pt", "diffusers", "card"])
def test_what_was_overwritten_comes_back_edit_after_edit(format: FileFormat, tmp_path: Path) -> None:
    path = save_edited(words.sd1("moon", count=1), tmp_path / "moon", format)
    contents = [path.read_bytes()]
    for count in range(2, 13):  # 10 comes after 9
        assert save_edited(words.sd1("moon", count), path, format, overwrite=True) == path
        contents.append(path.read_bytes())
    assert load_embedding(path).vector_count == 12
    assert [file.read_bytes() for file in former_files(path)] == contents[:-1]
    for content in reversed(contents[:-1]):
        assert undo(path) == path and path.read_bytes() == content
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(EmbeddingFileError, match=f"Nothing was kept of {path.name}"):
        undo(path)


def test_numbers_go_on_after_the_highest(tmp_path: Path) -> None:
    path = save_edited(words.sd1("moon", count=1), tmp_path / "moon")
    for count in (2, 3, 4):
        save_edited(words.sd1("moon", count), path, overwrite=True)
    assert [file.name for file in former_files(path)] == [
        "moon.safetensors.former",
        "moon.safetensors.2.former",
        "moon.safetensors.3.former",
    ]
    (tmp_path / "moon.safetensors.former").unlink()
    save_edited(words.sd1("moon", 5), path, overwrite=True)
    assert [load_embedding(file).vector_count for file in former_files(path)] == [2, 3, 4]
    assert former_files(path)[-1].name == "moon.safetensors.4.former"
    assert former_files(tmp_path / "nowhere" / "moon.pt") == []


def test_nothing_is_kept_if_not_wanted(tmp_path: Path) -> None:
    path = save_edited(words.sd1("moon"), tmp_path / "moon")
    save_edited(words.sdxl("moon"), path, overwrite=True, keep_former=False)
    assert os.listdir(tmp_path) == ["moon.safetensors"] and load_embedding(path).architecture == "sdxl"
    assert save_edited(words.sd1("new"), tmp_path / "new", overwrite=True).name == "new.safetensors"


def test_an_edit_is_stored_in_16_bits_if_wanted_and_comes_back_in_32(tmp_path: Path) -> None:
    path = save_edited(words.sd1("moon"), tmp_path / "moon")
    before = path.read_bytes()
    save_edited(words.sd1("moon"), path, overwrite=True, half=True)
    assert path.stat().st_size < 0.7 * len(before)
    assert undo(path).read_bytes() == before


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_edited(words.sd1("moon"), tmp_path / "moon")
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="needs .pt"):
        save_edited(words.sd1("moon"), path, "pt", overwrite=True)
    with pytest.raises(SettingsError, match="no format of embedding files"):
        save_edited(words.sd1("moon"), path, "gif", overwrite=True)  # type: ignore[arg-type]

    def full(*arguments: object, **options: object) -> None:
        raise EmbeddingFileError("x cannot be written (no space left); nothing was changed.")

    monkeypatch.setattr(editing, "save_embedding", full)
    with pytest.raises(EmbeddingFileError, match="no space left"):
        save_edited(words.sdxl("moon"), path, overwrite=True)
    monkeypatch.setattr(editing, "write_whole", full)
    with pytest.raises(EmbeddingFileError, match="not changed; it cannot be kept as moon.safetensors.former: x"):
        save_edited(words.sdxl("moon"), path, overwrite=True)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["moon.safetensors"]


def test_what_cannot_be_moved_back_says_so(tmp_path: Path) -> None:
    path = save_edited(words.sd1("moon"), tmp_path / "moon")
    save_edited(words.sd1("moon"), path, overwrite=True)
    path.unlink()
    (path / "inside").mkdir(parents=True)
    with pytest.raises(EmbeddingFileError, match=r"moon.safetensors cannot be brought back \("):
        undo(path)
    assert former_files(path)


def test_names_that_look_alike_are_not_mixed_up(tmp_path: Path) -> None:
    for name in ("moon", "moon.safetensors.2", "m+on"):
        path = save_edited(words.sd1(count=1), tmp_path / f"{name}.safetensors")
        save_edited(words.sd1(count=2), path, overwrite=True)
        assert len(former_files(path)) == 1
    undo(tmp_path / "moon.safetensors")
    assert not former_files(tmp_path / "moon.safetensors")
    assert len(former_files(tmp_path / "moon.safetensors.2.safetensors")) == 1


def edited_folder(folder: Path) -> Path:
    """One word of each format, each with a former file of another number of vectors."""
    for format in SUFFIXES:
        for count in (3, 1):
            save_edited(words.sd1(f"{format}-word", count), folder / f"{format}-word", format, overwrite=True)
    return folder


def test_a_library_does_not_take_former_files_for_words(tmp_path: Path) -> None:
    library = EmbeddingLibrary(edited_folder(tmp_path))
    assert len(os.listdir(tmp_path)) == 8 and not library.broken
    assert library.names() == ["card-word", "diffusers-word", "pt-word", "safetensors-word"]
    assert {library.load(name).vector_count for name in library} == {1}


@needs("PSEUDOWORD_WEBUI_DIR")
def test_the_webui_does_not_take_former_files_for_words(tmp_path: Path) -> None:
    found = a1111_finds(edited_folder(tmp_path / "words"), 768, tmp_path / "result")
    assert {name: entry["count"] for name, entry in found.items()} == {
        "card-word": 1,
        "diffusers-word": 1,
        "pt-word": 1,
        "safetensors-word": 1,
    }


def test_a_card_gets_the_picture_that_is_given(tmp_path: Path) -> None:
    path = save_edited(words.sd1(), tmp_path / "a", "card")
    save_edited(words.sd1(), path, "card", overwrite=True, preview=Image.new("RGB", (64, 64), "red"))
    assert path.read_bytes() != former_files(path)[0].read_bytes()
