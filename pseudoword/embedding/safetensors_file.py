"""The safetensors format, read and written by hand.

The header is checked against the file before a tensor is made, and what is written is the same bytes for the same
input, which the `safetensors` package doesn't promise: it keeps metadata in a hash map.

Layout: 8 bytes with the header's length (little-endian), the header in JSON, then all tensors without gaps.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pseudoword.embedding.stored_tensor import StoredTensor, item_size, tensor_from_bytes
from pseudoword.errors import EmbeddingFileError

_MAX_HEADER_BYTES = 4 * 2**20  # room for a thumbnail
_MAX_VALUES = 100_000  # JSON takes up to 50 times its text in memory
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_WRITTEN = {torch.float32: ("F32", "<f4"), torch.float16: ("F16", "<f2")}


def looks_like_safetensors(data: bytes) -> bool:
    """Whether `data` begins as a safetensors file does: a length, then a JSON object."""
    return len(data) >= 10 and data[8:9] == b"{" and data[6:8] == b"\0\0"


def read_safetensors(data: bytes) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The tensors by key, and the metadata. Raises EmbeddingFileError if the header is broken or claims too much."""
    header_bytes = struct.unpack_from("<Q", data)[0]
    if header_bytes > len(data) - 8:
        raise EmbeddingFileError(f"it claims a header of {header_bytes} bytes and has {len(data)}; it was cut off")
    header = _parse_header(data[8 : 8 + header_bytes])
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise EmbeddingFileError("its metadata is not a list of texts")
    body = memoryview(data)[8 + header_bytes :]
    tensors = {key: _stored_tensor(key, claim, body) for key, claim in header.items()}
    covered = max((claim["data_offsets"][1] for claim in header.values()), default=0)
    if covered != len(body):
        raise EmbeddingFileError(f"its tensors take {covered} bytes and it has {len(body)}; it is damaged")
    return tensors, metadata


def write_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A file with `tensors`, of float32 or float16, in the given order."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    content = b""
    for key, tensor in tensors.items():
        dtype_id, numbers = _WRITTEN[tensor.dtype]
        begin, content = len(content), content + tensor.numpy().astype(numbers).tobytes()
        header[key] = {"dtype": dtype_id, "shape": list(tensor.shape), "data_offsets": [begin, len(content)]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors are aligned
    return struct.pack("<Q", len(text)) + text + content


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """The numbers of all `tensors`: float32, little-endian, one after another."""
    return b"".join(tensor.numpy().astype("<f4").tobytes() for tensor in tensors.values())


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """modelspec's hash of all tensor content, without the header: `0x` and lower-case SHA-256.

    Taken of float32, whatever a file stores: so a word is the same in 16 bits, if it lost nothing by that.
    """
    return "0x" + hashlib.sha256(tensor_bytes(tensors)).hexdigest()


def _parse_header(text: bytes) -> dict[str, Any]:
    if len(text) > _MAX_HEADER_BYTES or sum(map(text.count, (b"[", b"{", b","))) > _MAX_VALUES:
        raise EmbeddingFileError(f"its header of {len(text)} bytes is too large for an embedding")
    try:
        header = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise EmbeddingFileError("its header is not valid JSON; it is damaged") from error
    if not isinstance(header, dict):
        raise EmbeddingFileError("its header is not a JSON object; it is damaged")
    return header


def _stored_tensor(key: str, claim: object, body: memoryview) -> StoredTensor:
    fields = claim if isinstance(claim, dict) else {}
    shape, offsets, dtype_id = (
        _naturals(fields.get("shape")),
        _naturals(fields.get("data_offsets")),
        fields.get("dtype"),
    )
    if shape is None or offsets is None or len(offsets) != 2 or len(shape) > 8:
        raise EmbeddingFileError(f"the header entry of {key[:80]!r} is malformed")
    dtype = _DTYPES.get(dtype_id) if isinstance(dtype_id, str) else None
    if dtype is None:
        raise EmbeddingFileError(f"the numbers of {key[:80]!r} are of the unknown type {str(dtype_id)[:20]!r}")
    begin, end = offsets
    if end > len(body):
        raise EmbeddingFileError(f"{key[:80]!r} should end at byte {end} and the file has {len(body)}; it was cut off")
    if end - begin != math.prod(shape) * item_size(dtype):
        raise EmbeddingFileError(f"{key[:80]!r} has {end - begin} bytes, which its shape {tuple(shape)} does not need")
    return StoredTensor(tuple(shape), dtype, lambda: tensor_from_bytes(body[begin:end], dtype))


def _naturals(value: object) -> list[int] | None:
    """`value` if it is a list of integers of at least 0."""
    return value if isinstance(value, list) and all(type(item) is int and item >= 0 for item in value) else None


def _integer(digits: str) -> int:
    if len(digits) > 20:  # no offset is that long, and turning digits into numbers takes quadratic time
        raise ValueError("number too long")
    return int(digits)
