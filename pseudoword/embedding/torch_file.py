"""The files of `torch.save`: A1111's `.pt`, diffusers' `.bin`, and the textual-inversion paper's own.

Two containers exist, a zip (since torch 1.6) and five pickles in a row followed by the numbers; both are read
without torch's loader, so that neither a call nor an allocation happens because a file asks for it.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pseudoword.embedding.pickle_reader import Instance, Name, pairs, read_pickle
from pseudoword.embedding.stored_tensor import (
    MAX_FILE_BYTES,
    MAX_VECTORS,
    MAX_WIDTH,
    StoredTensor,
    dtype_name,
    item_size,
    tensor_from_bytes,
)
from pseudoword.errors import EmbeddingFileError

_MAX_ZIP_ENTRIES = 1000
_MAX_PICKLE_BYTES = 2**20
_LEGACY_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
_LEGACY_PROTOCOL = 1001
# What A1111 lets pass; torch has since added entries of its own that A1111 takes for an attack.
_WRITTEN_ENTRIES = ("data.pkl", "byteorder", "version", "data/")

_STORAGE_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# Named in honest files, and without effect on the vectors: kept as inert instances.
_IGNORED_NAMES = {
    ("torch.nn.modules.container", "ParameterDict"),
    ("torch", "device"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True)
class _Storage:
    """Numbers that tensors are views of: `count` of them under `key`."""

    key: str
    dtype: torch.dtype
    count: int


class _Views:
    """Turns what a pickle says about tensors into StoredTensors; `fetch` gives the bytes of a storage by its key."""

    def __init__(self, fetch: Callable[[_Storage], bytes | memoryview]) -> None:
        self.fetch = fetch
        self.storages: dict[str, _Storage] = {}

    def persistent(self, claim: object) -> _Storage:
        if not isinstance(claim, tuple) or len(claim) not in (5, 6):
            raise EmbeddingFileError("its tensors are stored in a way that embeddings are not")
        kind, storage_type, key, _location, count, *view = claim
        dtype = _STORAGE_TYPES.get(storage_type.name) if isinstance(storage_type, Name) else None
        if kind != "storage" or dtype is None or not isinstance(key, str) or not _naturals((count,)):
            raise EmbeddingFileError("its tensors are stored in a way that embeddings are not")
        if any(part is not None for part in view):
            raise EmbeddingFileError("its tensors are views of one another; save it again with a newer torch")
        return self.storages.setdefault(key, _Storage(key, dtype, count))

    def tensor(self, storage: object, offset: object, size: object, stride: object) -> StoredTensor:
        if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
            raise TypeError("not a tensor")
        if len(size) != len(stride) or len(size) > 8 or not _naturals((offset, *size, *stride)):
            raise EmbeddingFileError("the shape of a tensor in it is malformed")
        assert isinstance(offset, int)
        numbers = math.prod(size)
        last = (
            offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) if numbers else offset
        )
        # The first comparison also refuses strides of 0, with which a few bytes would claim to be any size.
        if numbers > storage.count or (numbers and last >= storage.count):
            raise EmbeddingFileError(f"a tensor in it claims {numbers} numbers where {storage.count} are stored")

        def read() -> torch.Tensor:
            if storage.count > MAX_VECTORS * MAX_WIDTH:  # a shape may be small and the storage behind it a bomb
                raise EmbeddingFileError(f"a tensor in it is a part of {storage.count} numbers; is it of a checkpoint?")
            data = self.fetch(storage)
            if len(data) != storage.count * item_size(storage.dtype):
                raise EmbeddingFileError(
                    f"it claims {storage.count} numbers of type {dtype_name(storage.dtype)} and has {len(data)} bytes"
                )
            flat = tensor_from_bytes(data, storage.dtype)
            return flat.as_strided(size, stride, offset).clone()

        return StoredTensor(size, storage.dtype, read)

    def call(self, function: Name, arguments: tuple[Any, ...]) -> object:
        """What a call in the pickle means; see `read_pickle`."""
        named = (function.module, function.name)
        if named == ("collections", "OrderedDict"):
            return _ordered_dict(arguments[0] if arguments else [])
        if named in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return self.tensor(*arguments[:4])
        if named in (("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state")):
            return arguments[0]
        if named == ("torch._tensor", "_rebuild_from_type_v2") and isinstance(arguments[0], Name):
            inner, tensor_arguments = arguments[0], arguments[2]
            if inner.module == "torch._utils" and isinstance(tensor_arguments, tuple):
                return self.call(inner, tensor_arguments)
        if named == ("torch", "Size") and isinstance(arguments[0], tuple):
            return arguments[0]
        if named in (("__builtin__", "set"), ("builtins", "set")):
            return []
        if named in _IGNORED_NAMES:
            return Instance(function)
        shown = ascii(f"{function.module[:100]}.{function.name[:100]}")
        raise EmbeddingFileError(f"its pickle asks to run {shown}, which no embedding needs; nothing of it was run")


def looks_like_torch(data: bytes) -> bool:
    """Whether `data` begins as `torch.save`'s files do, of either kind."""
    return data[:4] == b"PK\3\4" or _is_legacy(data)


def read_torch(data: bytes) -> object:
    """What was saved, with StoredTensors for tensors and dicts for mappings. Raises EmbeddingFileError."""
    return _read_legacy(data) if _is_legacy(data) else _read_zip(data)


def parameters_of(value: object) -> object:
    """The dict behind torch's ParameterDict, which the textual-inversion paper's files hold; other values unchanged."""
    if isinstance(value, Instance) and value.of.name == "ParameterDict" and isinstance(value.state, dict):
        return value.state.get("_parameters")
    return value


def write_torch(value: object) -> bytes:
    """`torch.save` of `value`, without the entries of newer versions that A1111 refuses."""
    saved = io.BytesIO()
    torch.save(value, saved)
    written = io.BytesIO()
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(written, "w") as target:
        for name in source.namelist():
            if name.partition("/")[2].startswith(_WRITTEN_ENTRIES):
                target.writestr(zipfile.ZipInfo(name), source.read(name))  # no date: the same bytes each time
    return written.getvalue()


def _is_legacy(data: bytes) -> bool:
    # PROTO, perhaps FRAME, then LONG1 with torch's magic number of ten bytes
    return data[:1] == b"\x80" and b"\x8a\x0a" + _LEGACY_MAGIC in data[2:32]


def _read_zip(data: bytes) -> object:
    if data.count(b"PK\1\2") > _MAX_ZIP_ENTRIES:
        raise EmbeddingFileError(f"its zip has more than {_MAX_ZIP_ENTRIES} entries, too many for an embedding")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        names = archive.namelist()
    except Exception as error:  # zipfile lets several kinds of error escape on damaged directories
        raise EmbeddingFileError("its zip directory is missing or damaged; it was cut off") from error
    pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise EmbeddingFileError(f"it is a zip with {len(pickles)} pickles where torch writes one; is it an embedding?")
    folder = pickles[0][: -len("data.pkl")]
    if f"{folder}byteorder" in names and _entry(archive, f"{folder}byteorder", 16) != b"little":
        raise EmbeddingFileError("its numbers are big-endian; save it again on a common machine")

    def fetch(storage: _Storage) -> bytes:
        return _entry(archive, f"{folder}data/{storage.key}", storage.count * item_size(storage.dtype))

    views = _Views(fetch)
    value, _ = read_pickle(_entry(archive, pickles[0], _MAX_PICKLE_BYTES), 0, views.call, views.persistent)
    return value


def _entry(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """One file of the zip, not read beyond `most` bytes, whatever it claims or unpacks to."""
    try:
        # bzip2 and LZMA unpack without a limit, and LZMA allocates what it claims.
        if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError("a compression that torch does not know")
        with archive.open(name) as file:
            data = file.read(min(most, MAX_FILE_BYTES) + 1)
            if len(data) <= most:
                file.read(1)  # at the end of the entry zipfile compares the checksum
    except Exception as error:  # a missing entry, a bad checksum, a method or encryption that zipfile doesn't know, …
        raise EmbeddingFileError(f"the part {name[:80]!a} of its zip is missing or damaged") from error
    if len(data) > most:
        raise EmbeddingFileError(f"the part {name[:80]!a} of its zip is larger than the {most} bytes that fit")
    return data


def _read_legacy(data: bytes) -> object:
    storages: dict[str, memoryview] = {}

    def fetch(storage: _Storage) -> memoryview:
        return storages.get(storage.key, memoryview(b""))

    views = _Views(fetch)
    position = 0
    values: list[Any] = []
    for _ in range(5):  # magic number, protocol, system, content, storage keys
        value, position = read_pickle(data, position, views.call, views.persistent)
        values.append(value)
    _magic, protocol, system, content, keys = values
    if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise EmbeddingFileError("it is in a form of torch.save that only big-endian or very old machines wrote")
    if not isinstance(keys, list) or len(keys) > _MAX_ZIP_ENTRIES:
        raise EmbeddingFileError("its list of tensors is damaged")
    for key in keys:
        storage = views.storages.get(key) if isinstance(key, str) else None
        if storage is None or len(data) < position + 8:
            raise EmbeddingFileError("its list of tensors is damaged or the file was cut off")
        count = struct.unpack_from("<q", data, position)[0]
        end = position + 8 + storage.count * item_size(storage.dtype)
        if count != storage.count or end > len(data):
            raise EmbeddingFileError(f"it claims {storage.count} numbers and ends before them; it was cut off")
        storages[storage.key] = memoryview(data)[position + 8 : end]
        position = end
    return content


def _ordered_dict(items: object) -> dict[str, Any]:
    # Each item is a pair: longer ones, named many times over, would become far more than the file has bytes.
    if not isinstance(items, list) or not all(isinstance(item, (list, tuple)) and len(item) == 2 for item in items):
        raise TypeError("not a list of pairs")
    result = dict(pairs([part for item in items for part in item]))
    items.clear()  # which a hostile file would hand over thousands of times
    return result


def _naturals(values: tuple[object, ...]) -> bool:
    return all(type(value) is int and 0 <= value < 2**62 for value in values)
