"""Tiny models of real classes, with random weights, for every test that needs one.

    tokenizer()               CLIP's own byte-pair tokenizer, cut to 2,048 tokens
    text_model()              transformers' CLIPTextModel, 3 layers, 32 wide
    TinyModel()               a whole DiffusionModel without diffusers: runs under the WebUI's pins, too
    diffusers_parts()         diffusers' UNet and VAE that go with text_model()
    save_checkpoint(path)     those as a single file in the original LDM layout
    save_folder(path)         those as a diffusers folder; save_configuration(path) without the weights
    save_open_clip(folder)    an open_clip model as open_clip_config.json, open_clip_model.safetensors, bpe.txt.gz

Everything is the same at every call: seeds are fixed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pseudoword.diffusion import (
    Architecture,
    BetweenPasses,
    Conditioning,
    LatentDistribution,
    NoiseSchedule,
    Precision,
    Prediction,
    Sampling,
    TextEncoder,
    go_on,
)
from pseudoword.text import BytePairTokenizer, ClipTextEncoder
from pseudoword.text.tokenizer import byte_letters
from tests import ldm_layout

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

VOCABULARY_SIZE = 2048
WIDTH = 32
LAYERS = 3
SIZE = 32  # pixels along one side


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The same random numbers inside, whatever was drawn before; nothing changes outside."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@lru_cache
def tokenizer() -> BytePairTokenizer:
    """CLIP's tokenizer with its 1,534 most important merges: common short words are one token, others are several."""
    return BytePairTokenizer.clip(VOCABULARY_SIZE)


def text_config() -> dict[str, Any]:
    """The configuration of `text_model`, as transformers spells it."""
    return {
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
        "projection_dim": WIDTH,
        "hidden_act": "gelu",
        "bos_token_id": VOCABULARY_SIZE - 2,
        "eos_token_id": VOCABULARY_SIZE - 1,
        "pad_token_id": VOCABULARY_SIZE - 1,
    }


def text_model() -> CLIPTextModel:
    """A CLIP text tower with random weights, its vectors as long as a real one's (about 0.4)."""
    from transformers import CLIPTextConfig, CLIPTextModel

    with seeded(1):
        model = CLIPTextModel(CLIPTextConfig(**text_config()))
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.07 if "embedding" in name else 0.15)
    return model.eval().requires_grad_(False)


class TinyUNet(nn.Module):
    """Two convolutions around a cross-attention on the prompt; its answer hangs strongly on the prompt."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.time = nn.Linear(width, width)
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.norm = nn.GroupNorm(4, width)
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(WIDTH, width), nn.Linear(WIDTH, width)
        self.last = nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, latents: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        """The predicted noise (B, 4, h, w)."""
        angles = timesteps.float()[:, None] * torch.logspace(0, -3, self.time.in_features // 2, device=latents.device)
        time = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))  # (B, width)
        hidden = self.norm(F.silu(self.first(latents) + time[:, :, None, None]))  # (B, width, h, w)
        query = self.query(hidden.flatten(2).transpose(1, 2))  # (B, h·w, width)
        told = F.scaled_dot_product_attention(query, self.key(context), self.value(context))
        hidden = hidden + told.transpose(1, 2).unflatten(2, hidden.shape[2:])
        answer: Tensor = self.last(hidden)
        return answer


class TinyModel:
    """A small `pseudoword.diffusion.DiffusionModel` that needs no diffusers: 32-pixel pictures, 4×4 latents."""

    title = "tiny"
    architecture: Architecture = "sd1"
    native_size = SIZE
    latent_factor = 8
    precision: Precision | None = None

    def __init__(self, prediction: Prediction = "epsilon") -> None:
        self.prediction: Prediction = prediction
        self.sha256 = "7" * 64
        self.device = torch.device("cpu")
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
        self.schedule = NoiseSchedule((1 - betas).cumprod(0))
        self.text_encoders: Sequence[TextEncoder] = [ClipTextEncoder(text_model(), tokenizer())]
        with seeded(2):
            self.unet = TinyUNet().eval().requires_grad_(False)
            self.encoder = nn.Conv2d(3, 8, 8, stride=8).eval().requires_grad_(False)
            self.decoder = nn.ConvTranspose2d(4, 3, 8, stride=8).eval().requires_grad_(False)

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> LatentDistribution:
        """Latents of `pixels` (B, 3, H, W) in [-1, 1]."""
        mean, log_variance = self.encoder(pixels).chunk(2, dim=1)
        return LatentDistribution(mean, (0.5 * log_variance.clamp(-8, 2) - 1).exp())

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [-1, 1]."""
        pixels: Tensor = self.decoder(latents).tanh()
        return pixels

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's answer (B, 4, h, w)."""
        answer: Tensor = self.unet(latents, timesteps, conditioning.context)
        return answer

    def borrowed(self) -> AbstractContextManager[None]:
        """Nothing to prepare."""
        return nullcontext()

    @torch.no_grad()
    def generate(
        self,
        conditioning: Conditioning,
        negative: Conditioning,
        sampling: Sampling,
        seeds: Sequence[int],
        between_steps: BetweenPasses = go_on,
    ) -> list[Image.Image]:
        """One picture per seed; a few steps of DDIM without guidance are enough for a model that knows nothing."""
        shape = (1, 4, sampling.height // 8, sampling.width // 8)
        latents = torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        context = conditioning.context.expand(len(seeds), -1, -1)
        for timestep in torch.linspace(999, 0, min(sampling.steps, 4)).long():
            timesteps = timestep.expand(len(seeds))
            signal, noise = self.schedule.signal_and_noise_rates(timesteps)
            latents = (latents - noise * self.predict(latents, timesteps, Conditioning(context))) / signal.clamp(
                min=0.3
            )
            between_steps()
        pixels = ((self.decode_latents(latents) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
        return [Image.fromarray(picture.numpy()) for picture in pixels]


def unet_config() -> dict[str, Any]:
    """The configuration of the UNet in `diffusers_parts`."""
    return {
        "sample_size": SIZE // 8,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "block_out_channels": [32, 32],
        "layers_per_block": 1,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 2,
    }


def vae_config() -> dict[str, Any]:
    """The configuration of the VAE in `diffusers_parts`."""
    return {
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [8, 8, 8, 8],
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": SIZE,
        "scaling_factor": 0.18215,
    }


SCHEDULER_CONFIG: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
}


def diffusers_parts() -> tuple[UNet2DConditionModel, AutoencoderKL]:
    """diffusers' UNet (32 wide, two levels) and VAE (factor 8) with random weights."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    with seeded(3):
        return UNet2DConditionModel(**unet_config()).eval(), AutoencoderKL(**vae_config()).eval()


def checkpoint_tensors() -> dict[str, Tensor]:
    """All tensors of `diffusers_parts` and `text_model` under the names of the original layout."""
    return ldm_layout.checkpoint_tensors(*diffusers_parts(), text_model())


def save_checkpoint(path: Path, tensors: dict[str, Tensor] | None = None) -> Path:
    """A single-file checkpoint in safetensors, of `checkpoint_tensors()` or of others."""
    from safetensors.torch import save_file

    save_file(tensors or checkpoint_tensors(), path)
    return path


def save_configuration(folder: Path) -> Path:
    """What `save_folder` writes, without weights: the configuration that goes with `save_checkpoint`."""
    parts = {
        "unet/config.json": unet_config(),
        "vae/config.json": vae_config(),
        "text_encoder/config.json": text_config(),
    }
    parts["scheduler/scheduler_config.json"] = SCHEDULER_CONFIG
    parts["model_index.json"] = {
        "_class_name": "StableDiffusionPipeline",
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    for name, content in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=1))
    save_tokenizer(folder / "tokenizer")
    return folder


def save_folder(folder: Path) -> Path:
    """A diffusers folder of `diffusers_parts`, `text_model` and `tokenizer`, in safetensors."""
    save_configuration(folder)
    unet, vae = diffusers_parts()
    for name, part in (("unet", unet), ("vae", vae), ("text_encoder", text_model())):
        part.save_pretrained(str(folder / name))
    return folder


def save_tokenizer(folder: Path) -> None:
    """`vocab.json` and `merges.txt` of `tokenizer()`, and the configuration that transformers wants beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = list(byte_letters().values())
    merges = merges_prefix()
    texts = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge) for merge in merges)]
    texts += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({text: index for index, text in enumerate(texts)}), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    special["unk_token"] = "<|endoftext|>"
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(special | {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77})
    )


def merges_prefix() -> list[tuple[str, str]]:
    """The merges of `tokenizer()`."""
    from importlib.util import find_spec

    from pseudoword.text.tokenizer import read_merges

    package = find_spec("open_clip")
    assert package is not None and package.origin is not None
    return read_merges(Path(package.origin).parent / "bpe_simple_vocab_16e6.txt.gz")[: VOCABULARY_SIZE - 512 - 2]


def save_open_clip(folder: Path) -> Path:
    """An open_clip model (32-pixel pictures, 16-wide features) in `folder`, laid out as the built-in one is."""
    import open_clip
    from safetensors.torch import save_file

    config: dict[str, Any] = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": SIZE, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": VOCABULARY_SIZE, "width": WIDTH, "heads": 2, "layers": 1},
    }
    folder.mkdir(parents=True, exist_ok=True)
    with seeded(4):
        model = open_clip.CLIP(
            **{key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
        )
    save_file(
        {name: weight.contiguous() for name, weight in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    preprocess = {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=1)
    )
    # No line break at the end: open_clip's tokenizer would take what follows it for one more merge.
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges_prefix())]
    (folder / "bpe.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return folder
