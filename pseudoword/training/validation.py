"""A loss that can be compared from step to step: always the same pictures, noise, timesteps and prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .denoiser import Denoiser
from .examples import Examples

TIMESTEPS_PER_PICTURE = 8
TIME_SHARE = 0.08  # of the training time that validations may take
FORWARD_SHARE = 1 / 3  # of a training step's time that its forward pass takes: backward takes twice as long
FEWEST = 8


def validation_size(pictures: int, examples_per_step: int, steps_between: int) -> int:
    """How many examples to validate on: 8 timesteps a picture, or as many as keep validation under 8 % of the time."""
    affordable = int(TIME_SHARE / FORWARD_SHARE * examples_per_step * steps_between)
    return max(min(pictures * TIMESTEPS_PER_PICTURE, affordable), FEWEST)


def validation_timesteps(count: int, timesteps: int) -> Tensor:
    """The middles of `count` equal strata of [0, timesteps), rising, (count,) int64."""
    return ((torch.arange(count, dtype=torch.float64) + 0.5) / count * timesteps).long()


def validation_pictures(count: int, pictures: int, generator: torch.Generator) -> Tensor:
    """Which picture goes with each of `count` rising timesteps, (count,) int64.

    Pictures take turns in one random order: with at least three times as many timesteps as pictures, each of them is
    seen at low, middle and high noise; with fewer timesteps than pictures, the last in that order are left out.
    """
    return torch.randperm(pictures, generator=generator)[torch.arange(count) % pictures]


@dataclass(frozen=True)
class ValidationSet:
    """Fixed examples, in groups of one latent shape each."""

    groups: tuple[Examples, ...]

    def loss(self, denoiser: Denoiser, vectors: Mapping[str, Tensor]) -> float:
        """Mean unweighted denoising loss with `vectors` (n, D) by encoder as the new word's."""
        return torch.cat([denoiser.losses(group, vectors) for group in self.groups]).mean().item()
