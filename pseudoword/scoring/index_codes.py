"""Features as short codes, whose products say roughly, and fast, which of a million are worth an exact look.

A code has 7 bits for each number of a feature, so that signed and unsigned arithmetic read the same, and no processor's
sum of two products overflows 16 bits. Features are turned before: CLIP's have a few numbers that are much larger than
all others, which would leave hardly any steps to those. The turn keeps all cosines.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import torch
from torch import Tensor

STEPS = 63  # to each side of zero
ZERO = 64  # the code of 0
QUERY_STEPS = 127


def codes_of(features: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (N, D), whole numbers 1 … 127 as int8, and the size (N,) of a step of each, for `features` (N, D)."""
    turned = turned_features(features)
    sizes = turned.abs().amax(dim=1).clamp(min=1e-12) / STEPS
    return (turned / sizes[:, None]).round_().add_(ZERO).to(torch.int8), sizes


def query_of(feature: Tensor) -> tuple[Tensor, float]:
    """The same for what is looked for: whole numbers -127 … 127 (D,) around 0, as int8, and the size of a step."""
    turned = turned_features(feature[None])[0]
    size = float(turned.abs().max().clamp(min=1e-12)) / QUERY_STEPS
    return (turned / size).round_().to(torch.int8), size


def turned_features(features: Tensor) -> Tensor:
    """`features` (N, D), turned so that what stands in one number is spread over many."""
    signs, mixing = _turn(features.shape[1])
    blocks = (features * signs).view(len(features), -1, len(mixing))
    return (blocks @ mixing).view_as(features)


@lru_cache(maxsize=4)
def _turn(width: int) -> tuple[Tensor, Tensor]:
    """Signs (D,), and Hadamard's matrix (B, B) for the largest power of two in `width`; for ever the same."""
    # Of a hash, since random numbers need not be the same in all versions of what makes them.
    signs = torch.tensor([1.0 if hashlib.sha256(b"%d" % place).digest()[0] & 1 else -1.0 for place in range(width)])
    mixing, block = torch.ones(1, 1), width & -width
    while len(mixing) < block:
        mixing = torch.cat([torch.cat([mixing, mixing], 1), torch.cat([mixing, -mixing], 1)]) / 2**0.5
    return signs, mixing
