"""Checkpoint files: what they hold, told from their tensors, and the configuration that goes with them.

Nothing is fetched and no pickle is executed: configurations are written down here or lie beside the weights.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..diffusion import Prediction
from ..embedding.safetensors_file import looks_like_safetensors
from ..errors import ModelError

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
VOCABULARY_KEY = "embeddings.token_embedding.weight"


@dataclass(frozen=True)
class Configuration:
    """The make of a Stable Diffusion 1.x model, as diffusers spells it (`text` as transformers does).

    `tokenizer` is the folder of the tokenizer's files; None stands for CLIP's own.
    """

    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    text: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    tokenizer: Path | None = None

    @property
    def prediction(self) -> Prediction:
        """What the UNet answers."""
        return "v" if self.scheduler.get("prediction_type") == "v_prediction" else "epsilon"


SD1 = Configuration(
    unet={
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    vae={
        "sample_size": 512,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    },
    text={
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
        "projection_dim": 768,
    },
    scheduler={"num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
)
"""Stable Diffusion 1.x, after the configuration that was published with its weights."""


def read_configuration(folder: Path) -> Configuration:
    """The configuration of a diffusers folder, with or without weights in it. Raises ModelError."""
    parts = {}
    for part, name in (
        ("unet", "config"),
        ("vae", "config"),
        ("text_encoder", "config"),
        ("scheduler", "scheduler_config"),
    ):
        path = folder / part / f"{name}.json"
        try:
            parts[part] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read as part of a diffusers folder: {error}") from error
        if not isinstance(parts[part], dict):
            raise ModelError(f"{path} is not a configuration: it must hold a JSON object.")
    text = parts["text_encoder"]
    if parts["unet"].get("cross_attention_dim") != text.get("hidden_size") or parts["unet"].get("in_channels", 4) != 4:
        raise ModelError(
            f"{folder} is not a Stable Diffusion 1.x text-to-image model; this host loads only those for now."
        )
    if parts["unet"].get("cross_attention_dim") == 1024:
        raise ModelError(f"{folder} is a Stable Diffusion 2.x model; this host loads Stable Diffusion 1.x for now.")
    return Configuration(parts["unet"], parts["vae"], text, parts["scheduler"], folder / "tokenizer")


def weights_in(folder: Path) -> Path:
    """The weights of one part of a diffusers folder, in full precision where both are there. Raises ModelError."""
    stem = "model" if folder.name.startswith("text_encoder") else "diffusion_pytorch_model"
    for path in (folder / f"{stem}.safetensors", folder / f"{stem}.fp16.safetensors"):
        if path.exists():
            return path
    raise ModelError(f"{folder} has no {stem}.safetensors; convert the model's weights to safetensors.")


def is_pickled(path: Path) -> bool:
    """Whether a single-file checkpoint is a `.ckpt` and no safetensors file, told by content. Raises ModelError."""
    try:
        with path.open("rb") as file:
            beginning = file.read(10)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); give a checkpoint file or a diffusers folder."
        ) from error
    # Safetensors first: its file begins with the header's length, whose lowest byte may be that of a pickle.
    return not looks_like_safetensors(beginning) and (beginning[:2] == b"PK" or beginning[:1] == b"\x80")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a single-file checkpoint, safetensors or `.ckpt`, told apart by content. Raises ModelError."""
    if is_pickled(path):
        return read_pickled(path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelError(
            f"{path} is cut off or not a checkpoint ({path.stat().st_size:,} bytes: {error}); download it again."
        ) from error


def read_pickled(path: Path, mapped: bool = False) -> dict[str, Tensor]:
    """The tensors of a `.ckpt`, where they can be read without executing anything. Raises ModelError.

    `mapped` leaves their numbers in the file until they are used, which a file that torch saved before 1.6 is not fit
    for.
    """
    try:
        # Not torch.load, which the WebUI replaces by one that hides errors; and torch 2.1 maps no Path, only a text.
        content = torch.serialization.load(str(path), map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds Python objects beside its weights, and opening it could run a program; convert it to "
            f"safetensors first (the WebUI's Checkpoint Merger does that: Save as safetensors)."
        ) from error
    except Exception as error:  # over a damaged pickle torch's reader stumbles in any way
        raise ModelError(
            f"{path} is cut off or not a checkpoint ({' '.join(str(error).split())[:200]}); download it again."
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no weights by name, so it is not a checkpoint; give one of Stable Diffusion.")
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}


def require_sd1(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raises ModelError, saying what the file is, unless it holds the UNet, VAE and CLIP of Stable Diffusion 1.x."""

    def has(prefix: str) -> bool:
        return any(name.startswith(prefix) for name in tensors)

    found = None
    if has("conditioner.embedders."):
        found = "an SDXL checkpoint"
    elif has("cond_stage_model.model."):
        found = "a Stable Diffusion 2.x checkpoint"
    elif any("lora_" in name for name in tensors):
        found = "a LoRA, which only changes a checkpoint"
    elif has("emb_params") or has("string_to_param") or has("clip_l"):
        found = "an embedding"
    elif has("down_blocks.") or has("encoder.down_blocks."):
        found = "one part of a diffusers folder (give the folder that has model_index.json)"
    elif not has(UNET + "input_blocks."):
        some = ", ".join(list(tensors)[:2]) or "none"
        found = f"no checkpoint of that kind ({len(tensors)} tensors: {some} …)"
    if found is not None:
        raise ModelError(f"{path} is {found}; this host loads Stable Diffusion 1.x checkpoints for now.")
    lacks = [name for prefix, name in ((VAE, "VAE"), (TEXT, "text encoder")) if not has(prefix)]
    if lacks:
        raise ModelError(f"{path} lacks its {' and '.join(lacks)}; give a full Stable Diffusion 1.x checkpoint.")
    first = tensors.get(UNET + "input_blocks.0.0.weight")
    if first is not None and first.ndim == 4 and first.shape[1] != 4:
        raise ModelError(
            f"{path} wants {first.shape[1]} input channels (inpainting or similar); "
            f"give a text-to-image checkpoint, which has 4."
        )


def text_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The text tower's tensors, named without `text_model.`, as old and new checkpoints alike have them."""
    named = {
        name.removeprefix(TEXT).removeprefix("text_model."): value
        for name, value in tensors.items()
        if name.startswith(TEXT)
    }
    return {
        name: value for name, value in named.items() if not name.endswith("position_ids") and "projection" not in name
    }


def is_v_prediction(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Whether the checkpoint says so.

    It does by a tensor `v_pred`, by `modelspec.prediction_type` in its metadata, or by `parameterization: v` in the
    YAML beside it.
    """
    if "v_pred" in tensors or read_metadata(path).get("modelspec.prediction_type") == "v":
        return True
    beside = path.with_suffix(".yaml")
    text = beside.read_text(encoding="utf-8", errors="replace") if beside.exists() else ""
    return re.search(r"""^\s*parameterization\s*:\s*["']?v["']?\s*(#.*)?$""", text, re.MULTILINE) is not None


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing for files of another kind."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except SafetensorError:
        return {}


def sha256_of(files: list[Path]) -> str:
    """SHA-256 of the files' bytes one after the other, lower-case hex; for one file, what the WebUI shows."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
