"""Which pictures of a training set don't belong, as far as CLIP's features say.

A picture's mean cosine with the others is compared with what those have among themselves. How large a gap means
anything differs from model to model, so it is told in units of the model's contrast: by how much its cosines of
pictures of one thing exceed those of different things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 3  # of two that differ nobody can say which is the stranger
FEW = 5  # up to so many, only what differs grossly can be told

_SMALLEST_GAPS = {3: 1.7, 4: 1.45, 5: 1.45, 6: 1.3, 7: 1.3}  # contrasts, by the number of pictures
_SMALLEST_GAP = 1.15  # of eight and more


@dataclass(frozen=True)
class Belonging:
    """Mean cosines: of a picture with the others, and of the others among themselves; `gap` is in contrasts."""

    with_others: float
    among_others: float
    gap: float
    is_outlier: bool


def belongings(features: Tensor, contrast: float) -> list[Belonging]:
    """How each of the pictures with `features` (N, D) belongs to the others; none for fewer than three.

    `contrast` is the model's, see `contrast_of`.
    """
    count = len(features)
    if count < FEWEST:
        return []
    cosines = features.double() @ features.double().T
    cosines.fill_diagonal_(0)
    with_others = cosines.sum(dim=1) / (count - 1)
    # All pairs but those of this picture, each counted twice.
    among_others = (cosines.sum() - 2 * cosines.sum(dim=1)) / ((count - 1) * (count - 2))
    smallest = _SMALLEST_GAPS.get(count, _SMALLEST_GAP)
    found = []
    for own, others in zip(with_others.tolist(), among_others.tolist(), strict=True):
        gap = (others - own) / contrast
        found.append(Belonging(own, others, gap, gap >= smallest))
    return found


def contrast_of(sets: Sequence[Tensor]) -> float:
    """By how much cosines within `sets` exceed those between them, on average; each is features (n, D) of one thing.

    At least 0.05, so that a model which sees hardly any difference calls nothing an outlier by chance.
    """
    within = [(one @ one.T)[~torch.eye(len(one), dtype=torch.bool)] for one in sets]
    between = [(one @ other.T).flatten() for place, one in enumerate(sets) for other in sets[:place]]
    return max(float(torch.cat(within).mean() - torch.cat(between).mean()), 0.05)
