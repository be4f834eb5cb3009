"""A folder of embeddings as the WebUI has one: names, sub-folders, previews beside words, broken files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from pseudoword.embedding import EmbeddingLibrary, EmbeddingMetadata, load_embedding, save_embedding
from pseudoword.embedding.library import MAX_DEPTH, embedding_files
from pseudoword.errors import EmbeddingFileError, SettingsError
from tests.embedding import words


def test_words_are_found_in_sub_folders_in_any_case_and_read_under_the_files_name(tmp_path: Path) -> None:
    save_embedding(words.sd1("stored"), tmp_path / "people" / "old" / "Ada", "pt")
    save_embedding(words.sdxl("moon"), tmp_path / "moon")
    library = EmbeddingLibrary(tmp_path)
    assert library.names() == list(library) == ["Ada", "moon"] and len(library) == 2
    assert "ADA" in library and "stored" not in library and 3 not in library
    assert library.path("aDa") == tmp_path / "people" / "old" / "Ada.pt"
    word = library.load("ada")
    assert word.name == "Ada" and words.same_vectors(word, words.sd1())
    assert not library.broken


def test_a_card_is_called_as_it_says_inside(tmp_path: Path) -> None:
    save_embedding(words.sd1("Moon"), tmp_path / "file", "card")
    assert EmbeddingLibrary(tmp_path).names() == ["Moon"]


def test_a_folder_that_does_not_exist_is_an_empty_library_until_something_is_saved(tmp_path: Path) -> None:
    library = EmbeddingLibrary(tmp_path / "later")
    assert library.names() == [] and not (tmp_path / "later").exists()
    path = library.save(words.sd1("moon"))
    assert path == tmp_path / "later" / "moon.safetensors" and library.names() == ["moon"]


def test_an_unknown_word_is_a_clear_error(tmp_path: Path) -> None:
    for ask in (EmbeddingLibrary(tmp_path).path, EmbeddingLibrary(tmp_path).load):
        with pytest.raises(EmbeddingFileError, match="no embedding 'nobody'"):
            ask("nobody")


def test_previews_hidden_files_and_other_files_are_not_words(tmp_path: Path) -> None:
    save_embedding(words.sd1("moon"), tmp_path / "moon")
    for name in ("moon.png", "moon.preview.png", "holiday.png", ".hidden.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    save_embedding(words.sd1("other"), tmp_path / "other.preview", "card")
    (tmp_path / ".moon.safetensors").write_bytes(b"half")
    (tmp_path / "readme.txt").write_text("hello")
    library = EmbeddingLibrary(tmp_path)
    assert library.names() == ["moon"] and not library.broken


def test_a_broken_file_is_listed_with_its_reason_and_does_no_harm(tmp_path: Path) -> None:
    save_embedding(words.sd1("moon"), tmp_path / "moon")
    (tmp_path / "bad.pt").write_bytes(b"PK\3\4")
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "gone.pt").symlink_to(tmp_path / "nowhere")
    library = EmbeddingLibrary(tmp_path)
    assert library.names() == ["moon"]
    assert {path.name for path in library.broken} == {"bad.pt", "empty.safetensors", "gone.pt"}
    assert all(path.name in reason for path, reason in library.broken.items())
    with pytest.raises(TypeError):
        library.broken[tmp_path] = ""  # type: ignore[index]


def test_of_two_files_with_one_name_the_first_is_used_and_the_other_listed(tmp_path: Path) -> None:
    save_embedding(words.sd1("moon"), tmp_path / "moon")
    save_embedding(words.sd1("moon"), tmp_path / "sub" / "MOON", "pt")
    library = EmbeddingLibrary(tmp_path)
    assert library.path("moon") == tmp_path / "moon.safetensors"
    assert "same name as moon.safetensors" in library.broken[tmp_path / "sub" / "MOON.pt"]


def test_refresh_notices_new_changed_and_removed_files(tmp_path: Path) -> None:
    library = EmbeddingLibrary(tmp_path)
    path = save_embedding(words.sd1("moon"), tmp_path / "moon")
    assert library.names() == []
    library.refresh()
    assert library.names() == ["moon"]
    path.write_bytes(b"broken")
    library.refresh()
    assert library.names() == [] and list(library.broken) == [path]
    path.unlink()
    library.refresh()
    assert not library.broken


def test_refresh_reads_only_what_changed(tmp_path: Path) -> None:
    path = save_embedding(words.sd1("moon"), tmp_path / "moon")
    library, status = EmbeddingLibrary(tmp_path), path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    library.refresh()
    assert library.names() == ["moon"]
    os.utime(path)
    library.refresh()
    assert library.names() == []


def test_saving_checks_the_name_first(tmp_path: Path) -> None:
    library = EmbeddingLibrary(tmp_path)
    for name in ("../evil", "a/b", "con", ""):
        with pytest.raises(SettingsError, match="cannot be used for an embedding|needs a name"):
            library.save(words.sd1(name))
    assert not os.listdir(tmp_path)


def test_a_word_never_gets_a_double(tmp_path: Path) -> None:
    save_embedding(words.sd1(), tmp_path / "sub" / "moon", "pt")
    library = EmbeddingLibrary(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(EmbeddingFileError, match="MOON already exists in moon.pt"):
            library.save(words.sd1("MOON"), overwrite=overwrite)


def test_a_word_is_overwritten_only_when_asked(tmp_path: Path) -> None:
    library = EmbeddingLibrary(tmp_path)
    path = library.save(words.sd1("moon"))
    with pytest.raises(EmbeddingFileError, match="already exists"):
        library.save(words.sdxl("moon"))
    library.save(words.sdxl("moon"), overwrite=True)
    assert words.same_vectors(library.load("moon"), words.sdxl()) and os.listdir(tmp_path) == [path.name]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    save_embedding(words.sd1("moon"), tmp_path / "real" / "moon")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "around").symlink_to(tmp_path / "library")
    library = EmbeddingLibrary(tmp_path / "library")
    assert library.names() == ["moon"] and not library.broken


def test_folders_that_cannot_be_looked_into_are_told_and_stop_nothing(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (MAX_DEPTH + 1))
    deep.mkdir(parents=True)
    for folder in (deep.parent, deep):
        save_embedding(words.sd1("moon"), folder / "moon")
    told: list[OSError] = []
    assert list(embedding_files(tmp_path, told.append)) == [deep.parent / "moon.safetensors"]
    assert list(embedding_files(tmp_path / "none", told.append)) == list(embedding_files(tmp_path / "none")) == []
    assert [(error.filename, error.strerror) for error in told] == [
        (str(deep.parent), "its folders are nested more than 100 deep"),
        (str(tmp_path / "none"), "No such file or directory"),
    ]


def test_every_format_can_be_saved_into_a_library(tmp_path: Path) -> None:
    library = EmbeddingLibrary(tmp_path)
    library.save(words.sd1("a"), "pt")
    library.save(words.sd1("b"), "diffusers")
    library.save(words.sd1("c"), "card", preview=Image.new("RGB", (32, 32), "red"))
    assert sorted(os.listdir(tmp_path)) == ["a.pt", "b.bin", "c.png"] and library.names() == ["a", "b", "c"]


def test_what_a_file_says_about_its_word_comes_through_the_library(tmp_path: Path) -> None:
    EmbeddingLibrary(tmp_path).save(words.sd1("moon"))
    assert EmbeddingLibrary(tmp_path).load("moon").metadata == load_embedding(tmp_path / "moon.safetensors").metadata
    assert EmbeddingLibrary(tmp_path).load("moon").metadata != EmbeddingMetadata()
