"""The denoising loss, its weights, and the timesteps it is taken at."""

from __future__ import annotations

import torch
from torch import Tensor

from pseudoword.diffusion import NoiseSchedule, Prediction


def stratified_timesteps(count: int, timesteps: int, generator: torch.Generator) -> Tensor:
    """`count` timesteps in [0, timesteps), one from each of `count` equal strata, in random order, (count,) int64.

    Drawing every part of the noise range in each step keeps the expectation of uniform draws and removes most of the
    variance between steps, since the loss depends far more on the timestep than on the picture.
    """
    offsets = torch.rand(count, generator=generator, dtype=torch.float64)
    drawn = ((torch.arange(count) + offsets) / count * timesteps).long().clamp_(max=timesteps - 1)
    return drawn[torch.randperm(count, generator=generator)]


def loss_weights(schedule: NoiseSchedule, timesteps: Tensor, prediction: Prediction, min_snr: float | None) -> Tensor:
    """Weight of each example at `timesteps` (B,), shape (B,); all ones unless `min_snr` is given.

    Min-SNR weighting (Hang et al., 2023) weighs the error of the predicted picture by min(SNR, gamma). An error of the
    noise is SNR times that of the picture, an error of the velocity SNR + 1 times, hence the two divisors.
    """
    if min_snr is None:
        return torch.ones(len(timesteps), device=timesteps.device)
    ratio = schedule.signal_to_noise(timesteps).clamp(min=1e-8)
    divisor = ratio if prediction == "epsilon" else ratio + 1
    return ratio.clamp(max=min_snr) / divisor


def denoising_losses(predicted: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
    """Mean squared error of each example, (B,), of `predicted` and `target`, both (B, C, h, w), in float32.

    `mask` (B, 1, h, w) in [0, 1] says how much each position counts; the sum is divided by the mask's own, so a small
    object weighs as much as one that fills its picture.
    """
    errors = (predicted.float() - target.float()).square()
    if mask is None:
        return errors.mean(dim=(1, 2, 3))
    counted = mask.sum(dim=(1, 2, 3)).clamp(min=1e-6) * errors.shape[1]
    return (errors * mask).sum(dim=(1, 2, 3)) / counted
