"""Pictures that are nearly the same: another size, format or exposure of one, or a little off it cut away.

CLIP alone would find two pictures of the same thing alike, and pixels alone two things before the same wall. So both
must agree: CLIP's cosine, and a difference hash, which says of neighbouring places which one is brighter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

SIDE = 8
BITS = 2 * SIDE * SIDE  # across and down
MOST_BITS = 20
"""Ten of 64, as Krawetz found for his hash ("Kind of Like That", 2013)."""
LEAST_COSINE = 0.9


def difference_hash(picture: Image.Image) -> bytes:
    """Which of two neighbouring places is brighter, for 64 pairs across and 64 down: 128 bits."""
    gray = picture.convert("L")
    across = np.asarray(gray.resize((SIDE + 1, SIDE), Image.Resampling.LANCZOS), dtype=np.int16)
    down = np.asarray(gray.resize((SIDE, SIDE + 1), Image.Resampling.LANCZOS), dtype=np.int16)
    bits = np.concatenate([(np.diff(across, axis=1) > 0).ravel(), (np.diff(down, axis=0) > 0).ravel()])
    return np.packbits(bits).tobytes()


def bits_apart(first: bytes, second: bytes) -> int:
    """In how many of the 128 bits two hashes differ."""
    return (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).bit_count()


def near_duplicates(hashes: Sequence[bytes], features: Tensor) -> list[tuple[int, int]]:
    """All pairs (earlier, later) of pictures with `hashes` and CLIP `features` (N, D) that are nearly the same."""
    cosines = (features @ features.T).tolist()
    return [
        (one, other)
        for other in range(len(hashes))
        for one in range(other)
        if cosines[one][other] >= LEAST_COSINE and bits_apart(hashes[one], hashes[other]) <= MOST_BITS
    ]
