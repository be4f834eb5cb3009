"""What the rest of Pseudoword needs to know about a loaded diffusion model, and nothing more.

The trainer, the inspector and the layer comparison see a model only through these classes; `pseudoword.hosts`
implements them for the checkpoint loaded in the WebUI and for a standalone one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import torch
from PIL import Image
from torch import Tensor

Architecture = Literal["sd1", "sd2", "sdxl"]
Prediction = Literal["epsilon", "v"]
Precision = Literal["fp32", "bf16", "fp16"]

# Called between two passes through a model, while nothing is kept that hangs on its weights: whoever shares the model
# may use it meanwhile. What it raises ends the work that called it.
BetweenPasses: TypeAlias = Callable[[], None]


def go_on() -> None:
    """The `BetweenPasses` of those who share their model with nobody."""


@dataclass(frozen=True)
class NoiseSchedule:
    """The forward process of a latent diffusion model (Ho et al., 2020): how much signal is left at each timestep.

    `alphas_cumprod` is (T,), float32 or float64, falling from nearly 1 to nearly 0.
    """

    alphas_cumprod: Tensor

    @property
    def timesteps(self) -> int:
        """Number of timesteps T; valid timesteps are 0 … T-1."""
        return len(self.alphas_cumprod)

    def signal_and_noise_rates(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of signal and noise at `timesteps` (B,), each (B, 1, 1, 1), float32."""
        kept = self.alphas_cumprod.to(timesteps.device)[timesteps].double().view(-1, 1, 1, 1)
        return kept.sqrt().float(), (1 - kept).sqrt().float()

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """`latents` (B, C, h, w) as they look at `timesteps` (B,), mixed with `noise` of the same shape."""
        signal_rate, noise_rate = self.signal_and_noise_rates(timesteps)
        return signal_rate * latents + noise_rate * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor, prediction: Prediction) -> Tensor:
        """What the UNet should answer: the noise, or the velocity of Salimans & Ho (2022) for v-prediction."""
        if prediction == "epsilon":
            return noise
        signal_rate, noise_rate = self.signal_and_noise_rates(timesteps)
        return signal_rate * noise - noise_rate * latents

    def signal_to_noise(self, timesteps: Tensor) -> Tensor:
        """Signal-to-noise ratio (variance of signal over variance of noise) at `timesteps` (B,), shape (B,)."""
        signal_rate, noise_rate = self.signal_and_noise_rates(timesteps)
        return (signal_rate / noise_rate).square().view(-1)


@dataclass(frozen=True)
class LatentDistribution:
    """What the VAE encoder says of pictures: `mean` and `deviation`, each (B, 4, h, w), in the UNet's scale."""

    mean: Tensor
    deviation: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw of the latents, (B, 4, h, w); the same `generator` state gives the same draw."""
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype)
        return self.mean + self.deviation * noise.to(self.mean.device)


@dataclass(frozen=True)
class Conditioning:
    """What the UNet is told: `context` (B, 77·chunks, width), and for SDXL `pooled` (B, width)."""

    context: Tensor
    pooled: Tensor | None = None


class Tokenizer(Protocol):
    """CLIP's byte-pair tokenizer, without start, end and padding."""

    start_id: int
    end_id: int
    pad_id: int

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`, as many as it has, no start or end token."""
        ...

    def token_text(self, token_id: int) -> str:
        """The piece of text that a token stands for, `</w>` kept where it ends a word."""
        ...


class TextEncoder(Protocol):
    """One text tower: its vocabulary, and how vectors become conditioning."""

    name: str  # "clip_l", "clip_g" or "open_clip_h", as embedding files call them
    tokenizer: Tokenizer
    layer_count: int

    @property
    def vocabulary(self) -> Tensor:
        """Input vectors of all tokens, (V, D). Read only."""
        ...

    def encode(self, token_ids: Tensor, input_vectors: Tensor, clip_skip: int = 1) -> Tensor:
        """Hidden states (B, 77, D) of `input_vectors` (B, 77, D), standing in for the vectors of `token_ids` (B, 77).

        `clip_skip` 1 is the layer that the diffusion model was made with: the last, or for SD 2 and SDXL the one before
        it. 2 is the layer before that one, …. The final layer norm is applied to any of them, but for SDXL, which
        reads its layers without. Gradients flow to `input_vectors` where they are wanted. Raises SettingsError for
        a layer that is absent.
        """
        ...

    def encode_layers(self, token_ids: Tensor, input_vectors: Tensor, clip_skips: Sequence[int]) -> Tensor:
        """What `encode` gives for each of `clip_skips`, at least one: (len(clip_skips), B, 77, D), from one pass.

        The pass ends after the last block that is needed.
        """
        ...

    def pool(self, token_ids: Tensor, input_vectors: Tensor) -> Tensor | None:
        """What the UNet is told of whole texts, (B, P), by SDXL's CLIP-G alone, whatever layer is read; else None."""
        ...


@dataclass(frozen=True)
class LoadedEncoders:
    """The text encoders of the checkpoint that is loaded, one or for SDXL two, whatever else can be done with it.

    `title` is the checkpoint's for people; `identity` changes when another one is loaded.
    """

    title: str
    identity: str
    architecture: Architecture
    encoders: Sequence[TextEncoder]


@dataclass(frozen=True)
class Sampling:
    """How a picture is made: one `Sampling` and one seed give one picture."""

    width: int
    height: int
    steps: int = 20
    guidance: float = 5.0


class DiffusionModel(Protocol):
    """One loaded checkpoint."""

    title: str
    sha256: str  # of the checkpoint's weights, lower-case hex; ties runs and embeddings to it
    architecture: Architecture
    prediction: Prediction
    schedule: NoiseSchedule
    device: torch.device
    native_size: int  # pixels along one side of a training picture: 512, 768, 1024; 64 for the built-in model
    latent_factor: int  # pixels per latent position, 8 for all Stable Diffusion models
    precision: Precision | None  # number format of its passes where it decides itself; None leaves it to the caller

    @property
    def text_encoders(self) -> Sequence[TextEncoder]:
        """One, or for SDXL two."""
        ...

    def borrowed(self) -> AbstractContextManager[None]:
        """The model as training wants it, for as long as nobody else uses it; left as it was found.

        Raises TrainingError on entering where it is no longer the model it was, with the way back.
        """
        ...

    def encode_images(self, pixels: Tensor) -> LatentDistribution:
        """Latents of `pixels` (B, 3, H, W) in [-1, 1], H and W multiples of `latent_factor`."""
        ...

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [-1, 1] of `latents` (B, 4, h, w)."""
        ...

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's answer (B, 4, h, w) for noisy `latents` at `timesteps` (B,); gradients flow to `conditioning`."""
        ...

    def generate(
        self,
        conditioning: Conditioning,
        negative: Conditioning,
        sampling: Sampling,
        seeds: Sequence[int],
        between_steps: BetweenPasses = go_on,
    ) -> list[Image.Image]:
        """One RGB picture per row of `conditioning` (one row is used for all seeds) with its own seed from `seeds`."""
        ...
