"""A tensor that a file claims to hold, and what is checked before anything of that size is made.

All readers produce these; nothing is allocated until `load_vectors` has found the claim reasonable, and each `read` in
turn compares the claim with the bytes that are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pseudoword.errors import EmbeddingFileError

MAX_FILE_BYTES = 64 * 2**20
"""No embedding comes near: 75 vectors of SDXL take 0.6 MB, a card with a large picture a few MB."""
MAX_VECTORS = 512
MAX_WIDTH = 8192

FLOAT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class StoredTensor:
    """The `shape` and `dtype` that a file claims; `read` makes a tensor of them or raises EmbeddingFileError."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]


def load_vectors(stored: StoredTensor) -> Tensor:
    """The vectors (n, D) as float32; one of shape (D,) counts as one vector. Raises EmbeddingFileError."""
    shape = (1, *stored.shape) if len(stored.shape) == 1 else stored.shape
    if len(shape) != 2 or math.prod(shape) == 0:
        raise EmbeddingFileError(f"its tensor has the shape {shown_shape(stored.shape)}, wanted is (vectors, width)")
    if shape[0] > MAX_VECTORS or shape[1] > MAX_WIDTH:
        raise EmbeddingFileError(
            f"it claims {shape[0]} vectors of width {shape[1]}; an embedding has at most {MAX_VECTORS} of {MAX_WIDTH}"
        )
    if stored.dtype not in FLOAT_TYPES:
        raise EmbeddingFileError(f"its tensor holds {dtype_name(stored.dtype)}, wanted are floating-point numbers")
    vectors = stored.read().reshape(shape).to(torch.float32)
    broken = (~torch.isfinite(vectors)).any(dim=1).nonzero().flatten().tolist()
    if broken:
        raise EmbeddingFileError(f"vector {broken[0] + 1} of {shape[0]} has values that are not finite; train it again")
    return vectors


def tensor_from_bytes(data: bytes | memoryview, dtype: torch.dtype) -> Tensor:
    """All numbers in `data`, (N,), in memory of their own; `data` must not be empty and holds whole numbers."""
    return torch.frombuffer(bytearray(data), dtype=dtype)  # torch warns about memory that it may not write to


def item_size(dtype: torch.dtype) -> int:
    """Bytes of one number (torch 2.0 has no `dtype.itemsize`)."""
    return torch.empty((), dtype=dtype).element_size()


def dtype_name(dtype: torch.dtype) -> str:
    """ "int64" instead of "torch.int64"."""
    return str(dtype).replace("torch.", "")


def shown_shape(shape: tuple[int, ...]) -> str:
    """The shape for a message, cut short if a hostile file made it long."""
    return str(shape) if len(shape) <= 6 else f"of {len(shape)} dimensions"
