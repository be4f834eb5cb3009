"""Number formats of the forward and backward pass. The learned vectors themselves are float32 always."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass

import torch

from ..diffusion import DiffusionModel, Precision
from ..errors import SettingsError

_PRECISIONS: dict[str, Precision] = {"fp32": "fp32", "bf16": "bf16", "fp16": "fp16"}
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(wanted: str, model: DiffusionModel) -> Precision:
    """What "auto" means for `model`: bf16 on GPUs made for it, fp16 on older ones, fp32 elsewhere; else `wanted`.

    A model that decides itself is asked. Raises SettingsError for a format that it does not compute in, or this torch.
    """
    device = model.device
    if model.precision is not None:
        if wanted not in ("auto", model.precision):
            raise SettingsError(
                f"precision is {wanted}, but {model.title} was loaded to compute in {model.precision}; choose auto."
            )
        return model.precision
    if wanted == "auto":
        if device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
    precision = _PRECISIONS[wanted]
    if precision != "fp32" and not _computes_in(_DTYPES[precision], device):
        raise SettingsError(
            f"precision is {wanted}, which torch {torch.__version__} cannot compute in on {device.type}; choose auto."
        )
    return precision


def _computes_in(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether autocast does what it is asked to: some versions of torch only warn, and go on in float32."""
    probe = torch.ones(2, 2, device=device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with torch.autocast(device.type, dtype=dtype):
                return (probe @ probe).dtype == dtype
    except RuntimeError:
        return False


def autocast(precision: Precision, model: DiffusionModel) -> contextlib.AbstractContextManager[None]:
    """The torch context in which `model` is called under `precision`; none where it sees to that itself."""
    if precision == "fp32" or model.precision is not None:
        return contextlib.nullcontext()
    return torch.autocast(model.device.type, dtype=_DTYPES[precision])


@dataclass
class LossScale:
    """Keeps fp16 gradients from vanishing: losses are multiplied by `value` and gradients divided by it.

    Halved when a gradient overflows, doubled after `patience` steps without one (Micikevicius et al., 2018). Stays 1
    for the other formats.
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
