"""Checkpoints with random weights, made and loaded in the WebUI's own process; for what the WebUI's Python runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip as open_clip_package
import torch
from ldm.util import instantiate_from_config
from modules import sd_disable_initialization, sd_models, sd_models_config
from omegaconf import OmegaConf  # type: ignore[import-not-found]
from safetensors.torch import save_file
from torch import Tensor

SMALL_UNET = {"model_channels": 32, "num_head_channels": 16, "channel_mult": [1, 2], "attention_resolutions": [1, 2]}


def net() -> Any:
    """The WebUI's model."""
    return sd_models.model_data.sd_model


def load(name: str) -> None:
    """Have the WebUI load a checkpoint, as it does when one is chosen."""
    info = next(info for info in sd_models.checkpoints_list.values() if info.name_for_extra == name)
    if net() is None:
        sd_models.load_model(info)
    else:
        sd_models.reload_model_weights(info=info)


def make_checkpoint(name: str, clip: str, open_clip: str, seed: int) -> None:
    """A checkpoint with random weights in fp16, and its YAML: the WebUI's own, with other towers and a small UNet.

    Its VAE is small, too. What stands in `name` behind a hyphen is its kind: sd2, sdxl or refiner. `clip` is a folder
    of transformers' configuration and tokenizer, `open_clip` an architecture.
    """
    kind = {"sd2": "config_sd2", "sdxl": "config_sdxl", "refiner": "config_sdxl_refiner"}[name.split("-")[1]]
    config = OmegaConf.load(getattr(sd_models_config, kind))
    small = config.model.params.get("network_config", config.model.params.get("unet_config")).params
    small.update({**SMALL_UNET, "num_res_blocks": 1, "transformer_depth": [1, 1] if "sdxl" in kind else 1})
    tower_of_clip = json.loads((Path(clip) / "config.json").read_text())
    tower = open_clip_package.get_model_config(open_clip)
    small.context_dim = tower["text_cfg"]["width"] + (tower_of_clip["hidden_size"] if kind == "config_sdxl" else 0)
    if "adm_in_channels" in small:  # what is told of a whole text, and sizes
        small.adm_in_channels = tower["embed_dim"] + (1536 if kind == "config_sdxl" else 1280)
    config.model.params.first_stage_config.params.ddconfig.ch = 32
    if "conditioner_config" in config.model.params:
        embedders = list(config.model.params.conditioner_config.params.emb_models)
    else:
        embedders = [config.model.params.cond_stage_config]
    for each in embedders:
        if "OpenCLIP" in each.target:
            each.params.arch = open_clip
        elif each.params.get("layer") == "hidden":
            each.params.version = clip
            each.params.layer_idx = tower_of_clip["num_hidden_layers"] - 1
    path = Path(sd_models.model_path) / f"{name}.safetensors"
    path.with_suffix(".yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    with sd_disable_initialization.DisableInitialization(), sd_disable_initialization.InitializeOnMeta():
        made = instantiate_from_config(config.model)
    random = torch.Generator().manual_seed(seed)
    weights = {key: weights_like(key, value, random) for key, value in made.named_parameters()}
    rest = {key: value.contiguous() for key, value in made.state_dict().items() if key not in weights}
    save_file(weights | rest, path)


def weights_like(key: str, weight: Tensor, random: torch.Generator) -> Tensor:
    """Random weights of the size that trained ones have, in fp16."""
    numbers = torch.randn(weight.shape, generator=random)
    if weight.ndim < 2:
        return (numbers * 0.1 + (1 if "norm" in key or "ln_" in key else 0)).half()
    fan_in = 2500 if "embedding" in key else weight[0].numel()
    return (numbers / fan_in**0.5).half()
