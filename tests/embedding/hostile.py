"""Hostile files, byte by byte, and what must become of them."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from pseudoword.embedding import load_embedding
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
