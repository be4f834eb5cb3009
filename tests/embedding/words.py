"""Words to save, and a way to say what must not happen while a file is read."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pseudoword.embedding import Embedding, EmbeddingMetadata

FACTS = EmbeddingMetadata(
    title="A cat of the moon",
    description="Drawn by hand.",
    author="Ada",
    date="2026-11-20T12:00:00Z",
    resolution="512x512",
    trained_on="model-v1.safetensors",
    trained_on_sha256="0123456789abcdef" * 4,
    steps=1200,
    clip_skip=1,
    recipe='{"learning_rate": "0.005"}',
    extra={"pseudoword.seed": "7", "someone.else": "kept"},
)


def vectors(count: int, width: int, seed: int = 0) -> Tensor:
    """`count` vectors as long as CLIP's own."""
    return 0.02 * torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def sd1(name: str = "moon-cat", count: int = 3) -> Embedding:
    return Embedding(name, {"clip_l": vectors(count, 768)}, FACTS)


def sdxl(name: str = "moon-cat", count: int = 2) -> Embedding:
    return Embedding(name, {"clip_l": vectors(count, 768), "clip_g": vectors(count, 1280)}, FACTS)


def sd2(name: str = "moon-cat") -> Embedding:
    return Embedding(name, {"open_clip_h": vectors(1, 1024)}, FACTS)


def same_vectors(first: Embedding, second: Embedding) -> bool:
    """Whether both have the same encoders and, to the bit, the same vectors."""
    return first.vectors.keys() == second.vectors.keys() and all(
        torch.equal(first.vectors[encoder], second.vectors[encoder]) for encoder in first.vectors
    )


def peak_megabytes() -> float:
    """The most memory that this process ever had; 0 on Windows, which does not tell."""
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


@contextmanager
def soon_and_in_little_memory(seconds: float = 10.0, megabytes: int = 150) -> Iterator[None]:
    """Fails if what is inside takes more processor time, or more memory than the process ever had before.

    No measure of speed: what multiplies itself takes minutes, the rest a moment also on a busy machine.
    """
    most, start = peak_megabytes(), time.process_time()
    yield
    took = time.process_time() - start
    grew = peak_megabytes() - most
    assert took < seconds, f"it took {took:.2f} s"
    assert grew < megabytes, f"it took {grew:.0f} MB"
