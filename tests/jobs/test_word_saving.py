"""Words are saved where they belong, never over others unasked, and every replacement can be undone."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from pseudoword.decoding import load_picture
from pseudoword.embedding import SUFFIXES, Embedding, FileFormat, load_embedding
from pseudoword.errors import EmbeddingFileError, SettingsError
from pseudoword.jobs.host import Host
from pseudoword.jobs.library.word_saving import encoded_word, kept_files, preview_from, save_word, undo_replace
from tests.jobs.small_library import library_host, put, toy

FORMATS: tuple[FileFormat, ...] = tuple(SUFFIXES)
PICTURE = Image.new("RGB", (40, 40), "orange")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "embeddings").mkdir()
    return tmp_path / "embeddings"


@pytest.fixture
def host(folder: Path) -> Host:
    return library_host(folder)


def content(folder: Path) -> dict[str, bytes]:
    """All files in `folder` and below."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(first: Embedding, second: Embedding) -> bool:
    return all(torch.equal(first.vectors[encoder], second.vectors[encoder]) for encoder in first.vectors)


# A new word


@pytest.mark.parametrize("format", FORMATS)
def test_a_word_is_saved_where_it_belongs_and_its_host_is_told(folder: Path, format: FileFormat) -> None:
    told: list[int] = []
    host = library_host(folder, words_changed=lambda: told.append(len(content(folder))))
    path = save_word(host, toy(), format)
    assert path == folder / ("zonk" + SUFFIXES[format][0]) and told == [1]
    assert load_embedding(path).name == "zonk" and same(load_embedding(path), toy())


def test_a_preview_lies_beside_the_file_and_is_drawn_on_a_card(host: Host, folder: Path) -> None:
    save_word(host, toy("one"), "pt", preview=PICTURE)
    assert load_picture(folder / "one.preview.png").size == (40, 40)
    plain, drawn = save_word(host, toy("two"), "card"), save_word(host, toy("three"), "card", preview=PICTURE)
    assert not (folder / "three.preview.png").exists()
    corner = [load_picture(path).getpixel((256, 40)) for path in (plain, drawn)]
    assert corner[1] == (255, 165, 0) != corner[0]


@pytest.mark.parametrize("name", ["../up", "a/b", "", "con", "a b", "x" * 101, "\ud800", "moon\0"])
def test_a_name_that_no_word_can_have_is_refused(host: Host, folder: Path, name: str) -> None:
    for there in (None, put(folder, toy("moon"))):
        before = content(folder.parent)
        with pytest.raises(SettingsError, match="cannot be used|needs a name"):
            save_word(host, replace(toy(), name=name), "pt", there)
        assert content(folder.parent) == before


@pytest.mark.parametrize("format", FORMATS)
def test_a_name_that_is_taken_is_refused(host: Host, folder: Path, format: FileFormat) -> None:
    put(folder, toy("moon"), "pt")
    put(folder, toy("sun"))
    before = content(folder)
    with pytest.raises(SettingsError, match=r"already, moon\.pt; choose another name"):
        save_word(host, toy("Moon"), format)
    with pytest.raises(SettingsError, match=r"already, moon\.pt"):
        save_word(host, toy("moon"), format, folder / "sun.safetensors")
    assert content(folder) == before


def test_a_name_is_taken_wherever_in_the_library_it_is(host: Host, folder: Path) -> None:
    (folder / "cats").mkdir()
    put(folder / "cats", toy("moon"), "pt")
    path = put(folder, toy("sun"))
    for there in (None, path):
        with pytest.raises(SettingsError, match=r"already, moon\.pt"):
            save_word(host, toy("moon"), "safetensors", there)
    assert save_word(host, toy("moon"), "pt", folder / "cats" / "moon.pt") == folder / "cats" / "moon.pt"


def test_what_the_host_refuses_is_refused_but_for_the_word_itself(folder: Path) -> None:
    def refuse(name: str) -> None:
        raise SettingsError(f"{name} is taken elsewhere.")

    host = library_host(folder, refuse_name=refuse)
    path = put(folder, toy("moon"))
    with pytest.raises(SettingsError, match="sun is taken elsewhere"):
        save_word(host, toy("sun"), "pt")
    with pytest.raises(SettingsError, match="sun is taken elsewhere"):
        save_word(host, toy("sun"), "pt", path)
    assert save_word(host, toy("moon"), "pt", path).name == "moon.pt"


def test_nothing_is_overwritten_unasked(host: Host, folder: Path) -> None:
    for name in ("moon.png", "sun.preview.png"):
        (folder / name).write_bytes(b"somebody's")
    before = content(folder)
    with pytest.raises(EmbeddingFileError, match=r"moon\.png already exists"):
        save_word(host, toy("moon"), "card")
    with pytest.raises(EmbeddingFileError, match=r"sun\.preview\.png already exists"):
        save_word(host, toy("sun"), "pt", preview=PICTURE)
    with pytest.raises(EmbeddingFileError, match=r"moon\.png already exists"):
        save_word(host, toy("moon"), "card", put(folder, toy("star")))
    (folder / "star.safetensors").unlink()
    assert content(folder) == before


def test_an_unknown_format_is_refused(host: Host) -> None:
    wrong: FileFormat = "exe"  # type: ignore[assignment]
    with pytest.raises(SettingsError, match="'exe' is no format"):
        save_word(host, toy(), wrong)
    with pytest.raises(SettingsError, match="'exe' is no format"):
        encoded_word(toy(), wrong)


# In the place of another


@pytest.mark.parametrize("name", ["moon", "sun"])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("preview", [None, PICTURE])
@pytest.mark.parametrize("beside", [(), ("moon.preview.png",), ("moon.png", "moon.preview.jpg")])
def test_every_replacement_can_be_undone_to_the_last_byte(
    host: Host, folder: Path, name: str, format: FileFormat, preview: Image.Image | None, beside: tuple[str, ...]
) -> None:
    former = put(folder, toy("moon"), "pt")
    for picture in beside:
        (folder / picture).write_bytes(picture.encode())
    before = content(folder)
    if format == "card" and name == "moon" and "moon.png" in beside:
        with pytest.raises(EmbeddingFileError, match=r"moon\.png already exists"):
            save_word(host, toy(name, seed=1), format, former, preview)
        assert content(folder) == before
        return
    path = save_word(host, toy(name, seed=1), format, former, preview)
    assert path.stem == name and same(load_embedding(path), toy(seed=1)) and len(kept_files(path)) == 1
    words = [other for other in content(folder) if Path(other).suffix in (".pt", ".safetensors", ".bin")]
    assert words == ([] if format == "card" else [path.name])
    assert undo_replace(host, path) == former and content(folder) == before


def test_replacements_are_undone_one_after_another(host: Host, folder: Path) -> None:
    path = put(folder, toy("moon"), "pt")
    states = [(path, content(folder))]
    steps: list[tuple[str, FileFormat]] = [
        ("moon", "pt"),
        ("sun", "pt"),
        ("sun", "safetensors"),
        ("sun", "safetensors"),
        ("moon", "pt"),
        ("moon", "pt"),
    ]
    for seed, (name, format) in enumerate(steps):
        path = save_word(host, toy(name, seed=seed), format, path, PICTURE if seed % 2 else None)
        os.utime(kept_files(path)[-1], ns=(seed + 1, seed + 1))  # file systems' clocks are coarse
        states.append((path, content(folder)))
    for before, files in reversed(states[:-1]):
        path = undo_replace(host, path)
        assert (path, content(folder)) == (before, files)
    with pytest.raises(EmbeddingFileError, match=r"Nothing was kept of moon\.pt"):
        undo_replace(host, path)


def test_preview_pictures_go_along_with_a_new_name(host: Host, folder: Path) -> None:
    path = put(folder, toy("moon"))
    for picture in ("moon.preview.png", "moon.webp", "moonlight.png"):
        (folder / picture).write_bytes(b"")
    save_word(host, toy("sun"), "pt", path)
    found = {name for name in content(folder) if not name.endswith(".former")}
    assert found == {"sun.pt", "sun.preview.png", "sun.webp", "moonlight.png"}


def test_a_word_whose_name_nobody_could_choose_today_is_replaced_under_it(host: Host, folder: Path) -> None:
    path = put(folder, toy("my style (v2)"), "pt")
    assert save_word(host, toy("my style (v2)", seed=1), "safetensors", path).name == "my style (v2).safetensors"
    with pytest.raises(SettingsError, match="cannot be used"):
        save_word(host, toy("my style (v3)"), "pt", folder / "my style (v2).safetensors")


def test_a_card_is_replaced_where_it_is_whatever_its_file_is_called(host: Host, folder: Path) -> None:
    path = put(folder, toy("moon"), "card").rename(folder / "Card of the moon.png")
    assert save_word(host, toy("moon", seed=1), "card", path) == path
    assert save_word(host, toy("sun", seed=1), "card", path) == folder / "sun.png"


def test_a_replacement_that_fails_leaves_everything_as_it_was(host: Host, folder: Path) -> None:
    path = put(folder, toy("moon"), "pt")
    before = content(folder)
    vast = Embedding("sun", {"clip_l": torch.randn(12_000, 32)})
    for word in (vast, replace(vast, name="moon")):
        with pytest.raises(SettingsError, match="too many vectors for a picture card"):
            save_word(host, word, "card", path)
        assert content(folder) == before


def test_names_too_long_to_be_kept_together_are_told(host: Host, folder: Path) -> None:
    path = put(folder, toy("x" * 100 + "y" * 90), "pt")
    before = content(folder)
    with pytest.raises(EmbeddingFileError, match="cannot be kept"):
        save_word(host, toy("z" * 100), "pt", path)
    assert content(folder) == before


def test_a_name_that_was_given_again_meanwhile_is_not_taken_back(host: Host, folder: Path) -> None:
    path = save_word(host, toy("sun"), "pt", put(folder, toy("moon"), "pt"))
    put(folder, toy("moon", seed=5), "pt")
    before = content(folder)
    with pytest.raises(EmbeddingFileError, match=r"moon\.pt is there again"):
        undo_replace(host, path)
    assert content(folder) == before


# Only in the library


def test_files_outside_of_the_library_are_left_alone(host: Host, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "embeddings-of-others").mkdir()
    for other in (tmp_path, tmp_path / "embeddings-of-others"):
        path = put(other, toy("moon"))
        for way in (path, folder / ".." / path.relative_to(tmp_path)):
            with pytest.raises(SettingsError, match="is not in the library"):
                save_word(host, toy("moon", seed=1), "safetensors", way)
            with pytest.raises(SettingsError, match="is not in the library"):
                undo_replace(host, way)
    assert not list(tmp_path.rglob("*.former"))


def test_folders_that_the_library_links_to_belong_to_it(host: Host, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    put(tmp_path / "elsewhere", toy("moon"))
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    assert save_word(host, toy("moon", seed=1), "safetensors", folder / "more" / "moon.safetensors").exists()


def test_a_library_may_be_lone_files(folder: Path, tmp_path: Path) -> None:
    own, other = put(folder, toy("moon")), put(folder, toy("sun"))
    host = library_host(folder, library=lambda: [own], word_place=lambda name: tmp_path / "new" / f"{name}.pt")
    assert save_word(host, toy("moon", seed=1), "safetensors", own) == own
    with pytest.raises(SettingsError, match="is not in the library"):
        save_word(host, toy("sun", seed=1), "safetensors", other)
    assert save_word(host, toy("star"), "safetensors") == tmp_path / "new" / "star.safetensors"


# Pictures, and files that are not kept


def claiming(width: int, height: int) -> bytes:
    """A PNG of so many pixels, of which there are none."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b""))]
    packed = [struct.pack(">I", len(data)) + k + data + struct.pack(">I", zlib.crc32(k + data)) for k, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"text", "no picture"), (claiming(50_000, 50_000), "million"), (claiming(50, 50), "broken or cut off")],
)
def test_a_preview_that_is_no_picture_is_told_in_one_sentence(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SettingsError, match=reason) as caught:
        preview_from(tmp_path / "a.png")
    assert str(caught.value).startswith("The preview a.png cannot be used: ") and "\n" not in str(caught.value)


def test_a_preview_is_made_small(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1500)).save(tmp_path / "a.png")
    assert preview_from(tmp_path / "a.png").size == (1024, 512)


@pytest.mark.parametrize("format", FORMATS)
def test_a_word_is_encoded_without_being_kept(tmp_path: Path, format: FileFormat) -> None:
    name, data = encoded_word(toy("moon"), format, PICTURE if format == "card" else None)
    assert name == "moon" + SUFFIXES[format][0]
    (tmp_path / name).write_bytes(data)
    assert load_embedding(tmp_path / name).name == "moon" and same(load_embedding(tmp_path / name), toy())
