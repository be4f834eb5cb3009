"""Files that are small and would become large: refused, soon and in little memory."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from tests.embedding.hostile import REBUILD, named, number, refused, tensor, text, zipped


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
        b"("
        + text("a")
        + b"N\x86q\x00"
        + b"h\x00" * 14_000
        + b"lq\x01ccollections\nOrderedDict\nq\x02"
        + b"h\x02h\x01\x85R" * 7_000,
        wide(20_000) + b"ctorch\nSize\nq\x01" + b"h\x01h\x00\x85R" * 7_000,
        wide(20_000) + b"0(" + b"h\x00Q" * 14_000,
        wide(20_000) + REBUILD + b"q\x01" + b"h\x01(NNh\x00h\x00tR" * 3_000,
        b"(" + b"N" * 20_000 + b"1" * 10,
        REBUILD + text("y" * 2**19) + b"\x85R",
    ],
    ids=range(24),
)
def test_pickles_that_are_nested_or_multiply_themselves_are_refused(program: bytes, tmp_path: Path) -> None:
    data = b"\x80\x02" + program + b"."
    refused(tmp_path / "w.pt", zipped(data))
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    refused(tmp_path / "w.pt", magic + data + b"\x80\x02]." * 3)
