"""Which vocabularies a checkpoint file has, and their vectors, without a look at its other weights."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pseudoword.errors import ModelError
from pseudoword.hosts.vocabularies import read_vocabularies, vocabulary_widths
from tests import tiny_models

TOKENS = 12
SD1_KEY = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
OLD_SD1_KEY = "cond_stage_model.transformer.embeddings.token_embedding.weight"
SD2_KEY = "cond_stage_model.model.token_embedding.weight"
SDXL_KEYS = (
    "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
    "conditioner.embedders.1.model.token_embedding.weight",
)
REFINER_KEY = "conditioner.embedders.0.model.token_embedding.weight"
# Keys with the width and the encoder that each stands for.
LAYOUTS = {
    "Stable Diffusion 1": {SD1_KEY: (8, "clip_l")},
    "Stable Diffusion 1, of an old program": {OLD_SD1_KEY: (8, "clip_l")},
    "Stable Diffusion 2": {SD2_KEY: (10, "open_clip_h")},
    "SDXL": {SDXL_KEYS[0]: (8, "clip_l"), SDXL_KEYS[1]: (12, "clip_g")},
    "SDXL's refiner": {REFINER_KEY: (12, "clip_g")},
    "Stable Diffusion 2.1 Turbo, laid out as SDXL": {REFINER_KEY: (1024, "open_clip_h")},
}
OTHERS = {
    "model.diffusion_model.input_blocks.0.0.weight": torch.ones(3, 4, 3, 3),
    "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": torch.ones(77, 8),
    "cond_stage_model.model.positional_embedding": torch.ones(77, 10),
}


def vectors_of(width: int, seed: int = 1) -> Tensor:
    return torch.randn((TOKENS, width), generator=torch.Generator().manual_seed(seed))


def tensors_of(layout: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    own = {key: vectors_of(width).to(dtype) for key, (width, _) in LAYOUTS[layout].items()}
    return OTHERS | own


def save_ckpt(tensors: dict[str, Tensor], path: Path) -> None:
    torch.save({"state_dict": tensors, "global_step": 3}, path)


SAVERS: dict[str, Callable[[dict[str, Tensor], Path], None]] = {"safetensors": save_file, "ckpt": save_ckpt}


@pytest.mark.parametrize("suffix", SAVERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_known(layout: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{suffix}"
    SAVERS[suffix](tensors_of(layout), path)
    wanted = {encoder: width for width, encoder in LAYOUTS[layout].values()}
    assert vocabulary_widths(path) == wanted
    read = read_vocabularies(path)
    assert list(read) == list(wanted)
    assert all(torch.equal(vectors, vectors_of(wanted[encoder])) for encoder, vectors in read.items())


@pytest.mark.parametrize("suffix", SAVERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_vectors_come_out_in_float32(dtype: torch.dtype, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"half.{suffix}"
    SAVERS[suffix](tensors_of("SDXL", dtype), path)
    for vectors in read_vocabularies(path).values():
        assert vectors.dtype == torch.float32 and vectors.is_contiguous()
        assert torch.equal(vectors, vectors_of(vectors.shape[1]).to(dtype).float())


@pytest.mark.parametrize("suffix", SAVERS)
def test_what_was_read_is_not_in_the_file_any_more(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{suffix}"
    SAVERS[suffix](tensors_of("Stable Diffusion 1"), path)
    (vectors,) = read_vocabularies(path).values()
    with path.open("r+b") as file:  # as a download does that begins anew
        file.write(bytes(path.stat().st_size))
    assert torch.equal(vectors, vectors_of(8))


def test_a_file_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(tensors_of("Stable Diffusion 1"), path)
    assert vocabulary_widths(path) == {"clip_l": 8}
    save_file(tensors_of("SDXL"), path)
    assert vocabulary_widths(path) == {"clip_l": 8, "clip_g": 12}
    path.unlink()
    assert vocabulary_widths(path) == {}


def test_the_built_in_checkpoint_has_one() -> None:
    import pseudoword.builtin

    (vectors,) = read_vocabularies(pseudoword.builtin.CHECKPOINT).values()
    assert vocabulary_widths(pseudoword.builtin.CHECKPOINT) == {"clip_l": vectors.shape[1]}


@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_a_diffusers_folder_has_those_of_its_parts(prefix: str, tmp_path: Path) -> None:
    key = f"{prefix}embeddings.token_embedding.weight"
    for part, width in (("text_encoder", 8), ("text_encoder_2", 12)):
        (tmp_path / part).mkdir()
        save_file({key: vectors_of(width)}, tmp_path / part / "model.fp16.safetensors")
    assert vocabulary_widths(tmp_path) == {"clip_l": 8, "clip_g": 12}
    assert all(torch.equal(read, vectors_of(read.shape[1])) for read in read_vocabularies(tmp_path).values())
    (tmp_path / "text_encoder_2" / "model.fp16.safetensors").unlink()
    assert vocabulary_widths(tmp_path) == {}
    with pytest.raises(ModelError, match=r"text_encoder_2 has no model\.safetensors"):
        read_vocabularies(tmp_path)


def test_a_diffusers_folder_of_stable_diffusion_2_is_told_by_its_width(tmp_path: Path) -> None:
    (tmp_path / "text_encoder").mkdir()
    key = "text_model.embeddings.token_embedding.weight"
    save_file({key: vectors_of(1024)}, tmp_path / "text_encoder" / "model.safetensors")
    assert vocabulary_widths(tmp_path) == {"open_clip_h": 1024}


def test_what_transformers_writes_is_read(tmp_path: Path) -> None:
    model = tiny_models.text_model()
    model.save_pretrained(str(tmp_path / "text_encoder"), safe_serialization=True)
    (vectors,) = read_vocabularies(tmp_path).values()
    assert torch.equal(vectors, model.get_input_embeddings().weight)


# ---- files that are something else, or broken --------------------------------------------------------------------


def refused(path: Path, said: str) -> None:
    assert vocabulary_widths(path) == {}
    with pytest.raises(ModelError, match=said) as refusal:
        read_vocabularies(path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("suffix", SAVERS)
def test_a_file_without_a_text_encoder_is_named(suffix: str, tmp_path: Path) -> None:
    SAVERS[suffix](OTHERS, tmp_path / f"lora.{suffix}")
    refused(tmp_path / f"lora.{suffix}", "has no text encoder of Stable Diffusion 1, 2 or SDXL; give a full checkpoint")


@pytest.mark.parametrize("suffix", SAVERS)
@pytest.mark.parametrize("kept", [0, 7, 300, -1000, -1])
def test_a_file_that_is_cut_off_is_refused(suffix: str, kept: int, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{suffix}"
    SAVERS[suffix](tensors_of("SDXL"), path)
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "is cut off or not a checkpoint .*; download it again")


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "missing.safetensors", "cannot be read")
    refused(tmp_path / "missing" / "model.safetensors", "cannot be read")
    refused(tmp_path, "has no text encoder")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.safetensors")
        refused(tmp_path / "pipe.safetensors", "is no file")


@pytest.mark.parametrize("content", [b"a text\n" * 100, b"PK\3\4" + bytes(100), b"\x80\2" + bytes(100), b"{}"])
def test_another_kind_of_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    refused(path, "is cut off or not a checkpoint")


def header(**entry: Any) -> bytes:
    text = json.dumps({SD1_KEY: {"dtype": "F32", "shape": [12, 8], "data_offsets": [0, 384]} | entry}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        header(shape=[12, 9]) + bytes(384),
        header(shape=[2**40, 2**40]) + bytes(384),
        header(data_offsets=[0, 2**62]) + bytes(384),
        header(data_offsets=[384, 0]) + bytes(384),
        header(shape=[12, -8]) + bytes(384),
        header(dtype="F7") + bytes(384),
        header() + bytes(383),
        struct.pack("<Q", 2**63) + b"{" + bytes(100),
        struct.pack("<Q", 2**33) + b"{" + bytes(100),
        struct.pack("<Q", 200_000) + b"[" * 200_000,
    ],
)
def test_a_header_that_lies_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "lies.safetensors"
    path.write_bytes(content)
    refused(path, "is cut off or not a checkpoint")


@pytest.mark.parametrize("shape", [(96,), (2, 6, 8), (0, 8), (12, 0)])
@pytest.mark.parametrize("suffix", SAVERS)
def test_a_vocabulary_of_another_shape_is_refused(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    SAVERS[suffix]({SD1_KEY: torch.ones(shape)}, tmp_path / f"odd.{suffix}")
    refused(tmp_path / f"odd.{suffix}", r"shape .*, wanted is \(tokens, width\)")


def test_a_few_bytes_that_claim_to_be_many_are_refused(tmp_path: Path) -> None:
    save_ckpt({SD1_KEY: torch.ones(1, 1).expand(2**20, 2**20)}, tmp_path / "bomb.ckpt")
    refused(tmp_path / "bomb.ckpt", r"\(1048576, 1048576\)")
    save_ckpt({SD1_KEY: torch.ones(12, 8, device="meta")}, tmp_path / "nowhere.ckpt")
    with pytest.raises(ModelError, match="in a way that is not known"):
        read_vocabularies(tmp_path / "nowhere.ckpt")


@pytest.mark.parametrize("suffix", SAVERS)
def test_whole_numbers_are_no_vectors(suffix: str, tmp_path: Path) -> None:
    SAVERS[suffix]({SD1_KEY: torch.ones((12, 8), dtype=torch.int64)}, tmp_path / f"whole.{suffix}")
    with pytest.raises(ModelError, match="in a way that is not known"):
        read_vocabularies(tmp_path / f"whole.{suffix}")


class Hostile:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "executed"))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", SAVERS)
def test_a_pickle_that_would_run_a_program_does_not(suffix: str, zipped: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / f"bad.{suffix}", tmp_path / "trace"
    content = {"state_dict": tensors_of("Stable Diffusion 1"), "callback": Hostile(trace)}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    refused(path, "convert it to safetensors" if zipped else "is cut off or not a checkpoint")
    assert not trace.exists()
