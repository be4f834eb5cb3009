"""Data hidden in a picture's pixels, as A1111 hides an embedding in its cards.

Two blocks stand left and right of the picture, parted from it by one black column each. Every byte of the data is cut
in two: the low half is in the low four bits of a sample of the left block, the high half in those of the right one,
both xor-ed with the same pseudo-random numbers. The high four bits of the samples are free for decoration.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Samples = npt.NDArray[np.uint8]


def hide(picture: Image.Image, data: bytes) -> Image.Image:
    """`picture` (RGB) widened by two blocks with `data`, their colours continuing the picture's edges."""
    pixels = np.asarray(picture)  # (H, W, 3)
    height = len(pixels)
    columns = -(-len(data) // (height * 3))
    # Repeated, as A1111 does, so that the rest of the block looks like the data.
    flat = np.resize(np.frombuffer(data, np.uint8), (height, columns, 3))
    noise = _noise(flat.shape)
    left = ((flat & 0x0F) ^ noise) | _edge_colours(pixels[:, :1])
    right = ((flat >> 4) ^ noise) | _edge_colours(pixels[:, -1:])
    black = np.zeros((height, 1, 3), np.uint8)
    return Image.fromarray(np.concatenate([left, black, pixels, black, right], axis=1))


def find_hidden(picture: Image.Image) -> bytes | None:
    """The data that is hidden in `picture` (RGB), with whatever fills its last column; None if there is none."""
    parts = _parts(np.asarray(picture))
    if parts is None:
        return None
    left, right = parts[0] & 0x0F, parts[2] & 0x0F
    noise = _noise(left.shape)
    return bytes((((right ^ noise) << 4) | (left ^ noise)).tobytes())


def without_blocks(picture: Image.Image) -> Image.Image:
    """What stands between the blocks of `picture` (RGB), which is returned itself where there are none."""
    parts = _parts(np.asarray(picture))
    return picture if parts is None or parts[1].size == 0 else Image.fromarray(parts[1])


def _parts(pixels: Samples) -> tuple[Samples, Samples, Samples] | None:
    """The left block, what the black columns are left and right of, and the right block, (H, W, 3) each."""
    pixels = _without_black_border(pixels)
    if pixels.size == 0:
        return None
    black_columns = np.flatnonzero((pixels & 0x0F).max(axis=0).max(axis=1) == 0)
    if len(black_columns) < 2:
        return None
    first, last = black_columns[0], black_columns[-1]
    left, right = pixels[:, :first], pixels[:, last + 1 :]
    return (left, pixels[:, first + 1 : last], right) if left.shape == right.shape and left.size else None


def _edge_colours(edge: Samples) -> Samples:
    """The edge's (H, 1, 3) high bits, never 0: a sample of 0 could be taken for the black border."""
    return np.maximum(edge & 0xF0, np.uint8(0x10))


def _without_black_border(pixels: Samples) -> Samples:
    # A pixel counts as black if one of its samples is, as in A1111. One reduction over all three takes 5 times as long.
    lit = (pixels[..., 0] > 0) & (pixels[..., 1] > 0) & (pixels[..., 2] > 0)  # (H, W)
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if len(rows) == 0:
        return pixels[:0, :0]
    cropped: Samples = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cropped


def _noise(shape: tuple[int, ...]) -> Samples:
    """A1111's numbers: x ← 1664525·x + 1013904223 mod 2³² from 0, each mod 255, the low four bits; in row order.

    The n-th x is 1013904223·(1 + a + … + aⁿ⁻¹) for the factor a, which numpy sums for all n at once.
    """
    count = int(np.prod(shape))
    powers = np.full(count, 1664525, np.uint32)
    powers[:1] = 1
    states = np.cumsum(np.cumprod(powers, dtype=np.uint32), dtype=np.uint32) * np.uint32(1013904223)
    noise: Samples = (states % 255 & 0x0F).astype(np.uint8).reshape(shape)
    return noise
