"""The built-in model's autoencoder: 64×64 pixels to 4×8×8 latents and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

from . import loop, pictures

CHANNELS = (32, 32, 64, 96)
KL_WEIGHT = 1e-6
# Most is learned from quarter crops, at a quarter of the price; the rest of the time teaches the middle whole pictures.
CROP, CROP_BATCH, WHOLE_BATCH = 32, 16, 8
CROP_FRACTION = 0.6


def build() -> AutoencoderKL:
    """The autoencoder with random weights."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(CHANNELS),
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=32,
        sample_size=pictures.SIZE,
    )


def to_pixels(raster: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) as float32 (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(raster)).permute(0, 3, 1, 2).float() / 127.5 - 1


def psnr(first: Tensor, second: Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of pictures (B, 3, H, W) in [-1, 1]."""
    error = ((first.clamp(-1, 1) - second.clamp(-1, 1)) / 2).square().mean(dim=(1, 2, 3))
    return float((-10 * error.clamp(min=1e-10).log10()).mean())


def batch(raster: np.ndarray, step: int, fraction: float) -> Tensor:
    """Training pixels of one step: crops (16, 3, 32, 32) at first, whole pictures (8, 3, 64, 64) later."""
    draw = np.random.default_rng((1, step))
    crops = fraction < CROP_FRACTION
    chosen = raster[np.sort(draw.choice(len(raster), CROP_BATCH if crops else WHOLE_BATCH, replace=False))]
    if crops:
        places = draw.integers(0, pictures.SIZE - CROP + 1, (len(chosen), 2))
        chosen = np.stack([one[y : y + CROP, x : x + CROP] for one, (y, x) in zip(chosen, places, strict=True)])
    return to_pixels(chosen)


def reconstruct(model: AutoencoderKL, pixels: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Decoded draw (B, 3, H, W) of the posterior of `pixels`, and the posterior's mean divergence from the prior."""
    posterior = model.encode(pixels).latent_dist
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    decoded = model.decode(mean + (0.5 * logvar).exp() * noise).sample.float()
    divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(dim=(1, 2, 3)).mean()
    return decoded, divergence


def train(work: Path, minutes: float) -> None:
    """Train it on the seen pictures; each save prints the PSNR on held-out ones."""
    raster, _ = pictures.load(work)
    held_out, _ = pictures.load(work, held_out=True)
    sample = to_pixels(held_out[:: max(1, len(held_out) // 256)][:256])
    torch.manual_seed(1)
    model = build()

    forward = torch.compile(reconstruct, dynamic=False)

    def loss_at(step: int, fraction: float) -> tuple[Tensor, dict[str, float]]:
        pixels = batch(raster, step, fraction)
        side = pixels.shape[-1] // 8
        noise = torch.randn(len(pixels), 4, side, side, generator=torch.Generator().manual_seed(step))
        decoded, divergence = forward(model, pixels, noise)
        square = F.mse_loss(decoded, pixels)
        loss = square + 0.2 * F.l1_loss(decoded, pixels) + KL_WEIGHT * divergence
        return loss, {"psnr": float(-10 * (square.detach() / 4).log10())}

    def report(module: nn.Module, step: int) -> str:
        assert isinstance(module, AutoencoderKL)
        decoded = module.decode(module.encode(sample).latent_dist.mean).sample
        return f"held-out PSNR {psnr(decoded, sample):.2f} dB"

    loop.train("vae", model, loss_at, work, minutes=minutes, peak_rate=2e-3, on_save=report)
