"""What every host does alike when it makes pictures: rows and lengths of conditioning, and pixels to pictures."""

from __future__ import annotations

import math

from PIL import Image
from torch import Tensor

from ..errors import SettingsError


def rows_for(told: Tensor, count: int) -> Tensor:
    """`told` (B, …) with `count` rows: as it is, or its only row repeated. Raises SettingsError for other numbers."""
    if len(told) not in (1, count):
        raise SettingsError(f"{len(told)} prompts do not go with {count} seeds; give one prompt, or one for each seed.")
    return told.expand(count, *told.shape[1:])


def same_length(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Both contexts (B, 77·chunks, D) with as many chunks: attention sees no difference when a context is repeated."""
    length = math.lcm(first.shape[1], second.shape[1])
    return first.repeat(1, length // first.shape[1], 1), second.repeat(1, length // second.shape[1], 1)


def to_pictures(pixels: Tensor) -> list[Image.Image]:
    """RGB pictures of `pixels` (B, 3, H, W) in [-1, 1]."""
    array = ((pixels + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(picture) for picture in array]
