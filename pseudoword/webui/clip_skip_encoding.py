"""The WebUI's own text encoders, reading prompts with other layers for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from modules import shared
from torch import Tensor, nn

from ..diffusion import TextEncoder
from ..errors import ModelError, SettingsError
from ..hosts.webui.text_encoders import is_of_sdxl, text_encoders_of
from ..text.layer_choice import EncoderLayers, one_layer
from ..text.layers import LayerBlend, check_blend, weighed

ENCODE = "encode_with_transformers"


@contextmanager
def reading_with(net: Any, layers: EncoderLayers) -> Iterator[None]:
    """While it lasts, the conditioner of `net`, an `sd_model` of the WebUI, encodes prompts with `layers`.

    To be used inside the queue's lock, with layers that `check_layers` lets pass. All else is the WebUI's own:
    chunks, weights in prompts, embeddings, and what SDXL makes of a whole prompt.
    """
    with ExitStack() as put_back:
        for conditioner, encoder in conditioners_of(net):
            instead = partial(encode_with, conditioner, encoder, layers.of(encoder.name))
            # On this object, not on its class: nobody else's model is changed, and taking it off leaves no trace.
            before = vars(conditioner).get(ENCODE)
            setattr(conditioner, ENCODE, instead)
            if before is None:
                put_back.callback(delattr, conditioner, ENCODE)
            else:
                put_back.callback(setattr, conditioner, ENCODE, before)
        yield


def check_layers(net: Any, layers: EncoderLayers) -> None:
    """Raise SettingsError unless the text encoders of `net` have all of `layers`, and layers at all."""
    for _, encoder in conditioners_of(net):
        check_blend(encoder, layers.of(encoder.name))


def conditioners_of(net: Any) -> list[tuple[Any, TextEncoder]]:
    """The WebUI's wrapper around each text encoder of `net`, and what there is known of it. Raises SettingsError."""
    if not (net.is_sd1 or net.is_sd2 or net.is_sdxl):
        raise SettingsError("The layer can be chosen for Stable Diffusion 1, 2 and SDXL, and another model is loaded.")
    try:
        encoders = text_encoders_of(net)
    except ModelError as problem:
        raise SettingsError(str(problem)) from None
    embedders = getattr(net.cond_stage_model, "embedders", [net.cond_stage_model])
    return list(zip([one for one in embedders if hasattr(one, "wrapped")], encoders, strict=True))


def encode_with(conditioner: Any, encoder: TextEncoder, blend: LayerBlend, tokens: Tensor) -> Tensor:
    """Hidden states (B, 77, D) of `tokens` (B, 77) as `conditioner` gives them, but those of `blend`, in one pass.

    As in the WebUI, the final layer norm is applied for Stable Diffusion 1 and 2, and not for SDXL; what SDXL makes of
    the whole prompt comes from where it always does.
    """
    is_clip = hasattr(conditioner.wrapped, "transformer")
    tower = conditioner.wrapped.transformer.text_model if is_clip else conditioner.wrapped.model
    blocks = tower.encoder.layers if is_clip else tower.transformer.resblocks
    wanted = [blocks[encoder.layer_count - clip_skip] for clip_skip in blend.clip_skips]
    with outputs_of(wanted) as outputs:
        if is_clip:
            conditioner.wrapped.transformer(input_ids=tokens)
            found, norm = None, tower.final_layer_norm
        else:
            found, norm = conditioner.wrapped.encode_with_transformer(tokens), tower.ln_final
    states = [outputs[block] if is_clip else outputs[block].permute(1, 0, 2) for block in wanted]
    if not is_of_sdxl(conditioner):
        states = [norm(state) for state in states]
    z = states[0] if len(states) == 1 else weighed(torch.stack(states).float(), blend).to(states[0].dtype)
    if isinstance(found, dict):
        z.pooled = found["pooled"]  # type: ignore[attr-defined]  # where the WebUI looks for it
    return z


@contextmanager
def outputs_of(blocks: Sequence[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """The dictionary gets what each of `blocks` gives in a pass inside."""
    outputs: dict[nn.Module, Tensor] = {}

    def keep(block: nn.Module, _: Any, output: Any) -> None:
        outputs[block] = output[0] if isinstance(output, tuple) else output

    hooks = [block.register_forward_hook(keep) for block in blocks]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def layers_of_setting(net: Any) -> EncoderLayers | None:
    """The layers that the WebUI's own setting comes to for `net`; None where they cannot be said in this way.

    It counts for Stable Diffusion 1, and for SDXL's CLIP-L if another setting says so, counted from the very last.
    """
    skip = max(1, int(shared.opts.CLIP_stop_at_last_layers))
    if net.is_sd1:
        return one_layer(skip)
    if not (net.is_sdxl and shared.opts.sdxl_clip_l_skip is True):
        return one_layer(1)
    return EncoderLayers(one_layer(skip - 1).blend, one_layer(1).blend) if skip > 1 else None
