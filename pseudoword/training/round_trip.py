"""What the VAE makes of a picture, there and back: nothing of it can be learned that is lost on this way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ..diffusion import BetweenPasses, DiffusionModel, go_on

SMALLEST_ERROR = 2**2 / 1e10


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """A picture that went through the VAE, and `psnr`: its likeness to what went in, in dB."""

    picture: Image.Image
    psnr: float


@torch.no_grad()
def round_trip(
    model: DiffusionModel, pixels: Tensor, mask: Tensor | None = None, between_passes: BetweenPasses = go_on
) -> RoundTrip:
    """The way of `pixels` (3, H, W) in [-1, 1] to the mean of their latents and back.

    Where `mask` (1, h, w) of latent size is 0, nothing counts for the PSNR.
    """
    latents = model.encode_images(pixels[None].to(model.device)).mean.float().cpu()
    between_passes()
    decoded = model.decode_latents(latents.to(model.device))[0].float().cpu().clamp(-1, 1)
    return RoundTrip(as_picture(decoded), psnr(pixels, decoded, mask))


def psnr(pixels: Tensor, others: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB of two pictures (3, H, W) in [-1, 1]: 10·log10(range² / mean squared error).

    At most 100, which pictures that are the same have.
    """
    squared = (pixels.double() - others.double()).square().mean(dim=0, keepdim=True)  # (1, H, W)
    if mask is None or not mask.any():
        error = float(squared.mean())
    else:
        factor = squared.shape[-1] // mask.shape[-1]
        weights = mask.double().repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)
        error = float((squared * weights).sum() / weights.sum())
    return 10 * math.log10(2**2 / max(error, SMALLEST_ERROR))


def as_picture(pixels: Tensor) -> Image.Image:
    """RGB picture of `pixels` (3, H, W) in [-1, 1]."""
    return Image.fromarray(((pixels + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
