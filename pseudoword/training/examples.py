"""What the UNet is shown: noisy latents, what it should answer, and with which prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion import DiffusionModel, LatentDistribution
from .objective import loss_weights


@dataclass(frozen=True)
class Examples:
    """B noisy latents of one shape and all that their losses need; tensors are float32 on the model's device.

    `noisy` and `target` are (B, C, h, w), `timesteps` and `weights` (B,), `mask` (B, 1, h, w) in [0, 1] or None.
    """

    noisy: Tensor
    target: Tensor
    timesteps: Tensor
    weights: Tensor
    mask: Tensor | None
    prompts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.prompts)


def make_examples(
    model: DiffusionModel,
    distribution: LatentDistribution,
    mask: Tensor | None,
    timesteps: Tensor,
    prompts: Sequence[str],
    generator: torch.Generator,
    min_snr: float | None,
) -> Examples:
    """Examples of pictures whose latents are `distribution`, at `timesteps` (B,); `generator` draws latents and noise.

    Random numbers are drawn on the CPU, so that a GPU trains on the same ones.
    """
    latents = distribution.sample(generator).to(model.device, torch.float32)
    noise = torch.randn(latents.shape, generator=generator).to(model.device)
    timesteps = timesteps.to(model.device)
    return Examples(
        noisy=model.schedule.add_noise(latents, noise, timesteps),
        target=model.schedule.target(latents, noise, timesteps, model.prediction),
        timesteps=timesteps,
        weights=loss_weights(model.schedule, timesteps, model.prediction, min_snr),
        mask=None if mask is None else mask.to(model.device, torch.float32),
        prompts=tuple(prompts),
    )
