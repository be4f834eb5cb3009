"""The weights in a TorchScript archive, as OpenAI distributes CLIP in: its program is neither run nor looked at.

Such an archive is a zip of a pickle that holds the modules, the numbers of each tensor in an entry of its own, and the
source of a program. Attributes of the modules give the tensors the names that they have in `state_dict`.
"""

from __future__ import annotations

import math
import mmap
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..embedding.pickle_reader import Instance, Name, read_pickle
from ..errors import EmbeddingFileError, ModelError

PROGRAM = "/constants.pkl"  # stands beside the source, and in no other archive of torch's
MOST_INSTRUCTIONS, MOST_PICKLE_BYTES = 2_000_000, 2**26  # models of hundreds of layers take a hundredth of that
MOST_ATTRIBUTES, MOST_NAME_LETTERS = 200_000, 1_000  # of all modules, each counted where it is; of a tensor's name
_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}
_LOCAL_HEADER_BYTES = 30
# zipfile raises RuntimeError for what is encrypted or packed in a way it does not know, torch for impossible shapes.
DAMAGED = (OSError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error, EmbeddingFileError)


def is_torchscript(path: Path) -> bool:
    """Whether the file is a TorchScript archive. Raises OSError and zipfile.BadZipFile."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(PROGRAM) for name in archive.namelist())
    except (NotImplementedError, ValueError) as error:  # a directory of a kind that is unknown
        raise zipfile.BadZipFile(str(error)) from error


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """All tensors in the modules of the archive at `path`, by name, also such that are no weights.

    They lie in the file still, which must not change meanwhile. Raises ModelError.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            entries = {info.filename: info for info in archive.infolist()}
            (program,) = (name for name in entries if name.endswith(PROGRAM) and name.count("/") == 1)
            folder = program[: -len(PROGRAM)]
            if entries[f"{folder}/data.pkl"].file_size > MOST_PICKLE_BYTES:
                raise ValueError("its pickle is larger than any model's")
            pickled = archive.read(f"{folder}/data.pkl")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # torch wants memory that could be written
        root, _ = read_pickle(pickled, 0, _Archive(folder, entries, mapped).call, tuple_of, MOST_INSTRUCTIONS)
        return tensors_in(root)
    except DAMAGED as error:
        raise ModelError(f"{path} is cut off or damaged ({error}); download it again.") from error


def tuple_of(claim: object) -> object:
    """A persistent id as it is: what it says of a tensor's numbers."""
    return claim


class _Archive:
    """Makes tensors of what the pickle says, whose numbers lie in `mapped`, the whole file."""

    def __init__(self, folder: str, entries: dict[str, zipfile.ZipInfo], mapped: mmap.mmap) -> None:
        self._folder, self._entries, self._mapped = folder, entries, mapped

    def call(self, function: Name, arguments: tuple[Any, ...]) -> object:
        """What a call in the pickle means; see `read_pickle`."""
        if function.module.startswith("__torch__"):
            return None  # a module, which is then given its attributes
        if (function.module, function.name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor(*arguments[:4])
        if (function.module, function.name) == ("collections", "OrderedDict"):
            return {}
        if function.module == "torch.jit._pickle" and arguments:
            return arguments[0]  # marks the kind of a list
        shown = ascii(f"{function.module[:100]}.{function.name[:100]}")
        raise EmbeddingFileError(f"its pickle asks to run {shown}, which weights do not need; nothing of it was run")

    def _tensor(self, claim: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        kind, storage, key, _, count = claim
        dtype = _STORAGES.get(storage.name) if isinstance(storage, Name) else None
        if kind != "storage" or dtype is None or not isinstance(key, str):
            raise ValueError("a tensor in it is of an unknown kind")
        numbers = (offset, count, *size, *stride)
        if len(size) != len(stride) or not all(type(one) is int and 0 <= one < 2**40 for one in numbers):
            raise ValueError("the shape of a tensor in it is malformed")
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if math.prod(size) > count or (math.prod(size) and last >= count):
            raise ValueError(f"a tensor in it claims more numbers than the {count} that are stored")
        start = self._start(f"{self._folder}/data/{key}", count * dtype.itemsize)
        if not count:
            return torch.zeros(size, dtype=dtype)
        return torch.frombuffer(self._mapped, dtype=dtype, count=count, offset=start).as_strided(size, stride, offset)

    def _start(self, name: str, length: int) -> int:
        """Where in the file the numbers of an entry begin, which torch never compresses."""
        info = self._entries[name]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != length:
            raise ValueError(f"the numbers in {name[:80]!a} are not {length} bytes as they stand")
        header = self._mapped[info.header_offset : info.header_offset + _LOCAL_HEADER_BYTES]
        if len(header) < _LOCAL_HEADER_BYTES or header[:4] != b"PK\3\4":
            raise ValueError("its zip directory points elsewhere")
        beside = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        start = info.header_offset + _LOCAL_HEADER_BYTES + beside
        if start + length > len(self._mapped):
            raise ValueError("it ends before its numbers")
        return start


def tensors_in(root: object) -> dict[str, Tensor]:
    """The tensors in `root`, a module or a tensor, by the names of attributes from the top on.

    A module that several others hold is found below each of them. Raises ValueError where that, or a module that holds
    itself, leads to more than any model has.
    """
    found: dict[str, Tensor] = {}
    waiting: list[tuple[str, object]] = [("", root)]
    attributes = 0
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Tensor):
            found[name] = value
        elif isinstance(value, Instance) and isinstance(value.state, dict):
            attributes += len(value.state)
            if attributes > MOST_ATTRIBUTES or len(name) > MOST_NAME_LETTERS:
                raise ValueError("its modules hold more than any model's")
            inside = ((f"{name}.{attribute}" if name else str(attribute), of) for attribute, of in value.state.items())
            waiting += reversed(list(inside))
    return found
