"""The vocabularies of checkpoints on the disk: the input vectors of their text encoders, and nothing else of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from .checkpoints import VOCABULARY_KEY, is_pickled, read_pickled, weights_in

OPEN_CLIP_KEY = "model.token_embedding.weight"
# Text encoders by the key of their vocabulary: in a single file, where old ones leave `text_model.` out, …
ENCODERS_IN_FILE = {
    "cond_stage_model.transformer." + VOCABULARY_KEY: "clip_l",
    "cond_stage_model.transformer.text_model." + VOCABULARY_KEY: "clip_l",
    "cond_stage_model." + OPEN_CLIP_KEY: "open_clip_h",
    "conditioner.embedders.0.transformer.text_model." + VOCABULARY_KEY: "clip_l",
    "conditioner.embedders.0." + OPEN_CLIP_KEY: "clip_g",  # of SDXL's refiner
    "conditioner.embedders.1." + OPEN_CLIP_KEY: "clip_g",
}
# … and in the parts of a diffusers folder, where transformers leaves it out since version 5.
ENCODERS_IN_PARTS = {
    part: {VOCABULARY_KEY: encoder, "text_model." + VOCABULARY_KEY: encoder}
    for part, encoder in (("text_encoder", "clip_l"), ("text_encoder_2", "clip_g"))
}
SD2_WIDTH = 1024  # so wide, it is open_clip_h wherever it is: SD 2 in diffusers' layout, SD 2.1 Turbo in SDXL's
MOST_NUMBERS = 2**28  # four times what SDXL's larger one has; a hostile file may claim any size


@dataclass(frozen=True)
class Place:
    """Where the vocabulary of a text encoder is stored, and its width."""

    encoder: str
    width: int
    file: Path
    key: str


def vocabulary_widths(path: Path) -> dict[str, int]:
    """Which text encoders' vocabularies a checkpoint has, a single file or a diffusers folder: width by encoder.

    No weights are read: of safetensors the header (2 ms), of a `.ckpt` its pickle (0.15 s for a thousand tensors), and
    neither again until the file changes. Empty where there is none, and where a file is missing, broken, or could not
    be read without running a program.
    """
    with suppress(ModelError):
        return {place.encoder: place.width for place in places_in(path)}
    return {}


def read_vocabularies(path: Path) -> dict[str, Tensor]:
    """The vocabularies of a checkpoint, a single file or a diffusers folder; its other weights are not read.

    Input vectors (V, D), float32, by text encoder: clip_l, open_clip_h or clip_g. Raises ModelError where it has none,
    or cannot be read.
    """
    places = places_in(path)
    if not places:
        raise ModelError(
            f"{path} has no text encoder of Stable Diffusion 1, 2 or SDXL; give a full checkpoint of one of these."
        )
    return {place.encoder: read_vectors(place) for place in places}


def places_in(path: Path) -> list[Place]:
    """Where the vocabularies in `path` are, one for each text encoder. Raises ModelError."""
    found: dict[str, Place] = {}
    try:
        for file, encoders in files_of(path).items():
            shapes = shapes_in(file)
            for key in [key for key in encoders if key in shapes]:
                width = checked(file, shapes[key])[1]
                encoder = "open_clip_h" if width == SD2_WIDTH else encoders[key]
                found[encoder] = Place(encoder, width, file, key)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); give a checkpoint file or a diffusers folder."
        ) from error
    return list(found.values())


def files_of(path: Path) -> Mapping[Path, Mapping[str, str]]:
    """The files that may hold vocabularies in `path`, with the encoders by key. Raises ModelError and OSError."""
    if not path.is_dir():
        return {path: ENCODERS_IN_FILE}
    return {weights_in(path / part): keys for part, keys in ENCODERS_IN_PARTS.items() if (path / part).is_dir()}


def checked(file: Path, shape: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` if it is a vocabulary's, (V, D). Raises ModelError."""
    if len(shape) != 2 or not 0 < math.prod(shape) <= MOST_NUMBERS:
        raise ModelError(f"{file} has a vocabulary of the shape {shape[:8]}, wanted is (tokens, width); it is damaged.")
    return shape


def shapes_in(file: Path) -> Mapping[str, tuple[int, ...]]:
    """Shapes by key of what may be a vocabulary in a file of weights. Raises ModelError and OSError."""
    status = file.stat()
    if not S_ISREG(status.st_mode):  # a pipe, say, which would be waited for
        raise ModelError(f"{file} is no file; give a checkpoint file or a diffusers folder.")
    return shapes_in_version(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def shapes_in_version(file: Path, changed_ns: int, size: int) -> Mapping[str, tuple[int, ...]]:
    """`shapes_in` of a file as it is since `changed_ns`, `size` bytes long."""
    if is_pickled(file):
        shapes = {key: tuple(tensor.shape) for key, tensor in read_pickled(file, mapped=True).items()}
        return {key: shape for key, shape in shapes.items() if key.endswith((VOCABULARY_KEY, OPEN_CLIP_KEY))}
    with opened(file) as tensors:
        names = tensors.keys()
        keys = [key for key in names if key.endswith((VOCABULARY_KEY, OPEN_CLIP_KEY))]
        return {key: tuple(tensors.get_slice(key).get_shape()) for key in keys}


def read_vectors(place: Place) -> Tensor:
    """The vectors (V, D), float32, at `place`. Raises ModelError."""
    if is_pickled(place.file):
        return plain(place, read_pickled(place.file, mapped=True)[place.key])
    with opened(place.file) as tensors:
        return plain(place, tensors.get_tensor(place.key))


def plain(place: Place, stored: Tensor) -> Tensor:
    """A float32 copy of what was `stored`, which may lie in the file still. Raises ModelError for no plain numbers."""
    if not stored.is_floating_point() or stored.layout != torch.strided or stored.device.type != "cpu":
        raise ModelError(f"{place.file} stores its vocabulary in a way that is not known; convert it to safetensors.")
    return stored.to(torch.float32, copy=True)


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """A safetensors file whose tensors are read one by one. Raises ModelError for one that is broken."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as tensors:
            yield tensors
    except (SafetensorError, ValueError, OSError, RuntimeError) as error:
        raise ModelError(f"{file} is cut off or not a checkpoint ({error}); download it again.") from error
