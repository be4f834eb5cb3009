"""Pictures that attack, lie or are broken in the place of an embedding's card."""

from __future__ import annotations

import base64
import bz2
import lzma
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from pseudoword.embedding import save_embedding
from pseudoword.embedding.card_pixels import hide
from tests.embedding import words
from tests.embedding.hostile import refused


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
