"""Files that attack, lie or are broken: an error that names file and reason, soon, and nothing is run or allocated."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from pseudoword.embedding import FileFormat, load_embedding, save_embedding
from pseudoword.errors import EmbeddingFileError
from tests.embedding import words
from tests.embedding.hostile import named, refused, tensor, zipped

# --- what is named is never run ---------------------------------------------------------------------------------------


class Attack:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


def attacks(marker: Path) -> list[Attack]:
    code = f"open({str(marker)!r}, 'w').close()"
    return [
        Attack(os.system, f"touch {marker}"),
        Attack(subprocess.Popen, ["touch", str(marker)]),
        Attack(eval, code),
        Attack(exec, code),
        Attack(open, str(marker), "w"),
        Attack(torch.load, str(marker)),
        Attack(getattr, "os", "system"),
        Attack(torch._utils._rebuild_parameter, Attack(os.system, f"touch {marker}"), False, {}),
    ]


WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "alone": lambda attack: attack,
    "as a word": lambda attack: {"w": torch.ones(1, 8), "x": attack},
    "as A1111's parameter": lambda attack: {"string_to_param": {"*": attack}, "name": "w"},
    "as A1111's name": lambda attack: {"string_to_param": {"*": torch.ones(1, 8)}, "name": attack},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("index", range(8))
def test_a_call_in_a_pickle_is_refused_and_not_run(wrapping: str, index: int, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "hostile.pt"
    content = WRAPPINGS[wrapping](attacks(marker)[index])
    for options in ({}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}):
        torch.save(content, path, **options)
        refused(path, path.read_bytes(), "asks to run '.*', which no embedding needs; nothing of it was run")
    assert not marker.exists()


def test_the_attack_would_have_worked_on_a_reader_that_unpickles(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Attack(os.system, f"touch {tmp_path / 'marker'}")))  # noqa: S301
    assert (tmp_path / "marker").exists()


def test_a_bare_pickle_is_not_even_looked_into(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for protocol in range(6):
        data = pickle.dumps(Attack(os.system, f"touch {marker}"), protocol)
        refused(tmp_path / "w.pt", data, "neither a safetensors, nor a torch, nor a PNG file")
    assert not marker.exists()


@pytest.mark.parametrize("code", [b"i", b"o", b"\x82\x01", b"\x92", b"P0\n", b"\x97", b"\x98", b"\xff"])
def test_instructions_that_no_embedding_needs_are_refused(code: bytes, tmp_path: Path) -> None:
    refused(tmp_path / "w.pt", zipped(b"\x80\x02" + code + b"."), "uses the instruction 0x")


def test_reading_imports_nothing_that_the_file_names(tmp_path: Path) -> None:
    refused(tmp_path / "w.pt", zipped(b"\x80\x02cantigravity\nfly\n)R."), "'antigravity.fly'")
    assert "antigravity" not in sys.modules


# --- cut off ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*get_args(FileFormat), "before torch 1.6"])
def test_a_file_cut_off_anywhere_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.bin"
    if kind == "before torch 1.6":
        content = {"string_to_param": {"*": words.vectors(1, 16)}, "name": "w"}
        torch.save(content, path, _use_new_zipfile_serialization=False)
    else:
        path = save_embedding(words.sd1(count=1), tmp_path / "cut", kind)  # type: ignore[arg-type]
    data = path.read_bytes()
    step = max(1, len(data) // 60)
    for end in {*range(0, min(len(data), 40)), *range(0, len(data), step), *range(len(data) - 25, len(data))}:
        # A card's last bytes only say that it ends; all that is in it is there before.
        refused(path, data[:end])


@pytest.mark.parametrize("data", [b"", b"\0", b"hello world", b"<html><body>404</body></html>", b"PK\3\4", b"\x80\2"])
def test_what_is_no_embedding_at_all_is_refused(data: bytes, tmp_path: Path) -> None:
    refused(tmp_path / "w.pt", data)


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    for name, reason in (
        ("none", "No such file"),
        ("folder", "not a file"),
        ("pipe", "not a file|No such file"),
        ("nu\0ll", "."),
    ):
        if name == "folder":
            (tmp_path / name).mkdir()
        if name == "pipe" and hasattr(os, "mkfifo"):
            os.mkfifo(tmp_path / name)
        with pytest.raises(EmbeddingFileError, match=reason):
            load_embedding(tmp_path / name)


def test_a_checkpoint_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    with open(tmp_path / "model.safetensors", "wb") as file:
        file.truncate(10 * 2**30)
    with words.soon_and_in_little_memory(), pytest.raises(EmbeddingFileError, match="10,240 MB .* is it a checkpoint"):
        load_embedding(tmp_path / "model.safetensors")


# --- claims -----------------------------------------------------------------------------------------------------------


def safetensors(header: object, body: bytes = b"") -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + body


def entry(shape: object, offsets: object, dtype: object = "F32") -> dict[str, object]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack("<Q", 10 * 2**30) + b"{}", "claims a header of 10737418240 bytes"),
        (safetensors(entry([2**20, 2560], [0, 10 * 2**30])), "should end at byte 10737418240"),
        (safetensors(entry([2**20, 2560], [0, 8]), b"\0" * 8), "has 8 bytes, which its shape"),
        (safetensors(entry([2**62, 2**62], [0, 8]), b"\0" * 8), "which its shape"),
        (safetensors(entry([1] * 5000, [0, 4]), b"\0" * 4), "malformed"),
        (safetensors(entry([-1, -1], [0, 4]), b"\0" * 4), "malformed"),
        (safetensors(entry([1.0, 1], [0, 4]), b"\0" * 4), "malformed"),
        (safetensors(entry([True, 1], [0, 4]), b"\0" * 4), "malformed"),
        (safetensors(entry([1, 1], [4, 0]), b"\0" * 4), "which its shape"),
        (safetensors(entry([1, 1], "04"), b"\0" * 4), "malformed"),
        (safetensors(entry([0, 768], [0, 0])), "shape .0, 768."),
        (safetensors(entry([], [0, 4]), b"\0" * 4), "shape"),
        (safetensors(entry([1, 1, 1], [0, 4]), b"\0" * 4), "shape"),
        (safetensors(entry([1, 1], [0, 4], "I32"), b"\0" * 4), "holds int32, wanted are floating-point"),
        (safetensors(entry([1, 1], [0, 4], "F4"), b"\0" * 4), "unknown type"),
        (safetensors(entry([1, 1], [0, 4], []), b"\0" * 4), "unknown type"),
        (safetensors(entry([1, 1], [0, 4]), b"\0" * 9), "take 4 bytes and it has 9"),
        (safetensors(entry([600, 1], [0, 2400]), b"\0" * 2400), "claims 600 vectors"),
        (safetensors(entry([1, 9000], [0, 36000]), b"\0" * 36000), "of width 9000"),
        (safetensors({}), "holds no tensors"),
        (safetensors({"__metadata__": {"a": 1}}), "metadata is not a list of texts"),
        (safetensors({"__metadata__": ["a"]}), "metadata is not a list of texts"),
        (safetensors(b"{" + b'"a":[' * 50_000), "not valid JSON"),
        (safetensors(b"{" + b'"a":' + b"[" * 2_000_000), "too large for an embedding"),
        (safetensors(b'{"a":' + b"9" * 2_000_000 + b"}"), "not valid JSON"),
        (safetensors(b"{" + b",".join(b'"%d":1' % n for n in range(300_000)) + b"}"), "too large for an embedding"),
        (safetensors(b'{"\xff":1}'), "not valid JSON"),
        (safetensors({str(n): entry([1, 1], [0, 4])["w"] for n in range(9)}, b"\0" * 4), "9 tensors .* a LoRA or a"),
        (safetensors({n: entry([1, 1], [0, 4])["w"] for n in ("clip_l", "t5xxl")}, b"\0" * 4), "vectors for 't5xxl'"),
    ],
    ids=range(29),
)
def test_safetensors_that_lie_are_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    refused(tmp_path / "w.safetensors", data, reason)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_numbers_that_are_not_finite_are_refused(bad: float, suffix: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    vectors, path = words.vectors(3, 768), tmp_path / f"w{suffix}"
    vectors[1, 5] = bad
    save_file({"w": vectors}, path) if suffix == ".safetensors" else torch.save({"w": vectors}, path)
    refused(path, path.read_bytes(), "vector 2 of 3 has values that are not finite")


def test_a_float64_beyond_float32_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.full((1, 8), 1e300, dtype=torch.float64)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", (tmp_path / "w.pt").read_bytes(), "not finite")


def test_encoders_with_different_numbers_of_vectors_are_refused(tmp_path: Path) -> None:
    torch.save({"clip_l": torch.ones(2, 768), "clip_g": torch.ones(3, 1280)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", (tmp_path / "w.pt").read_bytes(), "different numbers of vectors: clip_l 2, clip_g 3")


def test_several_words_in_one_file_are_refused(tmp_path: Path) -> None:
    torch.save({"string_to_param": {"*": torch.ones(1, 8), "+": torch.ones(1, 8)}}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", (tmp_path / "w.pt").read_bytes(), "holds 2 words")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (tensor(10 * 2**28, (2**10, 10 * 2**18), (10 * 2**18, 1)), "at most 512 of 8192"),
        (tensor(10 * 2**28, (1, 768), (768, 1)), "is a part of 2684354560 numbers"),
        (tensor(8, (2**31, 2**31), (0, 0)), "claims .* numbers where 8 are stored"),
        (tensor(8, (2, 8), (8, 1)), "claims 16 numbers where 8 are stored"),
        (tensor(8, (1, 8), (8, 1), offset=1), "claims 8 numbers where 8 are stored"),
        (tensor(8, (1, 8), (8, 1), offset=-1), "malformed"),
        (tensor(8, (2, 4), (-4, 1)), "malformed"),
        (tensor(8, (1, 8), (1,)), "malformed"),
        (tensor(8, (1,) * 9, (1,) * 9), "malformed"),
        (tensor(2**70, (1, 8), (8, 1)), "stored in a way"),
        (tensor(9, (1, 8), (8, 1)), "9 numbers of type float32 and has 32 bytes"),
        (tensor(0, (0, 8), (8, 1)), "shape .0, 8."),
    ],
    ids=range(12),
)
def test_tensors_that_claim_what_is_not_there_are_refused(program: bytes, reason: str, tmp_path: Path) -> None:
    refused(tmp_path / "w.pt", zipped(named(program), {"data/0": b"\0" * 32}), reason)


def test_the_programs_of_these_tests_are_right_when_they_claim_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(zipped(named(tensor(8, (2, 4), (4, 1))), {"data/0": b"\0\0\x80\x3f" * 8}))
    assert torch.equal(load_embedding(tmp_path / "w.pt").vectors["clip_l"], torch.ones(2, 4))
