"""diffusers' names of UNet and VAE tensors turned into those of the original Stable Diffusion 1.x layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet_name(name: str, layers: int, attended: Mapping[int, bool]) -> str:
    """The original name; `layers` per block, and whether each up block is `attended` by the prompt."""
    if match := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)", name):
        way, block, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
        side, first = ("input_blocks", 1) if way == "down" else ("output_blocks", 0)
        place = first + block * (layers + 1) + layer
        if kind == "resnets":
            return f"{side}.{place}.0.{resnet_name(rest)}"
        if kind == "attentions":
            return f"{side}.{place}.1.{rest}"
        if kind == "downsamplers":
            return f"input_blocks.{(block + 1) * (layers + 1)}.0.{rest.replace('conv.', 'op.')}"
        return f"output_blocks.{block * (layers + 1) + layers}.{2 if attended[block] else 1}.{rest}"
    if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)", name):
        if match[1] == "attentions":
            return f"middle_block.1.{match[3]}"
        return f"middle_block.{2 * int(match[2])}.{resnet_name(match[3])}"
    start, end = name.rsplit(".", 1)
    return f"{ENDS[start]}.{end}"


def resnet_name(rest: str) -> str:
    """The original name of a part of a UNet's residual block."""
    part, end = rest.rsplit(".", 1)
    return f"{RESNET[part]}.{end}"


def vae_name(name: str, blocks: int) -> str:
    """The original name in a VAE of as many `blocks` at each side."""
    name = re.sub(r"decoder\.up_blocks\.(\d+)", lambda match: f"decoder.up.{blocks - 1 - int(match[1])}", name)
    name = name.replace("down_blocks.", "down.").replace("resnets.", "block.").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.block\.(\d+)", lambda match: f"mid.block_{int(match[1]) + 1}", name)
    name = re.sub(r"(down|up)samplers\.0", r"\1sample", name).replace("conv_norm_out", "norm_out")
    if "mid_block.attentions.0" in name:
        for theirs, original in ATTENTION.items():
            name = name.replace(f".{theirs}.", f".{original}.")
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
    return name


def checkpoint_tensors(unet: Any, vae: Any, text: Any) -> dict[str, Tensor]:
    """All tensors of a single-file checkpoint of diffusers' `unet` and `vae` and transformers' `text`."""
    attended = {index: hasattr(block, "attentions") for index, block in enumerate(unet.up_blocks)}
    layers, blocks = unet.config["layers_per_block"], len(vae.config["block_out_channels"])
    tensors = {
        f"model.diffusion_model.{unet_name(name, layers, attended)}": value for name, value in unet.state_dict().items()
    }
    for name, value in vae.state_dict().items():
        original = vae_name(name, blocks)
        if ".attn_1." in original and original.endswith("weight") and value.ndim == 2:
            value = value[:, :, None, None]  # a 1×1 convolution there
        tensors[f"first_stage_model.{original}"] = value
    for name, value in getattr(text, "text_model", text).state_dict().items():
        tensors[f"cond_stage_model.transformer.text_model.{name}"] = value
    return {name: value.detach().contiguous().clone() for name, value in tensors.items()}
