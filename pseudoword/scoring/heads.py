"""Small networks on CLIP's features of pictures that somebody trained, such as predictors of how pleasing one is."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ModelError
from .clip_files import read_weights

# "layers" of the widespread aesthetic predictor: five linear ones with dropouts, which have no weights, after the first
# three. Nothing else lies between them; a file cannot say so itself.
DROPOUTS_ALONE = (0, 2, 4, 6, 7)
MAX_BYTES = 256 * 2**20  # such heads hold a few megabytes
_LAYER = re.compile(r"(?:[A-Za-z_]\w*\.)*?(?P<place>\d+)\.(?P<kind>weight|bias)")


@dataclass(frozen=True, eq=False)
class Head:
    """Linear layers, each a weight (out, in) and a bias (out,), one after another; the last gives one number.

    `identity` is the SHA-256 of its file.
    """

    name: str
    identity: str
    layers: tuple[tuple[Tensor, Tensor], ...]

    @property
    def width(self) -> int:
        """How wide the features are that it takes."""
        return self.layers[0][0].shape[1]

    def check_width(self, width: int, model: str) -> None:
        """Raise ModelError where the features of `model`, which are `width` wide, are not those it was made for."""
        if width != self.width:
            raise ModelError(
                f"The head {self.name} takes features of {self.width} numbers, but those of {model} have {width}; "
                "choose the CLIP model that the head was made for."
            )

    def scores(self, features: Tensor) -> Tensor:
        """A number for each of `features` (N, D) of unit length: (N,). D is checked before by `check_width`."""
        for weight, bias in self.layers:
            features = F.linear(features, weight, bias)
        return features[:, 0]


def load_head(path: Path) -> Head:
    """The head in a file of safetensors or torch's (.pth, .pt); no pickle is executed.

    It is one linear layer (`weight`, `bias`), several numbered without a gap, or the aesthetic predictor's. Raises
    ModelError for all else: what lies between layers, such as a ReLU, leaves no trace in a file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is larger than any head, {MAX_BYTES // 2**20} MB; give the head's own file.")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    return Head(path.stem, digest, layers_of(read_weights(path), path))


def layers_of(tensors: dict[str, Tensor], path: Path) -> tuple[tuple[Tensor, Tensor], ...]:
    """The linear layers that `tensors` are, in order. Raises ModelError that names `path`."""
    if "weight" in tensors:
        tensors = {f"0.{name}": tensor for name, tensor in tensors.items()}
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match is None or not tensor.is_floating_point():
            raise _refusal(path, f"it holds {name[:60]!r}")
        found.setdefault(int(match["place"]), {})[match["kind"]] = tensor.float()
    if not found:
        raise _refusal(path, "it holds no weights")
    places = tuple(sorted(found))
    if places not in (DROPOUTS_ALONE, tuple(range(places[0], places[0] + len(places)))):
        raise _refusal(path, f"its layers are numbered {', '.join(map(str, places))}, with something unknown between")
    layers = []
    for place in places:
        weight = found[place].get("weight")
        if weight is None or weight.ndim != 2:
            raise _refusal(path, f"layer {place} has no weight of two dimensions")
        layers.append((weight, found[place].get("bias", torch.zeros(len(weight)))))
    fit = all(bias.shape == (len(weight),) for weight, bias in layers)
    fit = fit and all(second[0].shape[1] == len(first[0]) for first, second in zip(layers, layers[1:], strict=False))
    if not fit or len(layers[-1][0]) != 1:
        raise _refusal(path, "its layers do not fit together, or end in more than one number")
    if not all(tensor.isfinite().all() for layer in layers for tensor in layer):
        raise _refusal(path, "it holds numbers that are none (NaN or infinity)")
    return tuple(layers)


def _refusal(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{path} is no head that can be used: {reason}; give a linear layer or the aesthetic predictor's five."
    )
