"""What A1111's trainer keeps beside an embedding for going on with it: the state of its AdamW, in `NAME.pt.optim`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pseudoword.embedding.files import read_limited
from pseudoword.embedding.stored_tensor import StoredTensor, shown_shape
from pseudoword.embedding.torch_file import read_torch
from pseudoword.errors import EmbeddingFileError

OPTIMISER_SUFFIX = ".optim"
"""Comes behind the whole name of the embedding's file."""


def load_moments(path: Path, vectors: Tensor) -> dict[str, Tensor]:
    """What AdamW knew of `vectors` (n, D): "step" (), "exp_avg" and "exp_avg_sq" (n, D), float32.

    Raises EmbeddingFileError, which names the file and the reason, if it is of other vectors, damaged, or unsafe to
    read. As with embeddings, no pickle is executed, and nothing is allocated because a file claims a size.
    """
    try:
        return _moments_in(read_torch(read_limited(path)), vectors)
    except EmbeddingFileError as error:
        raise EmbeddingFileError(f"{path.name} cannot be read as AdamW's state for these vectors: {error}.") from error


def checksum(vectors: Tensor) -> str:
    """The hash by which A1111 tells whether the optimiser's file belongs to `vectors`: four hexadecimal digits."""
    result = 0
    for number in (vectors.reshape(-1) * 100).nan_to_num().tolist():  # times 100, the largest are infinite
        result = ((result * 281) ^ (int(number) * 997)) & 0xFFFFFFFF
    return f"{result & 0xFFFF:04x}"


def _moments_in(content: object, vectors: Tensor) -> dict[str, Tensor]:
    if _within(content, "hash") != checksum(vectors):
        raise EmbeddingFileError("its hash is not theirs; it belongs to an earlier state or another embedding")
    state = _within(content, "optimizer_state_dict", "state", "0")
    moments = {}
    for name, shape in {"step": (), "exp_avg": vectors.shape, "exp_avg_sq": vectors.shape}.items():
        stored = _within(state, name)
        if not isinstance(stored, StoredTensor):
            raise EmbeddingFileError(f"it lacks the tensor {name}")
        if stored.shape != tuple(shape):
            raise EmbeddingFileError(f"its {name} has the shape {shown_shape(stored.shape)}, wanted is {tuple(shape)}")
        moments[name] = stored.read().to(torch.float32).contiguous()
    if not _is_possible(**moments):
        raise EmbeddingFileError("it has numbers that no AdamW comes to")
    return moments


def _is_possible(step: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor) -> bool:
    """Whether AdamW can go on from these: others would throw the vectors far away, or make them NaN."""
    # By Cauchy-Schwarz, no gradients make it step further than 7.3 learning rates; comparisons with NaN are false.
    reach = exp_avg.abs() / (exp_avg_sq.sqrt() + 1e-8)
    return bool(step.isfinite() and step >= 1 and exp_avg_sq.isfinite().all() and (reach < 10).all())


def _within(content: object, *keys: str) -> object:
    """What stands under `keys`, one inside the other; None where there is no such thing."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content
