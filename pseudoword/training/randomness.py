"""Random numbers that depend on nothing but what they are for, so that a resumed run needs no random state."""

from __future__ import annotations

import hashlib

import torch


def step_generator(seed: int, step: int, purpose: str) -> torch.Generator:
    """A CPU generator for one `purpose` (such as "noise" or "timesteps") in one `step` of the run with this `seed`.

    The same three always give the same numbers, on any machine and in any process; different ones are independent.
    """
    digest = hashlib.sha256(f"{seed}\n{step}\n{purpose}".encode()).digest()
    generator = torch.Generator()
    # 63 bits, since manual_seed takes a signed 64-bit number.
    generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return generator
