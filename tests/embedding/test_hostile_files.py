"""Files that attack, lie or are broken: an error that names file and reason, soon, and nothing is run or allocated."""

from __future__ import annotations

import base64
import bz2
import io
import json
import lzma
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from PIL import Image

from pseudoword.embedding import FileFormat, load_embedding, save_embedding
from pseudoword.embedding.card_pixels import hide
from pseudoword.errors import EmbeddingFileError
from tests.embedding import words

FLOATS = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def refused(path: Path, data: bytes, reason: str = ".") -> str:
    """Writes `data`, asserts that reading it is refused, soon and in little memory, and returns the message."""
    path.write_bytes(data)
    with words.soon_and_in_little_memory(), pytest.raises(EmbeddingFileError, match=reason) as caught:
        load_embedding(path)
    message = str(caught.value)
    assert message.startswith(f"{path.name} cannot be read as an embedding: ") and message.endswith(".")
    assert len(message) < 400
    return message


def zipped(program: bytes, parts: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    """torch's zip around a pickle, and the numbers in `parts`."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in {"data.pkl": program, **(parts or {})}.items():
            archive.writestr(f"archive/{name}", content)
    return written.getvalue()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    length = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)


def tensor(count: int, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """The program of one float tensor that claims to be a view of `count` numbers under the key "0"."""
    storage = b"((" + text("storage") + FLOATS + text("0") + text("cpu") + number(count) + b"tQ"
    places = b"(" + b"".join(map(number, shape)) + b"t" + b"(" + b"".join(map(number, stride)) + b"t"
    return REBUILD + storage + number(offset) + places + b"\x89ccollections\nOrderedDict\n)RtR"


def named(program: bytes) -> bytes:
    return b"\x80\x02}" + text("w") + program + b"s."


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
    for name, reason in (("none", "No such file"), ("folder", "not a file"), ("pipe", "not a file"), ("nu\0ll", ".")):
        if name == "folder":
            (tmp_path / name).mkdir()
        if name == "pipe":
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


# --- bombs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("part", ["data.pkl", "data/0", "byteorder"])
def test_zip_bombs_are_refused(method: int, part: str, tmp_path: Path) -> None:
    written, zeros = io.BytesIO(), b"\0" * 2**20
    with zipfile.ZipFile(written, "w", method) as archive:
        if part != "data.pkl":
            archive.writestr("archive/data.pkl", named(tensor(2**18 * 20, (1, 8), (8, 1))))
        with archive.open(f"archive/{part}", "w") as file:
            for _ in range(20):
                file.write(zeros)
    # bzip2 and LZMA are not unpacked at all: Python's readers of them know no limit.
    deflated = "larger than the .* bytes that fit|is a part of 5242880 numbers"
    refused(tmp_path / "w.pt", written.getvalue(), deflated if method == zipfile.ZIP_DEFLATED else "missing or damaged")


def test_a_numbers_bomb_within_the_limits_of_an_embedding_takes_no_more_than_one(tmp_path: Path) -> None:
    bomb = zipped(
        named(tensor(512 * 8192, (512, 8192), (8192, 1))), {"data/0": b"\xff" * (2**24)}, zipfile.ZIP_DEFLATED
    )
    assert len(bomb) < 100_000
    refused(tmp_path / "w.pt", bomb, "not finite")


def test_zips_with_very_many_or_overlapping_entries_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "w.pt", zipped(b"N.", {f"data/{n}": b"" for n in range(5000)}), "more than 1000 entries")
    honest = zipped(named(tensor(8, (2, 4), (4, 1))), {"data/0": b"\0" * 32})
    refused(
        tmp_path / "w.pt", honest.replace(b"archive/data/0", b"archive/data.p"), "missing or damaged|is it an embed"
    )
    refused(tmp_path / "w.pt", zipped(b"N.") + b"\0" * 70_000, "zip directory is missing")


def big_header_zip() -> bytes:
    """A zip whose directory claims that its pickle unpacks to 10 GB."""
    data = bytearray(zipped(b"\x80\x02N.", method=zipfile.ZIP_DEFLATED))
    directory = data.index(b"PK\1\2")
    data[directory + 24 : directory + 28] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(data)


def test_a_zip_that_claims_4_gb_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "w.pt", big_header_zip())


def wide(count: int) -> bytes:
    """Puts a tuple of `count` into the memory as 0."""
    return b"(" + b"N" * count + b"tq\x00"


@pytest.mark.parametrize(
    "program",
    [
        b"(" * 40_000 + b"t" * 40_000,
        b"]" * 40_000 + b"a" * 39_999,
        b"N" + b"\x85" * 49_000,
        b")" + b"2\x86" * 20_000,
        b"N" * 60_000,
        b"(" * 900_000,
        text("x" * 2**19) + b"2" * 49_000,
        b"X\xff\xff\xff\xff",
        b"\x8d" + b"\xff" * 8,
        b"\x8b\xff\xff\xff\x7f",
        b"\x8b" + struct.pack("<I", 2**20) + b"\xff" * 2**20,
        b"I" + b"9" * 10_000 + b"\n",
        b"h\x09",
        b"j\xff\xff\xff\xff",
        b"Q",
        b"}(" + b"".join(number(n * (2**61 - 1)) + b"N" for n in range(5000)) + b"u",
        wide(20_000) + b"0ccollections\nOrderedDict\n(" + b"(" + b"h\x00" * 14_000 + b"ltR",
        text("x" * 500_000) + b"q\x00" + b"ctorch\nSize\nq\x01" + b"h\x01h\x00\x85R" * 12_000,
        wide(20_000) + b"ctorch\nSize\nq\x01" + b"h\x01h\x00\x85R" * 7_000,
        wide(20_000) + b"0(" + b"h\x00Q" * 14_000,
        wide(20_000) + REBUILD + b"q\x01" + b"h\x01(NNh\x00h\x00tR" * 3_000,
        b"(" + b"N" * 20_000 + b"1" * 10,
        REBUILD + text("y" * 2**19) + b"\x85R",
    ],
    ids=range(23),
)
def test_pickles_that_are_nested_or_multiply_themselves_are_refused(program: bytes, tmp_path: Path) -> None:
    data = b"\x80\x02" + program + b"."
    refused(tmp_path / "w.pt", zipped(data))
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    refused(tmp_path / "w.pt", magic + data + b"\x80\x02]." * 3)


# --- pictures ---------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes, width: int = 8, height: int = 8, depth: int = 8, colours: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def card_text(content: bytes) -> bytes:
    return chunk(b"tEXt", b"sd-ti-embedding\0" + base64.b64encode(content))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(width=2**31 - 1, height=2**31 - 1), "claims 2147483647 × 2147483647 pixels"),
        (png(chunk(b"IDAT", zlib.compress(b"\0" * 10)), width=4000, height=2000), "cannot be decoded"),
        (png(chunk(b"IDAT", zlib.compress(b"\0" * 10**8)), width=60000, height=100), "."),
        (png(chunk(b"IDAT", b"garbage")), "cannot be decoded"),
        (png(), "cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "header is missing"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffIDAT", "cut off or damaged"),
        (png(chunk(b"tEXt", b"sd-ti-embedding\0!!!")), "not base64"),
        (png(card_text(b"{}")[:-1] + b"\0"), "checksum"),
        (png(card_text(b"no json")), "not valid JSON"),
        (png(card_text(b"[" * 5_000)), "not valid JSON"),
        (png(card_text(b"[" * 3_000_000)), "too many lists"),
        (png(card_text(b"[" + b"9" * 3_000_000 + b"]")), "."),
        (png(card_text(b"[" + b"0," * 2_000_000 + b"0]")), "."),
        (png(card_text(b" " * 5_000_000)), "larger than"),
        (png(card_text(b'{"string_to_param":{"*":{"TORCHTENSOR":[[1.0,NaN]]}}}')), "not finite"),
        (png(card_text(b'{"string_to_param":{"*":{"TORCHTENSOR":[[1.0,1e999]]}}}')), "not finite"),
        (png(card_text(b'{"string_to_param":{"*":{"TORCHTENSOR":[[1.0,"x"]]}}}')), "no numbers"),
        (png(card_text(b'{"string_to_param":{"*":{"TORCHTENSOR":[[1.0],[1.0,2.0]]}}}')), "different lengths"),
        (png(card_text(b'{"string_to_param":{"*":{"TORCHTENSOR":[[[1.0]]]}}}')), "no numbers"),
        (png(card_text(b'{"string_to_param":{"*":{"TORCHTENSOR":[]}}}')), "empty"),
        (png(card_text(b'{"string_to_param":{"*":{"TORCHTENSOR":[[]]}}}')), "shape"),
        (png(card_text(b'{"string_to_param":{"*":[1.0]}}')), "not a list of tensors"),
        (png(card_text(b'{"string_to_param":7}')), "not a list of tensors"),
        (png(chunk(b"tEXt", b"pseudoword\0{")), "not JSON"),
        (png(*[chunk(b"tEXt", b"a\0b")] * 60_000), "damaged"),
    ],
    ids=range(26),
)
def test_pictures_that_lie_are_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    refused(tmp_path / "card.png", data, reason)


def test_a_card_that_was_a_jpeg_in_between_is_refused_or_has_no_embedding(tmp_path: Path) -> None:
    with Image.open(save_embedding(words.sd1(), tmp_path / "card", "card")) as card:
        card.save(tmp_path / "card.jpg", quality=80)
    with Image.open(tmp_path / "card.jpg") as lossy:
        lossy.save(tmp_path / "again.png")
    refused(tmp_path / "again.png", (tmp_path / "again.png").read_bytes())


def test_a_large_picture_and_what_unpacks_within_it_take_no_long_time(tmp_path: Path) -> None:
    hidden = zlib.compress(b" " * 2**26, 9)
    hide(Image.new("RGB", (2500, 2500), "white"), hidden * 40).save(tmp_path / "large.png", compress_level=1)
    refused(tmp_path / "large.png", (tmp_path / "large.png").read_bytes())


def test_other_chunks_of_a_picture_are_never_unpacked(tmp_path: Path) -> None:
    bomb = zlib.compress(b"\0" * (100 * 2**20), 1)
    data = png(
        chunk(b"iCCP", b"x\0\0" + bomb),
        chunk(b"zTXt", b"sd-ti-embedding\0\0" + bomb),
        chunk(b"iTXt", b"sd-ti-embedding\0\1\0\0\0" + bomb),
        chunk(b"IDAT", zlib.compress((b"\0" + b"\x33" * 24) * 8)),
    )
    refused(tmp_path / "card.png", data, "no embedding is in this picture")


def test_compressed_streams_of_other_kinds_are_not_taken_for_embeddings(tmp_path: Path) -> None:
    for data in (bz2.compress(b"x" * 99), lzma.compress(b"x" * 99), zlib.compress(b"x" * 99)):
        refused(tmp_path / "w.pt", data, "neither a safetensors")
