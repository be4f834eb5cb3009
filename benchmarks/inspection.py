"""How long the inspector takes to find a word's nearest tokens, in milliseconds and against a bare matrix product."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pseudoword.inspect.vocabulary import Vocabulary
from tools.pages import table

TOKENS, VECTORS, COUNT, RUNS = 49408, 75, 10, 15
WIDTHS = {"clip_l": 768, "clip_g": 1280}
LENGTH = 0.4  # of the vectors, about that of CLIP's
GOALS = {"SD 1.x, three measures": 100, "SDXL, three measures": 300}


def measure(tokens: int = TOKENS, runs: int = RUNS) -> dict[str, Any]:
    """75 vectors against random vocabularies of CLIP's sizes, all three measures; the best and the middle of `runs`."""
    generator = torch.Generator().manual_seed(0)
    vocabularies = {name: random_vocabulary(name, tokens, width, generator) for name, width in WIDTHS.items()}
    words = {
        name: LENGTH * torch.randn(VECTORS, width, generator=generator) / width**0.5 for name, width in WIDTHS.items()
    }
    first, queries = vocabularies["clip_l"], words["clip_l"]

    def both() -> None:
        for name, vocabulary in vocabularies.items():
            vocabulary.nearest_by_each(words[name], COUNT)

    # In turn, so that whatever else the machine does meets all of them alike.
    times = in_turn(
        {
            "bare matrix product": lambda: queries @ first.vectors.T,
            "SD 1.x, one measure": lambda: first.nearest(queries, COUNT),
            "SD 1.x, three measures": lambda: first.nearest_by_each(queries, COUNT),
            "SDXL, three measures": both,
        },
        runs,
    )
    bare = sorted(times["bare matrix product"])
    return {
        "ms, best": {name: round(1000 * min(each), 1) for name, each in times.items()},
        "ms, middle": {name: round(1000 * sorted(each)[len(each) // 2], 1) for name, each in times.items()},
        "goals": GOALS,
        "three measures against a bare matrix product, ratio": round(min(times["SD 1.x, three measures"]) / bare[0], 2),
    }


def random_vocabulary(name: str, tokens: int, width: int, generator: torch.Generator) -> Vocabulary:
    """As many vectors as CLIP has, in random directions: how near they are to each other changes no times."""
    vectors: Tensor = LENGTH * torch.randn(tokens, width, generator=generator) / width**0.5
    return Vocabulary(name, vectors, tuple(f"{number}</w>" for number in range(tokens)))


def in_turn(works: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Seconds of each of `works`, `runs` times after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for run in range(runs + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if run:
                times[name].append(time.perf_counter() - began)
    return times


def as_table(figures: dict[str, Any]) -> str:
    """Times beside the goals, and the ratio to the product that every search needs."""
    best, middle, goals = (figures[name] for name in ("ms, best", "ms, middle", "goals"))
    rows: list[list[object]] = [
        [name, best[name], middle[name], f"below {goals[name]}" if name in goals else ""] for name in best
    ]
    ratio = "three measures against a bare matrix product, ratio"
    return table(["75 vectors, their 10 nearest tokens", "Best, ms", "Middle, ms", "Goal"], rows) + (
        f"\n\nThree measures take {figures[ratio]} times as long as the bare matrix product, in turns in one run."
    )
