"""The WebUI's model as training wants it, and back again: whatever is changed here is as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ldm.modules.attention
import ldm.modules.diffusionmodules.openaimodel
import sgm.modules.attention
import sgm.modules.diffusionmodules.openaimodel
from modules import devices, extra_networks, lowvram, processing, sd_hijack, sd_hijack_optimizations, shared
from torch import nn

# Settings that add a network to every prompt, also to an empty one.
NETWORKS_ADDED = ("sd_lora", "sd_hypernetwork")
NONE = "None"


@contextmanager
def borrowed(net: Any) -> Iterator[None]:
    """`net` without anything of somebody's last generation, frozen, and ready for a backward pass.

    To be used inside the queue's lock. A LoRA that was left applied is taken off and not put back: every generation of
    the WebUI puts on what it needs.
    """
    take_off_networks(net)
    with ExitStack() as stack:
        stack.enter_context(frozen(net))
        stack.enter_context(attention_for_training())
        stack.enter_context(without_checkpointing())
        stack.enter_context(tiles_off(net))
        stack.enter_context(swapped(net, "alphas_cumprod", net.alphas_cumprod_original.to(devices.device)))
        if net.lowvram:
            stack.enter_context(at_hand(net.cond_stage_model))
        yield


def take_off_networks(net: Any) -> None:
    """Deactivate LoRA, hypernetworks and whatever else extensions registered, as an empty prompt would."""
    added = {name: shared.opts.data[name] for name in NETWORKS_ADDED if name in shared.opts.data}
    shared.opts.data.update(dict.fromkeys(added, NONE))
    try:
        generation = processing.StableDiffusionProcessingTxt2Img(sd_model=net)
        generation.all_prompts = [""]
        extra_networks.activate(generation, {})
    finally:
        shared.opts.data.update(added)


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """No weight of `net` wants a gradient: half the work of a backward pass, and half its memory."""
    wanting = [weight for weight in net.parameters() if weight.requires_grad]
    for weight in wanting:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in wanting:
            weight.requires_grad_(True)


@contextmanager
def attention_for_training() -> Iterator[None]:
    """Attention that keeps no (heads, h·w, h·w) matrix for the backward pass.

    xformers, where it is in use, is such a one. Of the others some keep it, and some compute in place.
    """
    if isinstance(sd_hijack.current_optimizer, sd_hijack_optimizations.SdOptimizationXformers):
        yield
        return
    forward = sd_hijack_optimizations.scaled_dot_product_attention_forward
    with (
        swapped(ldm.modules.attention.CrossAttention, "forward", forward),
        swapped(sgm.modules.attention.CrossAttention, "forward", forward),
    ):
        yield


@contextmanager
def without_checkpointing() -> Iterator[None]:
    """Blocks keep what they computed, in place of computing it twice.

    ldm's own checkpointing, which the usual configurations turn on, fails where weights want no gradient; so does
    that of sgm, which SDXL is built of.
    """
    blocks = [
        block
        for library in (ldm, sgm)
        for block in (
            library.modules.attention.BasicTransformerBlock,
            library.modules.diffusionmodules.openaimodel.ResBlock,
            library.modules.diffusionmodules.openaimodel.AttentionBlock,
        )
    ]
    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(swapped(block, "forward", block._forward))
        yield


@contextmanager
def tiles_off(net: Any) -> Iterator[None]:
    """Neither seamless tiling nor hypertile, both of which stay on after the generation that wanted them."""
    hijack = sd_hijack.model_hijack
    circular = hijack.circular_enabled
    hypertiles = [getattr(module, "__webui_hypertile_params", None) for module in net.modules()]
    with ExitStack() as stack:
        for hypertile in hypertiles:
            if hypertile is not None and hypertile.enabled:
                stack.enter_context(swapped(hypertile, "enabled", False))
        hijack.apply_circular(False)
        stack.callback(hijack.apply_circular, circular)
        yield


@contextmanager
def at_hand(part: nn.Module) -> Iterator[None]:
    """With --medvram: a text encoder on the GPU, beside the UNet where that is called meanwhile.

    The WebUI would move it away when the UNet is called, but a backward pass needs both; it only knows of modules that
    it moved itself.
    """
    lowvram.send_everything_to_cpu()
    part.to(devices.device)
    try:
        yield
    finally:
        part.to(devices.cpu)


@contextmanager
def swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value` meanwhile."""
    found = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, found)
