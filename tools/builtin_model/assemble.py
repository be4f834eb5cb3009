"""The trained parts as the files that ship: one checkpoint in the original LDM layout, and the open_clip model.

Key names follow CompVis/stable-diffusion (what AUTOMATIC1111 loads); diffusers reads the same file with the
configuration folder written beside it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from . import clip, loop, pictures, unet, vae

TITLE = "pseudoword-mini"
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def ldm_unet_key(key: str, levels: int, layers: int) -> str:
    """LDM's name of a diffusers UNet weight; each level holds `layers` residual blocks, with attention in all."""
    fixed = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    for ours, theirs in fixed.items():
        if key.startswith(ours + "."):
            return theirs + key[len(ours) :]
    if match := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", key):
        kind, index, rest = match.groups()
        return f"middle_block.{int(index) * 2}.{resnet_key(rest)}" if kind == "resnets" else f"middle_block.1.{rest}"
    match = re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.*)", key)
    assert match is not None, key
    way, level, kind, index, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if way == "down":
        first = 1 + level * (layers + 1)
        if kind == "downsamplers":
            return f"input_blocks.{first + layers}.0.{rest.replace('conv', 'op')}"
        block = f"input_blocks.{first + index}"
    else:
        first = level * (layers + 1)
        if kind == "upsamplers":
            return f"output_blocks.{first + layers}.2.{rest}"
        block = f"output_blocks.{first + index}"
    return f"{block}.0.{resnet_key(rest)}" if kind == "resnets" else f"{block}.1.{rest}"


def resnet_key(rest: str) -> str:
    """LDM's name within a residual block of the UNet."""
    name, _, parameter = rest.rpartition(".")
    return f"{RESNET[name]}.{parameter}"


def ldm_vae_key(key: str, levels: int) -> str:
    """LDM's name of a diffusers AutoencoderKL weight."""
    key = key.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", key)
    if "mid_block.attentions.0." in key:
        head, _, rest = key.partition("mid_block.attentions.0.")
        name, _, parameter = rest.rpartition(".")
        return f"{head}mid.attn_1.{ATTENTION[name]}.{parameter}"
    key = re.sub(r"down_blocks\.(\d)\.resnets\.", r"down.\1.block.", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0\.", r"down.\1.downsample.", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets\.", lambda found: f"up.{levels - 1 - int(found[1])}.block.", key)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0\.", lambda found: f"up.{levels - 1 - int(found[1])}.upsample.", key)


def transformers_text_weights(model: open_clip.CLIP) -> dict[str, Tensor]:
    """open_clip's text tower under the names of transformers' CLIPTextModel, which SD 1.x checkpoints use."""
    weights = {
        "embeddings.token_embedding.weight": model.token_embedding.weight,
        "embeddings.position_embedding.weight": model.positional_embedding,
        "final_layer_norm.weight": model.ln_final.weight,
        "final_layer_norm.bias": model.ln_final.bias,
    }
    for index, block in enumerate(model.transformer.resblocks):
        layer = f"encoder.layers.{index}"
        for ours, module in (
            ("layer_norm1", block.ln_1),
            ("layer_norm2", block.ln_2),
            ("mlp.fc1", block.mlp.c_fc),
            ("mlp.fc2", block.mlp.c_proj),
            ("self_attn.out_proj", block.attn.out_proj),
        ):
            weights[f"{layer}.{ours}.weight"], weights[f"{layer}.{ours}.bias"] = module.weight, module.bias
        parts = zip("qkv", block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3), strict=True)
        for part, weight, bias in parts:
            weights[f"{layer}.self_attn.{part}_proj.weight"], weights[f"{layer}.self_attn.{part}_proj.bias"] = (
                weight,
                bias,
            )
    return weights


def checkpoint_weights(denoiser: nn.Module, autoencoder: nn.Module, model: open_clip.CLIP) -> dict[str, Tensor]:
    """All weights of the single-file checkpoint, fp16, in LDM's layout."""
    weights = {}
    for key, value in denoiser.state_dict().items():
        weights["model.diffusion_model." + ldm_unet_key(key, len(unet.CHANNELS), 1)] = value
    for key, value in autoencoder.state_dict().items():
        name = ldm_vae_key(key, len(vae.CHANNELS))
        is_projection = "attn_1" in name and value.ndim == 2
        weights["first_stage_model." + name] = value[:, :, None, None] if is_projection else value
    for key, value in transformers_text_weights(model).items():
        weights["cond_stage_model.transformer.text_model." + key] = value
    return {key: value.detach().half().contiguous() for key, value in weights.items()}


def ldm_config(scale: float) -> str:
    """The YAML that AUTOMATIC1111 and LDM read.

    Its `version` is the folder of the text tower's configuration and tokenizer. AUTOMATIC1111 hands it to transformers
    as it is, so a relative one counts from the folder in which the WebUI was started.
    """
    return f"""\
# For AUTOMATIC1111's WebUI: copy {TITLE}.safetensors, this file and the folder {TITLE}/ into its
# models/Stable-diffusion/. Where models lie elsewhere (--data-dir, --ckpt-dir), or the WebUI is started from a folder
# that is not its own, write the full path of {TITLE}/tokenizer after `version:` below.
model:
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: {unet.BETA_START}
    linear_end: {unet.BETA_END}
    timesteps: {unet.TIMESTEPS}
    num_timesteps_cond: 1
    log_every_t: 200
    first_stage_key: jpg
    cond_stage_key: txt
    image_size: {pictures.SIZE // 8}
    channels: 4
    cond_stage_trainable: false
    conditioning_key: crossattn
    scale_factor: {scale:.6f}
    use_ema: false
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        image_size: {pictures.SIZE // 8}
        in_channels: 4
        out_channels: 4
        model_channels: {unet.CHANNELS[0]}
        attention_resolutions: [1, 2]
        num_res_blocks: 1
        channel_mult: [1, 2]
        num_heads: {unet.HEADS}
        use_spatial_transformer: true
        transformer_depth: 1
        context_dim: 128
        use_checkpoint: false
        legacy: false
    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        embed_dim: 4
        ddconfig:
          double_z: true
          z_channels: 4
          resolution: {pictures.SIZE}
          in_channels: 3
          out_ch: 3
          ch: 32
          ch_mult: [1, 1, 2, 3]
          num_res_blocks: 1
          attn_resolutions: []
          dropout: 0.0
        lossconfig:
          target: torch.nn.Identity
    cond_stage_config:
      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
      params:
        version: models/Stable-diffusion/{TITLE}/tokenizer
"""


def text_config() -> dict[str, Any]:
    """transformers' configuration of the text tower."""
    text = clip.CONFIG["text_cfg"]
    return {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": clip.VOCABULARY,
        "hidden_size": text["width"],
        "intermediate_size": text["width"] * 4,
        "num_hidden_layers": text["layers"],
        "num_attention_heads": text["heads"],
        "max_position_embeddings": clip.TEXT_LENGTH,
        "projection_dim": clip.CONFIG["embed_dim"],
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-05,
        "bos_token_id": clip.VOCABULARY - 2,
        "eos_token_id": clip.VOCABULARY - 1,
        "pad_token_id": clip.VOCABULARY - 1,
    }


def write_tokenizer(folder: Path) -> None:
    """vocab.json, merges.txt and their configuration, as transformers' CLIPTokenizer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = clip.merges_prefix()
    letters = list(open_clip.tokenizer.bytes_to_unicode().values())
    tokens = letters + [letter + "</w>" for letter in letters] + [line.replace(" ", "") for line in lines[1:]]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines[1:]) + "\n", encoding="utf-8")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1))
    settings = special | {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": clip.TEXT_LENGTH,
        "do_lower_case": True,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


def write_diffusers_config(folder: Path, scale: float) -> None:
    """Configuration files only, with which diffusers builds the pipeline that the single file fills."""
    vae_model, unet_model = vae.build(), unet.build()
    vae_model.register_to_config(scaling_factor=scale)
    vae_model.save_config(str(folder / "vae"))
    unet_model.save_config(str(folder / "unet"))
    (folder / "text_encoder").mkdir(parents=True, exist_ok=True)
    (folder / "text_encoder" / "config.json").write_text(json.dumps(text_config(), indent=1))
    write_tokenizer(folder / "tokenizer")
    # The original code takes the tokenizer's files and the tower's configuration from one and the same folder.
    (folder / "tokenizer" / "config.json").write_text(json.dumps(text_config(), indent=1))
    (folder / "scheduler").mkdir(exist_ok=True)
    scheduler = {
        "_class_name": "DDIMScheduler",
        "beta_start": unet.BETA_START,
        "beta_end": unet.BETA_END,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "num_train_timesteps": unet.TIMESTEPS,
        "prediction_type": "epsilon",
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=1))
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))


def write_weights(weights: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file that, unlike safetensors' own, other users of the machine may read."""
    save_file(weights, path, metadata=metadata)
    path.chmod(0o644)


def assemble(work: Path, target: Path) -> None:
    """Write everything that ships into `target` (pseudoword/builtin)."""
    autoencoder = loop.load_averaged("vae", vae.build(), work)
    model = clip.load(work)
    denoiser = loop.load_averaged("unet", unet.build(), work)
    assert isinstance(autoencoder, AutoencoderKL)
    assert isinstance(denoiser, UNet2DConditionModel)
    scale = round(float(torch.load(work / "latents.pt", weights_only=True)["scale"]), 6)
    target.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "pt", "modelspec.title": TITLE, "modelspec.architecture": "stable-diffusion-v1"}
    write_weights(checkpoint_weights(denoiser, autoencoder, model), target / f"{TITLE}.safetensors", metadata)
    (target / f"{TITLE}.yaml").write_text(ldm_config(scale))
    write_diffusers_config(target / TITLE, scale)
    folder = target / "open_clip"
    folder.mkdir(exist_ok=True)
    weights = {key: value.half().contiguous() for key, value in model.state_dict().items() if key != "attn_mask"}
    write_weights(weights, folder / "open_clip_model.safetensors", {"format": "pt"})
    # open_clip before 2.24 knows no other way to resize; the WebUI has 2.20.
    preprocess = {"mean": list(clip.MEAN), "std": list(clip.STD), "interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": clip.CONFIG, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1))
    clip.write_merges(folder / "bpe.txt.gz")
