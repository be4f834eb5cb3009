"""Products of many codes with one query, by the fastest way that this torch and this processor have.

There are three: torch's own product of whole numbers (from 2.4 on), oneDNN's (2.1, which the WebUI has), and floating
point, which is always there and takes about twice as long. The first two are no promised part of torch, so each must
first show, on some rows, that it gives the same, and that it is no slow stand-in; that takes some milliseconds, once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Product: TypeAlias = Callable[[Tensor, Tensor], Tensor]
_ROWS_AT_ONCE = 2048  # in floating point: what fits into a processor's cache
_TRIED_ROWS, _ROUNDS = 4096, 3
_STAND_IN = 5  # times as slow as floating point; what processors are not made for takes a hundred times as long


def products(codes: Tensor, query: Tensor) -> Tensor:
    """Σ code · query (N,) of `codes` (N, D), which are not negative, and a `query` (D,), both int8, as numbers."""
    return fastest(codes.shape[1])(codes, query)


@lru_cache(maxsize=8)
def fastest(width: int) -> Product:
    """The fastest way that works here, for codes of `width` numbers."""
    numbers = torch.Generator().manual_seed(0)
    codes = torch.randint(1, 128, (_TRIED_ROWS, width), dtype=torch.int8, generator=numbers)
    query = torch.randint(-127, 128, (width,), dtype=torch.int8, generator=numbers)
    for way in (in_whole_numbers, in_onednn):
        try:
            if _is_right(way, codes[:64], query) and _is_right(way, codes, query):
                slowest = _STAND_IN * _seconds(in_floating_point, codes, query)
                if _seconds(way, codes, query) < slowest:
                    return way
        except Exception as problem:  # it is not there, or takes something else in this version
            log.debug("products %s: %s", way.__name__, problem)
    return in_floating_point


def _is_right(way: Product, codes: Tensor, query: Tensor) -> bool:
    return torch.allclose(way(codes, query).float(), in_floating_point(codes, query), rtol=1e-5, atol=1.0)


def in_floating_point(codes: Tensor, query: Tensor) -> Tensor:
    """See `products`. Exact up to a width of 1,024."""
    wanted = query.float()
    found = torch.empty(len(codes))
    room = torch.empty(min(_ROWS_AT_ONCE, len(codes)), codes.shape[1])
    for start in range(0, len(codes), _ROWS_AT_ONCE):
        some = codes[start : start + _ROWS_AT_ONCE]
        torch.mv(room[: len(some)].copy_(some), wanted, out=found[start : start + len(some)])
    return found


def in_whole_numbers(codes: Tensor, query: Tensor) -> Tensor:
    """See `products`. Raises where this torch has no such product for this processor."""
    return torch._int_mm(codes, query[:, None])[:, 0]


def in_onednn(codes: Tensor, query: Tensor) -> Tensor:
    """See `products`. Raises where this torch has no oneDNN, or another version of it."""
    onednn: Any = torch.ops.onednn
    size, zero = torch.ones(1), torch.zeros(1, dtype=torch.int)
    kind: Any = (size, zero, None, 1.0, 0, True, "none", [], "")
    found: Tensor = onednn.qlinear_pointwise(
        codes.view(torch.uint8), 1.0, 0, onednn.qlinear_prepack(query[None], None), *kind
    )
    return found[:, 0]


def _seconds(way: Product, codes: Tensor, query: Tensor) -> float:
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        way(codes, query)
        taken.append(time.perf_counter() - began)
    return min(taken)
