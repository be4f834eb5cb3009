"""What kind of file some bytes are, read from the content alone, and what other programs would do with it."""

from __future__ import annotations

import io
import pickletools
import zipfile
from dataclasses import dataclass
from typing import Literal

from ..embedding import png_file, safetensors_file, torch_file
from ..embedding.forms import ENCODER_KEYS
from ..embedding.stored_tensor import StoredTensor
from ..errors import EmbeddingFileError

FileKind = Literal["safetensors", "A1111 pt", "diffusers", "torch", "picture card", "pickle", "unknown"]
"""What a file is: "A1111 pt" has A1111's fields, "diffusers" is one tensor called like the word, "torch" is anything
else by torch.save, "pickle" is a bare one, "unknown" is none of these or could not be read."""

_MAX_INSTRUCTIONS = 10_000
_NAMING = {"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}  # without a name there is nothing to call


@dataclass(frozen=True)
class Content:
    """The kind of a file, and its dangers.

    `pickle`: programs that open it with Python's or torch's own loader execute what is in it. `unsafe_pickle`: it holds
    more than plain tensors need, or is damaged in a way that nobody can tell; our reader refuses such files.
    """

    kind: FileKind = "unknown"
    pickle: bool = False
    unsafe_pickle: bool = False


def content_of(data: bytes) -> Content:
    """What `data`, the bytes of a whole file, are. Nothing in it is executed."""
    if data.startswith(png_file.SIGNATURE):
        return Content("picture card")
    if torch_file.looks_like_torch(data):
        try:
            return Content(_layout(torch_file.read_torch(data)), pickle=True)
        except EmbeddingFileError:
            return Content("torch", pickle=True, unsafe_pickle=not _is_cut_off_zip(data))
    if safetensors_file.looks_like_safetensors(data):
        return Content("safetensors")
    return _bare_pickle(data)


def _layout(content: object) -> FileKind:
    if not isinstance(content, dict):
        return "torch"
    if "string_to_param" in content:
        return "A1111 pt"
    tensors = [key for key, value in content.items() if isinstance(value, StoredTensor)]
    return "diffusers" if len(tensors) == 1 and tensors[0] not in ENCODER_KEYS else "torch"


def _is_cut_off_zip(data: bytes) -> bool:
    # Without the directory at its end no program finds a pickle in it.
    return data.startswith(b"PK") and not zipfile.is_zipfile(io.BytesIO(data))


def _bare_pickle(data: bytes) -> Content:
    """Whether Python's pickle machine would run into a name in `data`, come to an end, or go on for long."""
    # `pickletools` reads a pickle without executing it. Text of other kinds soon has a letter that is no instruction.
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(data)):
            # Two lines of any text that begins with a "c" are a name too, of a module called like the first.
            is_name = not isinstance(argument, str) or argument.count(" ") == 1
            if count >= _MAX_INSTRUCTIONS or (instruction.name in _NAMING and is_name):
                return Content("pickle", pickle=True, unsafe_pickle=True)
    except Exception:  # it lets more kinds of error escape on damage than it documents
        return Content()
    return Content("pickle", pickle=True)
