"""An embedding: the vectors that a model reads where a prompt says a learned word."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pseudoword.diffusion import Architecture
from pseudoword.embedding.metadata import EmbeddingMetadata, encodable
from pseudoword.errors import SettingsError

ENCODERS = ("clip_l", "clip_g", "open_clip_h")
"""Text encoders that an embedding can hold vectors for: both of SDXL (the first is also SD 1's), and SD 2's."""

_ENCODER_OF_WIDTH = {768: "clip_l", 1024: "open_clip_h", 1280: "clip_g"}


def encoder_of_width(width: int) -> str:
    """The encoder that vectors of `width` are for when a file doesn't say; unusual widths are of models like SD 1."""
    return _ENCODER_OF_WIDTH.get(width, "clip_l")


@dataclass(frozen=True, eq=False)
class Embedding:
    """A learned word.

    `vectors` maps the name of a text encoder (see `ENCODERS`) to its vectors, (n, D) each with the same n, float32, on
    the CPU, without gradient and in memory of their own; tensors given otherwise are converted. SDXL has `clip_l` and
    `clip_g`. Raises SettingsError for vectors of any other shape and for values that are not finite.
    """

    name: str
    vectors: Mapping[str, Tensor]
    metadata: EmbeddingMetadata = field(default_factory=EmbeddingMetadata)

    def __post_init__(self) -> None:
        converted = {encoder: _plain(tensor) for encoder, tensor in self.vectors.items()}
        problem = why_not_vectors({encoder: tuple(tensor.shape) for encoder, tensor in converted.items()})
        if problem is None and not all(bool(torch.isfinite(tensor).all()) for tensor in converted.values()):
            problem = "they have values that are not finite"
        if problem is not None:
            raise SettingsError(f"The vectors of {self.name!r} cannot be an embedding: {problem}.")
        object.__setattr__(self, "vectors", converted)
        object.__setattr__(self, "name", encodable(self.name))

    @property
    def vector_count(self) -> int:
        """How many of the 75 places in a prompt the word takes."""
        return len(next(iter(self.vectors.values())))

    @property
    def architecture(self) -> Architecture:
        """The family of models that the word works with, told from its encoders."""
        if "clip_g" in self.vectors:
            return "sdxl"
        return "sd2" if "open_clip_h" in self.vectors else "sd1"


def why_not_vectors(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The reason why tensors of these shapes, by encoder name, are no embedding; None when they are one."""
    if not shapes:
        return "there are none"
    unknown = sorted(set(shapes) - set(ENCODERS))
    if unknown:
        return f"the text encoder {unknown[0]!r} is unknown, known are {', '.join(ENCODERS)}"
    for encoder, shape in shapes.items():
        if len(shape) != 2 or math.prod(shape) == 0:
            return f"those of {encoder} have the shape {shape}, wanted is (vectors, width)"
    if len({shape[0] for shape in shapes.values()}) > 1:
        return "its encoders have different numbers of vectors: " + ", ".join(f"{e} {s[0]}" for e, s in shapes.items())
    return None


def _plain(tensor: Tensor) -> Tensor:
    # A copy: the caller's tensor may be a parameter that goes on learning, or a few rows of a whole vocabulary, all of
    # which torch.save would write.
    return tensor.detach().to("cpu", torch.float32).clone(memory_format=torch.contiguous_format)
