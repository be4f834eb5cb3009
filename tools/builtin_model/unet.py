"""The built-in model's UNet: 4×8×8 latents, told what to draw by the frozen text tower."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import open_clip
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from . import clip, loop, pictures, vae

CHANNELS = (64, 128)
HEADS = 4
BATCH = 64
CAPTION_DROPOUT = 0.1
SNR_CAP = 5.0  # Min-SNR (Hang et al., 2023)
BETA_START, BETA_END, TIMESTEPS = 0.00085, 0.012, 1000


def build() -> UNet2DConditionModel:
    """The UNet with random weights."""
    return UNet2DConditionModel(
        sample_size=pictures.SIZE // 8,
        in_channels=4,
        out_channels=4,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * len(CHANNELS),
        up_block_types=("CrossAttnUpBlock2D",) * len(CHANNELS),
        cross_attention_dim=128,
        attention_head_dim=HEADS,
        norm_num_groups=32,
    )


def alphas_cumprod() -> Tensor:
    """Stable Diffusion's scaled-linear schedule, (1000,) float64."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


@torch.no_grad()
def text_context(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """Hidden states (B, 77, 128) after the final layer norm: what SD 1.x gives its UNet.

    SD 1.x fills a prompt up with the end token, where open_clip's `tokens` (B, 77) hold zeros.
    """
    end = tokens.amax(dim=1, keepdim=True)  # the end token is the last of the vocabulary
    tokens = torch.where((tokens == end).cumsum(dim=1) > 0, end, tokens)
    x = model.token_embedding(tokens) + model.positional_embedding
    return model.ln_final(model.transformer(x, attn_mask=model.attn_mask))


@torch.no_grad()
def prepare_latents(work: Path) -> tuple[Tensor, Tensor, float]:
    """Mean and deviation (N, 4, 8, 8) of all seen pictures in the UNet's scale, and that scale; computed once."""
    path = work / "latents.pt"
    if not path.exists():
        autoencoder = loop.load_averaged("vae", vae.build(), work)
        assert isinstance(autoencoder, AutoencoderKL)
        raster, _ = pictures.load(work)
        means, deviations = [], []
        for start in tqdm(range(0, len(raster), 64), desc="latents", disable=None):
            posterior = autoencoder.encode(vae.to_pixels(raster[start : start + 64])).latent_dist
            means.append(posterior.mean.float())
            deviations.append(posterior.std.float())
        mean, deviation = torch.cat(means), torch.cat(deviations)
        scale = float(1 / (mean.var() + deviation.square().mean()).sqrt())
        torch.save({"mean": mean * scale, "deviation": deviation * scale, "scale": scale}, path)
    saved = torch.load(path, weights_only=True)
    return saved["mean"], saved["deviation"], saved["scale"]


@torch.no_grad()
def prepare_contexts(work: Path) -> Tensor:
    """Text context (N + 1, 77, 128) bfloat16 of a caption for each seen picture, the empty one last; made once."""
    path = work / "contexts.pt"
    if not path.exists():
        model = clip.load(work)
        tokenize = clip.tokenizer(work)
        _, shown = pictures.load(work)
        draw = random.Random(3)
        captions = [pictures.caption(picture, draw) for picture in shown] + [""]
        contexts = torch.empty(len(captions), clip.TEXT_LENGTH, 128, dtype=torch.bfloat16)
        for start in tqdm(range(0, len(captions), 128), desc="contexts", disable=None):
            contexts[start : start + 128] = text_context(model, tokenize(captions[start : start + 128]))
        torch.save(contexts, path)
    return torch.load(path, weights_only=True, mmap=True)


def train(work: Path, minutes: float) -> None:
    """Train it on the latents and captions of the seen pictures; each save prints the loss on fixed inputs."""
    mean, deviation, _ = prepare_latents(work)
    contexts = prepare_contexts(work)
    schedule = alphas_cumprod()
    torch.manual_seed(3)
    model = build()
    forward = torch.compile(model, dynamic=False)

    def noisy(indices: np.ndarray, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        latents = mean[indices] + deviation[indices] * torch.randn(len(indices), 4, 8, 8, generator=generator)
        strata = (torch.arange(len(indices)) + torch.rand(len(indices), generator=generator)) / len(indices)
        timesteps = (strata * TIMESTEPS).long()
        noise = torch.randn(latents.shape, generator=generator)
        kept = schedule[timesteps].view(-1, 1, 1, 1)
        return (kept.sqrt() * latents + (1 - kept).sqrt() * noise).float(), noise, timesteps

    def loss_at(step: int, fraction: float) -> tuple[Tensor, dict[str, float]]:
        draw = np.random.default_rng((3, step))
        indices = draw.choice(len(mean), BATCH, replace=False)
        captions = np.where(draw.random(BATCH) < CAPTION_DROPOUT, len(contexts) - 1, indices)
        latents, noise, timesteps = noisy(indices, torch.Generator().manual_seed(step))
        predicted = forward(latents, timesteps, contexts[captions].float(), return_dict=False)[0].float()
        error = (predicted - noise).square().mean(dim=(1, 2, 3))
        snr = schedule[timesteps] / (1 - schedule[timesteps])
        weight = (snr.clamp(max=SNR_CAP) / snr).float()
        return (error * weight).mean() / weight.mean(), {"plain": float(error.detach().mean())}

    def report(module: nn.Module, step: int) -> str:
        draw = np.random.default_rng(4)
        indices = draw.choice(len(mean), 512, replace=False)
        latents, noise, timesteps = noisy(indices, torch.Generator().manual_seed(4))
        predicted = module(latents, timesteps, contexts[indices].float()).sample
        return f"loss on fixed inputs {F.mse_loss(predicted, noise):.4f}"

    loop.train("unet", model, loss_at, work, minutes=minutes, peak_rate=1e-3, averaging=0.999, on_save=report)
