"""Embeddings stored in 16-bit numbers: half the size, read by all, with the values that fp16 has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pseudoword.embedding import Embedding, FileFormat, load_embedding, rounded_to_fp16, save_embedding
from pseudoword.errors import EmbeddingFileError, SettingsError
from tests.embedding import words
from tests.embedding.test_writing import FORMATS, header

WORDS = pytest.mark.parametrize("word", [words.sd1(count=9), words.sdxl(count=9), words.sd2()], ids=["1", "xl", "2"])


def size(word: Embedding, path: Path, format: FileFormat, half: bool) -> int:
    return save_embedding(word, path, format, half=half, overwrite=True).stat().st_size


@WORDS
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
def test_the_numbers_of_a_file_take_half_the_room(word: Embedding, suffix: str, tmp_path: Path) -> None:
    formats: dict[str, FileFormat] = {".safetensors": "safetensors", ".pt": "pt", ".bin": "diffusers"}
    path, numbers = tmp_path / f"w{suffix}", sum(tensor.numel() for tensor in word.vectors.values())
    whole, half = (size(word, path, formats[suffix], is_half) for is_half in (False, True))
    assert abs(whole - half - 2 * numbers) <= 128  # zip files align their parts


@WORDS
@pytest.mark.parametrize("format", FORMATS)
def test_it_comes_back_rounded_as_torch_does_and_is_the_same_when_saved_again(
    word: Embedding, format: FileFormat, tmp_path: Path
) -> None:
    path = save_embedding(word, tmp_path / "moon-cat", format, half=True)
    found = load_embedding(path)
    for encoder, tensor in word.vectors.items():
        assert torch.equal(found.vectors[encoder], tensor.half().float())
        assert not torch.equal(found.vectors[encoder], tensor)
    assert found.name == "moon-cat"
    again = save_embedding(Embedding("moon-cat", found.vectors, word.metadata), tmp_path / "again", format, half=True)
    assert again.read_bytes() == path.read_bytes()


def test_a_card_is_only_rounded(tmp_path: Path) -> None:
    half = save_embedding(words.sd1(), tmp_path / "half", "card", half=True)
    whole = save_embedding(rounded_to_fp16(words.sd1()), tmp_path / "whole", "card")
    assert half.read_bytes() == whole.read_bytes()


def test_the_numbers_are_16_bits_for_other_readers_too(tmp_path: Path) -> None:
    rounded = rounded_to_fp16(words.sdxl())
    for key, tensor in load_file(save_embedding(words.sdxl(), tmp_path / "a", half=True)).items():
        assert tensor.dtype == torch.float16 and torch.equal(tensor.float(), rounded.vectors[key])
    formats: list[FileFormat] = ["pt", "diffusers"]
    for format in formats:
        content = torch.load(save_embedding(words.sd1(), tmp_path / "b", format, half=True), weights_only=True)
        tensor = content["string_to_param"]["*"] if format == "pt" else content["moon-cat"]
        assert tensor.dtype == torch.float16 and torch.equal(tensor.float(), words.sd1().vectors["clip_l"].half())


def test_the_hash_is_that_of_the_rounded_word_in_32_bits_and_finds_damage(tmp_path: Path) -> None:
    path = save_embedding(words.sd1(), tmp_path / "half", half=True)
    same = save_embedding(rounded_to_fp16(words.sd1()), tmp_path / "whole")
    assert header(path) == header(same)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(EmbeddingFileError, match="do not fit the hash"):
        load_embedding(path)


@pytest.mark.parametrize("format", FORMATS)
def test_what_fp16_cannot_hold_is_refused_and_nothing_is_written(format: FileFormat, tmp_path: Path) -> None:
    vast = Embedding("a", {"clip_l": 70_000 * torch.ones(1, 3)})
    with pytest.raises(SettingsError, match="a has values up to 70000, and fp16 ends at 65504; keep it as it is"):
        save_embedding(vast, tmp_path / "a", format, half=True)
    assert not list(tmp_path.iterdir())


def test_rounding_gives_what_fp16_holds_and_changes_nothing_a_second_time() -> None:
    rows = torch.tensor([[1.0, 0.1, 65504.0, -1e-8, 6.1e-5, 2**-24]])
    found = rounded_to_fp16(Embedding("a", {"clip_l": rows})).vectors["clip_l"]
    assert found.dtype == torch.float32 and found[0].tolist() == [1.0, 0.0999755859375, 65504.0, -0.0, *found[0, 4:]]
    assert torch.equal(found, rows.half().float()) and not torch.equal(found, rows)
    assert torch.equal(rounded_to_fp16(Embedding("a", {"clip_l": found})).vectors["clip_l"], found)
