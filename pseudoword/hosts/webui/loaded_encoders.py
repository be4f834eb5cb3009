"""The text encoders that are loaded now, of models that can be trained on and of all others."""

from __future__ import annotations

from modules import sd_models

from ...diffusion import Architecture, LoadedEncoders
from ...errors import ModelError
from .text_encoders import text_encoders_of


def loaded_encoders() -> LoadedEncoders | None:
    """Those of the checkpoint that the WebUI has loaded, the same objects for as long as it has; loads none.

    None where no checkpoint is loaded, while another is, and for one that reads prompts with something else than CLIP
    (Alt Diffusion, Stable Diffusion 3). May be asked for at any time; passes, and copies of the vectors, belong inside
    the queue's lock. A LoRA that the last generation left applied has its say in passes.
    """
    net = sd_models.model_data.sd_model  # not shared.sd_model, which would load one
    if net is None or not (net.is_sd1 or net.is_sd2 or net.is_sdxl):
        return None
    architecture: Architecture = "sdxl" if net.is_sdxl else "sd2" if net.is_sd2 else "sd1"
    info = net.sd_checkpoint_info
    try:
        encoders = text_encoders_of(net)
    except ModelError:
        return None
    # With --no-hashing there is only the old hash, of a part of the file.
    return LoadedEncoders(info.name_for_extra, f"{info.filename} {info.sha256 or info.hash}", architecture, encoders)
