"""What is written: whole files, the same each time, with what is known about the word."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from pseudoword.embedding import Embedding, EmbeddingMetadata, FileFormat, load_embedding, save_embedding
from pseudoword.errors import EmbeddingFileError, SettingsError
from tests.embedding import words

FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
NOT_ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")


def header(path: Path) -> dict[str, str]:
    """The metadata as the safetensors package reads it."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("word", [words.sd1(), words.sdxl(), words.sd2()], ids=["sd1", "sdxl", "sd2"])
def test_vectors_come_back_to_the_bit_in_every_format(format: FileFormat, word: Embedding, tmp_path: Path) -> None:
    assert words.same_vectors(load_embedding(save_embedding(word, tmp_path / "moon-cat", format)), word)


@pytest.mark.parametrize("format", ["safetensors", "pt", "card"])
def test_facts_come_back(format: FileFormat, tmp_path: Path) -> None:
    found = load_embedding(save_embedding(words.sd1(), tmp_path / "file", format))
    expected = replace(words.FACTS, architecture="stable-diffusion-v1/textual-inversion", trigger_phrase="moon-cat")
    assert found.name == "moon-cat" and found.metadata == expected


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_word_gives_the_same_bytes(format: FileFormat, tmp_path: Path) -> None:
    first = save_embedding(words.sdxl(), tmp_path / "a", format).read_bytes()
    assert save_embedding(words.sdxl(), tmp_path / "b", format).read_bytes() == first


def test_safetensors_carry_modelspecs_metadata(tmp_path: Path) -> None:
    path = save_embedding(words.sd1(), tmp_path / "moon-cat")
    facts = header(path)
    assert facts["modelspec.sai_model_spec"] == "1.0.1"
    assert facts["modelspec.architecture"] == "stable-diffusion-v1/textual-inversion"
    assert facts["modelspec.implementation"] == "diffusers"
    assert facts["modelspec.title"] == "A cat of the moon"
    assert facts["modelspec.trigger_phrase"] == "moon-cat"
    assert facts["modelspec.date"] == "2026-11-20T12:00:00Z"
    assert facts["modelspec.resolution"] == "512x512"
    assert facts["pseudoword.steps"] == "1200" and facts["someone.else"] == "kept"
    data = path.read_bytes()
    content = data[8 + int.from_bytes(data[:8], "little") :]
    assert facts["modelspec.hash_sha256"] == "0x" + hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("word", "architecture"),
    [
        (words.sdxl(), "stable-diffusion-xl-v1-base/textual-inversion"),
        (words.sd2(), "stable-diffusion-v2-512/textual-inversion"),
        (
            replace(words.sd2(), metadata=EmbeddingMetadata(resolution="768x768")),
            "stable-diffusion-v2-768-v/textual-inversion",
        ),
        (replace(words.sd1(), metadata=EmbeddingMetadata(architecture="mine/x")), "mine/x"),
    ],
)
def test_the_architecture_is_told_from_the_vectors_unless_it_is_given(
    word: Embedding, architecture: str, tmp_path: Path
) -> None:
    assert header(save_embedding(word, tmp_path / "w"))["modelspec.architecture"] == architecture


def test_the_single_tensor_is_named_like_the_word_and_sdxls_like_the_encoders(tmp_path: Path) -> None:
    assert set(load_file(save_embedding(words.sd1(), tmp_path / "a"))) == {"moon-cat"}
    assert set(load_file(save_embedding(words.sdxl(), tmp_path / "b"))) == {"clip_l", "clip_g"}
    for misleading in ("clip_g", "string_to_param", "*", "__metadata__", "a/b", ""):
        assert set(load_file(save_embedding(words.sd1(misleading), tmp_path / "c", overwrite=True))) == {"emb_params"}


def test_folders_of_this_machine_are_not_told(tmp_path: Path) -> None:
    secret = "secret-folder"
    facts = EmbeddingMetadata(
        trained_on=f"/home/{secret}/model.safetensors",
        recipe=f'{{"pictures": "C:\\\\{secret}\\\\cats"}}',
        extra={"x": f"~/{secret}/y"},
    )
    for format in FORMATS:
        path = save_embedding(replace(words.sd1(), metadata=facts), tmp_path / "w", format, overwrite=True)
        assert secret.encode() not in path.read_bytes()
    found = load_embedding(tmp_path / "w.safetensors").metadata
    assert (found.trained_on, found.recipe, found.extra) == ("model.safetensors", '{"pictures": "cats"}', {"x": "y"})


def test_a_few_rows_of_a_vocabulary_do_not_bring_the_whole_vocabulary_into_the_file(tmp_path: Path) -> None:
    word = Embedding("w", {"clip_l": words.vectors(2000, 768)[5:6]})
    assert save_embedding(word, tmp_path / "w", "pt").stat().st_size < 10_000


def test_an_embedding_does_not_change_with_the_parameter_that_it_was_made_of() -> None:
    parameter = torch.nn.Parameter(words.vectors(1, 8))
    word = Embedding("w", {"clip_l": parameter})
    before = word.vectors["clip_l"].clone()
    with torch.no_grad():
        parameter.add_(1)
    assert torch.equal(word.vectors["clip_l"], before) and not word.vectors["clip_l"].requires_grad


@pytest.mark.parametrize(
    "broken", [{}, {"clip_l": torch.ones(3)}, {"clip_l": torch.ones(0, 3)}, {"t5": torch.ones(1, 3)}]
)
def test_vectors_of_another_shape_are_no_embedding(broken: dict[str, torch.Tensor]) -> None:
    with pytest.raises(SettingsError, match="'w' cannot be an embedding"):
        Embedding("w", broken)
    with pytest.raises(SettingsError, match="not finite"):
        Embedding("w", {"clip_l": torch.tensor([[float("nan")]])})
    with pytest.raises(SettingsError, match="different numbers"):
        Embedding("w", {"clip_l": torch.ones(1, 3), "clip_g": torch.ones(2, 3)})


def test_safetensors_that_were_damaged_after_we_wrote_them_are_noticed(tmp_path: Path) -> None:
    path = save_embedding(words.sd1(), tmp_path / "w")
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(EmbeddingFileError, match="w.safetensors .* do not fit the hash"):
        load_embedding(path)


def test_pt_and_bin_have_only_the_entries_that_a1111s_safety_check_knows(tmp_path: Path) -> None:
    import zipfile

    allowed = re.compile(r"[^/]+/((data/\d+)|version|byteorder|.data/serialization_id|(data\.pkl))")
    for path in (
        save_embedding(words.sd1(), tmp_path / "w", "pt"),
        save_embedding(words.sd1(), tmp_path / "w", "diffusers"),
    ):
        with zipfile.ZipFile(path) as archive:
            assert all(allowed.fullmatch(name) for name in archive.namelist())


def test_torch_itself_loads_pt_and_bin_without_trusting_them(tmp_path: Path) -> None:
    content = torch.load(save_embedding(words.sd1(), tmp_path / "w", "pt"), weights_only=True)
    assert torch.equal(content["string_to_param"]["*"], words.vectors(3, 768)) and content["name"] == "moon-cat"
    content = torch.load(save_embedding(words.sd1(), tmp_path / "w", "diffusers"), weights_only=True)
    assert set(content) == {"moon-cat"}


def test_the_suffix_is_added_or_has_to_fit(tmp_path: Path) -> None:
    assert save_embedding(words.sd1(), tmp_path / "v1.5", "pt").name == "v1.5.pt"
    assert save_embedding(words.sd1(), tmp_path / "w.safetensors", "diffusers").name == "w.safetensors"
    with pytest.raises(SettingsError, match=r"w.png ends with .png; the format 'pt' needs .pt"):
        save_embedding(words.sd1(), tmp_path / "w.png", "pt")
    with pytest.raises(SettingsError, match="'ckpt' is no format"):
        save_embedding(words.sd1(), tmp_path / "w", "ckpt")  # type: ignore[arg-type]


def test_an_existing_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = save_embedding(words.sd1(), tmp_path / "w")
    before = path.read_bytes()
    with pytest.raises(EmbeddingFileError, match="w.safetensors already exists"):
        save_embedding(words.sdxl(), path)
    assert path.read_bytes() == before
    save_embedding(words.sdxl(), path, overwrite=True)
    assert words.same_vectors(load_embedding(path), words.sdxl())
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_a_file_that_appears_while_ours_is_made_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, sync = tmp_path / "w.safetensors", os.fsync

    def another_program_is_faster(descriptor: int) -> None:
        target.write_text("theirs")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", another_program_is_faster)
    with pytest.raises(EmbeddingFileError, match="already exists"):
        save_embedding(words.sd1(), target)
    assert target.read_text() == "theirs" and os.listdir(tmp_path) == ["w.safetensors"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_embedding(words.sd1(), tmp_path / "w")
    before = path.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, moment, full)
    with pytest.raises(EmbeddingFileError, match="w.safetensors cannot be written .No space left on device."):
        save_embedding(words.sdxl(), path, overwrite=True)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w.safetensors"]


@pytest.mark.parametrize("name", ["x" * 300, "file/below", "nu\0ll"])
def test_a_path_that_cannot_be_is_a_clear_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddingFileError, match="cannot be written"):
        save_embedding(words.sd1(), tmp_path / name)
    assert os.listdir(tmp_path) == ["file"]


@NOT_ROOT
def test_a_folder_without_permission_is_a_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EmbeddingFileError, match="cannot be written"):
        save_embedding(words.sd1(), tmp_path / "w")


def test_a_link_is_not_followed_when_its_target_is_missing(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.raises(EmbeddingFileError, match="already exists"):
        save_embedding(words.sd1(), tmp_path / "w")


def test_a_card_shows_the_preview(tmp_path: Path) -> None:
    red = Image.new("RGBA", (300, 100), (230, 20, 20, 255))
    with Image.open(save_embedding(words.sd1(), tmp_path / "w", "card", preview=red)) as card:
        assert card.format == "PNG" and card.mode == "RGB"
        middle = card.getpixel((card.width // 2, 100))
    assert middle == (230, 20, 20)


@pytest.mark.parametrize("name", ["w", "W" * 99, "猫の月", "Ñandú-_.2", "\udcff"])
def test_any_name_can_be_drawn_and_saved(name: str, tmp_path: Path) -> None:
    for format in FORMATS:
        path = save_embedding(words.sd1(name, count=1), tmp_path / "w", format, overwrite=True)
        assert load_embedding(path).name == name.replace("\udcff", "�")


def test_a_card_has_no_room_for_too_many_vectors_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="too many vectors for a picture card"):
        save_embedding(words.sd1(count=512), tmp_path / "w", "card")
    assert not os.listdir(tmp_path)
