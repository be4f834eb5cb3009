"""Which layer of a text encoder is used, or which blend of several: `2`, or `1=0.5,2=0.5`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion import TextEncoder
from ..errors import SettingsError
from .encoder import check_clip_skip

MOST_LAYERS = 12
MOST_CHARACTERS = 200
# Weights are whole millionths: finer ones change nothing that can be seen, and so each blend has one short text.
PARTS = 1_000_000


@dataclass(frozen=True)
class LayerBlend:
    """How much each layer counts: pairs of its CLIP skip, from 1 (the last layer), and its weight.

    Whatever it is made from, `weights` then are in the order of CLIP skips, sum to 1, and leave out layers that count
    for less than a millionth. Raises SettingsError for what is no blend.
    """

    weights: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        _check(self.weights)
        pairs = sorted(self.weights)
        heaviest, largest = max(pairs, key=lambda pair: pair[1])
        shares = {clip_skip: weight / largest for clip_skip, weight in pairs}  # whose sum is never infinite
        total = math.fsum(shares.values())
        parts = {clip_skip: round(share / total * PARTS) for clip_skip, share in shares.items()}
        parts[heaviest] += PARTS - sum(parts.values())
        object.__setattr__(self, "weights", tuple((skip, part / PARTS) for skip, part in parts.items() if part))

    @property
    def clip_skips(self) -> tuple[int, ...]:
        """The layers that count, from the last on."""
        return tuple(clip_skip for clip_skip, _ in self.weights)

    @property
    def text(self) -> str:
        """The blend in the one form that `parse_blend` gives it back from: `2`, or `1=0.25,2=0.75`."""
        if len(self.weights) == 1:
            return str(self.weights[0][0])
        return ",".join(f"{clip_skip}={f'{weight:.6f}'.rstrip('0')}" for clip_skip, weight in self.weights)


def _check(weights: tuple[tuple[int, float], ...]) -> None:
    if not 1 <= len(weights) <= MOST_LAYERS:
        raise SettingsError(f"A blend of {len(weights)} layers is not possible; choose 1 to {MOST_LAYERS} layers.")
    seen = set()
    for clip_skip, weight in weights:
        if clip_skip < 1:
            raise SettingsError(f"There is no layer {clip_skip}: layers count back from the last, which is 1.")
        if clip_skip in seen:
            raise SettingsError(f"Layer {clip_skip} stands in the blend twice; give each layer one weight.")
        if not math.isfinite(weight) or weight < 0:
            raise SettingsError(f"Layer {clip_skip} has the weight {weight}; give it a number from 0 on.")
        seen.add(clip_skip)
    if not any(weight for _, weight in weights):
        raise SettingsError("All weights of the blend are 0; give at least one layer a weight above 0.")


def parse_blend(text: str) -> LayerBlend:
    """The blend that `text` says: a layer's CLIP skip, or layers with weights, which need not sum to 1.

    Raises SettingsError for anything else; whether an encoder has the layers is for `check_blend`.
    """
    if len(text) > MOST_CHARACTERS:
        raise SettingsError(f"A choice of layers has at most {MOST_CHARACTERS} characters, and this has {len(text):,}.")
    entries = text.split(",")
    if len(entries) == 1 and "=" not in text:
        return LayerBlend(((_layer(text), 1.0),))
    return LayerBlend(tuple(_weighted(entry) for entry in entries))


def _weighted(entry: str) -> tuple[int, float]:
    layer, equals, weight = entry.partition("=")
    if not equals:
        raise SettingsError(f"{entry.strip()!r} gives no layer with its weight; write a blend as in 1=0.5,2=0.5.")
    try:
        return _layer(layer), float(weight)
    except ValueError:
        raise SettingsError(f"{weight.strip()!r} is not a weight; give a number such as 0.5.") from None


def _layer(text: str) -> int:
    if not re.fullmatch(r"[0-9]+", text.strip()):
        raise SettingsError(
            f"{text.strip()!r} is not a layer; give a number, 1 for the last layer, 2 for the one before."
        )
    return int(text)


def check_blend(encoder: TextEncoder, blend: LayerBlend) -> None:
    """Raise SettingsError unless `encoder` has all layers of `blend`."""
    for clip_skip in blend.clip_skips:
        check_clip_skip(encoder, clip_skip)


def encode_blend(encoder: TextEncoder, token_ids: Tensor, input_vectors: Tensor, blend: LayerBlend) -> Tensor:
    """Hidden states (B, 77, D) in one pass: what `encode` gives for each layer of `blend`, weighted and added.

    A blend of one layer is the same bits as `encode` with it. Raises SettingsError for a layer that is not there.
    """
    states = encoder.encode_layers(token_ids, input_vectors, blend.clip_skips)  # (L, B, 77, D)
    return states[0] if len(states) == 1 else weighed(states, blend)


def weighed(states: Tensor, blend: LayerBlend) -> Tensor:
    """The sum (B, 77, D) of `states` (L, B, 77, D), in the order of `blend.clip_skips`, by the weights of `blend`."""
    weights = torch.tensor([weight for _, weight in blend.weights], device=states.device)
    return (weights.view(-1, 1, 1, 1) * states).sum(dim=0)  # no matrix product, which autocast would round
