"""From a decoded picture to what the model sees of it: its bucket's shape, and the part or parts that are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..decoding import GRAY, Decoded, on_gray
from .randomness import step_generator

if TYPE_CHECKING:
    from .settings import TrainSettings

RANDOM_CROPS = 4  # kept for each picture, the centre among them
SMALLEST_CROP = 0.8  # of the largest part that would fit, along each side
WIDEST = 2.0  # aspect ratio of the widest bucket; the highest is its inverse


@dataclass(frozen=True)
class Window:
    """A part of a picture, in its pixels (fractions allowed): left, top, right, bottom. It may reach over the edges."""

    left: float
    top: float
    right: float
    bottom: float


@lru_cache(maxsize=32)
def bucket_shapes(size: int, latent_factor: int) -> tuple[tuple[int, int], ...]:
    """Shapes (width, height) in pixels of about `size`² and never more, from 1:2 to 2:1; the square is among them.

    Sides are multiples of 64 from a size of 512 on, of an eighth of the size below that, and always such that the
    latents of `latent_factor` can be halved at least once, as UNets do.
    """
    unit = 2 * latent_factor
    step = max(unit, min(64, size // 8) // unit * unit)
    shapes = {(size, size)}
    for width in range(step, size * 2 + 1, step):
        height = size * size // width // step * step
        if height and 1 / WIDEST <= width / height <= WIDEST:
            shapes |= {(width, height), (height, width)}
    return tuple(sorted(shapes))


def shape_for(width: int, height: int, size: int, latent_factor: int, *, buckets: bool) -> tuple[int, int]:
    """The shape (width, height) in which a picture of `width` × `height` is trained: the bucket of nearest ratio."""
    if not buckets:
        return (size, size)

    def distance(shape: tuple[int, int]) -> tuple[float, int]:
        return abs(math.log(shape[0] / shape[1]) - math.log(width / height)), -shape[0] * shape[1]

    return min(bucket_shapes(size, latent_factor), key=distance)


def windows(width: int, height: int, shape: tuple[int, int], settings: TrainSettings, index: int) -> list[Window]:
    """The parts of picture number `index`, of `width` × `height`, that are trained in `shape` (width, height).

    The first shows the whole picture or its centre. With crop "random" there are three more, which the seed chooses.
    """
    covering = min(width / shape[0], height / shape[1])  # picture pixels per trained pixel where the shape is filled
    if settings.crop == "none":
        covering = max(width / shape[0], height / shape[1])
    across, down = shape[0] * covering, shape[1] * covering
    left, top = (width - across) / 2, (height - down) / 2
    parts = [Window(left, top, left + across, top + down)]
    if settings.crop == "random":
        draws = torch.rand(
            RANDOM_CROPS - 1, 3, generator=step_generator(settings.seed, index, "crop"), dtype=torch.float64
        )
        for zoom, x, y in draws.tolist():
            part = SMALLEST_CROP + (1 - SMALLEST_CROP) * zoom
            left, top = x * (width - part * across), y * (height - part * down)
            parts.append(Window(left, top, left + part * across, top + part * down))
    return parts


def render(
    decoded: Decoded, window: Window, shape: tuple[int, int], latent_factor: int, *, alpha_mask: bool
) -> tuple[Tensor, Tensor]:
    """What `window` shows, scaled to `shape` (width, height): pixels (3, H, W) in [-1, 1], and the loss mask (1, h, w).

    The mask, at latent size, is the opacity where `alpha_mask` is on, 1 elsewhere, and 0 beyond the picture's edges.
    """
    colours = decoded.rgb if alpha_mask else on_gray(decoded)
    counted = decoded.alpha if alpha_mask and decoded.alpha is not None else Image.new("L", colours.size, 255)
    latent_shape = (shape[0] // latent_factor, shape[1] // latent_factor)
    pixels = _scaled(colours, window, shape, GRAY, Image.Resampling.LANCZOS)
    mask = _scaled(counted, window, latent_shape, 0, Image.Resampling.BOX)
    return (
        torch.from_numpy(np.asarray(pixels, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1).contiguous(),
        torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255)[None],
    )


def _scaled(
    image: Image.Image,
    window: Window,
    shape: tuple[int, int],
    border: int | tuple[int, int, int],
    resampling: Image.Resampling,
) -> Image.Image:
    """`window` of `image` scaled to `shape`, with `border` beyond the picture's edges."""
    width, height = image.size
    left, top, right, bottom = (
        max(window.left, 0),
        max(window.top, 0),
        min(window.right, width),
        min(window.bottom, height),
    )
    per_x, per_y = shape[0] / (window.right - window.left), shape[1] / (window.bottom - window.top)
    # Where the picture lies in the shape, in whole pixels; all of it unless the window reaches over an edge.
    x0, y0 = round((left - window.left) * per_x), round((top - window.top) * per_y)
    x1, y1 = round((right - window.left) * per_x), round((bottom - window.top) * per_y)
    inner = image.resize((max(x1 - x0, 1), max(y1 - y0, 1)), resampling, box=(left, top, right, bottom))
    if inner.size == shape:
        return inner
    whole = Image.new(image.mode, shape, border)
    whole.paste(inner, (min(x0, shape[0] - 1), min(y0, shape[1] - 1)))
    return whole
