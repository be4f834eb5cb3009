"""The denoising loss, its weights, and the timesteps it is taken at."""

from __future__ import annotations

import torch
from torch import Tensor

from pseudoword.diffusion import NoiseSchedule, Prediction

FEWEST_STRATA = 16


def steps_per_round(count: int) -> int:
    """Steps of `count` examples each over which the noise range is divided, so that it has at least 16 strata."""
    return -(-FEWEST_STRATA // count)


def stratified_timesteps(steps: int, count: int, timesteps: int, generator: torch.Generator) -> Tensor:
    """Timesteps in [0, timesteps) of `steps` steps with `count` examples each, (steps, count) int64.

    One is from each of steps · count equal strata, and in each step one from each of `count`; their order is random.
    Drawing every part of the noise range equally often keeps the expectation of uniform draws and removes most of the
    variance between steps, since the loss depends far more on the timestep than on the picture.
    """
    fine = torch.rand(count, steps, generator=generator).argsort(dim=1)  # which part of each coarse stratum, by step
    offsets = torch.rand(count, steps, generator=generator, dtype=torch.float64)
    places = torch.arange(count)[:, None] + (fine + offsets) / steps  # (count, steps), in [0, count)
    drawn = (places / count * timesteps).long().clamp_(max=timesteps - 1).T
    return drawn.gather(1, torch.rand(steps, count, generator=generator).argsort(dim=1))


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
