"""Number formats of the forward and backward pass. The learned vectors themselves are float32 always."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import ContextManager, Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """What "auto" means on `device`: bf16 on GPUs made for it, fp16 on older ones, fp32 elsewhere; else `wanted`."""
    if wanted in ("fp32", "bf16", "fp16"):
        return wanted  # type: ignore[return-value]
    if device.type != "cuda":
        return "fp32"
    major, _ = torch.cuda.get_device_capability(device)
    return "bf16" if major >= 8 else "fp16"


def autocast(precision: Precision, device: torch.device) -> ContextManager[None]:
    """The torch context in which models are called under `precision`."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


@dataclass
class LossScale:
    """Keeps fp16 gradients from vanishing: losses are multiplied by `value` and gradients divided by it.

    Halved when a gradient overflows, doubled after `patience` steps without one (Micikevicius et al., 2018). Stays 1 for
    the other formats.
    """

    value: float = 1.0
    steps_since_change: int = 0
    patience: int = 2000

    @classmethod
    def for_precision(cls, precision: Precision) -> LossScale:
        """The scale a run starts with."""
        return cls(value=65536.0 if precision == "fp16" else 1.0)

    def overflowed(self) -> bool:
        """Make the scale smaller after gradients were not finite; False where it is 1 and cannot be the cause."""
        if self.value <= 1.0:
            return False
        self.value, self.steps_since_change = self.value / 2, 0
        return True

    def held(self, precision: Precision) -> None:
        """Note a step with finite gradients."""
        if precision != "fp16":
            return
        self.steps_since_change += 1
        if self.steps_since_change >= self.patience:
            self.value, self.steps_since_change = self.value * 2, 0
