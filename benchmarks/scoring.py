"""How fast a folder is scored, beside the bare encoder and a plain loop, and from the cache; and in how much memory."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from pseudoword.cache_file import stamp_of
from pseudoword.scoring import ClipScorer, FeatureCache, folder_features, pictures_below
from pseudoword.scoring.clip_files import build, preprocessing, tokenizing
from pseudoword.scoring.comparison import TextComparison
from pseudoword.scoring.feature_cache import Remembered
from pseudoword.scoring.folder import as_bytes
from tools.pages import table

from .library import YEAR_AGO_S
from .process_memory import forgotten_peak_megabytes, megabytes_told_by, peak_since_then_megabytes

ARCHITECTURE = "ViT-B-32"
PICTURES, LOOPED, SIDE, ROUNDS = 128, 32, 512, 5  # a loop over all would take most of the time
REMEMBERED, MANY_REMEMBERED = 10_000, 100_000
SUB_FOLDERS = 10
GOALS = {
    "of the bare encoder's pictures per second": 0.9,
    "times as fast as a plain loop": 2.0,
    "pictures/s from the cache": 50_000,
}


def measure(folder: Path) -> dict[str, Any]:
    """Ratios, the middle of those of `ROUNDS` in turn; pictures per second from the cache; growth of memory."""
    scorer, plain = random_scorer(), random_model()
    paths = make_pictures(folder / "pictures")
    pixels = torch.stack([scorer.preprocess(Image.open(path).convert("RGB")) for path in paths])
    works: dict[str, Callable[[], object]] = {
        "bare": lambda: [bare(batch, plain) for batch in pixels.split(32)],
        "side by side": lambda: [scorer.features_of_pixels(batch) for batch in pixels.split(32)],
        "folder": lambda: score_anew(paths, scorer),
        "loop": lambda: plain_loop(paths[:LOOPED], plain, scorer.preprocess),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(ROUNDS + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            times[name] += [time.perf_counter() - began] if turn else []  # the first does not count
    counts = dict.fromkeys(works, PICTURES) | {"loop": LOOPED}
    speeds = {name: [counts[name] / seconds for seconds in each] for name, each in times.items()}

    def folder_beside(other: str) -> list[float]:
        """In each round: what the machine does beside lasts longer than one, and so touches both."""
        return sorted(folder / speed for folder, speed in zip(speeds["folder"], speeds[other], strict=True))

    few, many = folder / "few", folder / "many"
    remember(few, REMEMBERED, scorer)
    remember(many, MANY_REMEMBERED, scorer)
    return {
        "pictures/s": {name: round(median(each), 1) for name, each in speeds.items()},
        "of the bare encoder's pictures per second": round(median(folder_beside("bare")), 3),
        "of the encoder in parts side by side": round(median(folder_beside("side by side")), 3),
        "times as fast as a plain loop": round(median(folder_beside("loop")), 2),
        "folder, round by round": {
            other: [round(ratio, 2) for ratio in folder_beside(other)] for other in ("bare", "loop")
        },
        "pictures/s from the cache": max(round(MANY_REMEMBERED / seconds_from_cache(many, scorer)) for _ in range(3)),
        f"memory grown by {REMEMBERED} pictures, MB": megabytes_told_by("benchmarks.scoring", few),
        f"memory grown by {MANY_REMEMBERED} pictures, MB": megabytes_told_by("benchmarks.scoring", many),
        "goals": GOALS,
        "load average, 1 min": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def random_model() -> Any:
    """A model of ViT-B-32's shape as open_clip makes it, with random weights, which cost as much as trained ones."""
    import open_clip

    torch.manual_seed(0)
    return build(open_clip.get_model_config(ARCHITECTURE), ARCHITECTURE).eval().requires_grad_(False)


def random_scorer() -> ClipScorer:
    """The same as a scorer."""
    tokenizer = tokenizing({"context_length": 77, "vocab_size": 49408}, None)
    return ClipScorer(ARCHITECTURE, random_model(), preprocessing(224, {}, ARCHITECTURE), tokenizer, "cpu")


def make_pictures(folder: Path) -> list[str]:
    """`PICTURES` PNG files as large as Stable Diffusion's, with as much detail as photographs."""
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    for index in range(PICTURES):
        coarse = Image.fromarray(numbers.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8))
        noise = numbers.normal(0, 3, (SIDE, SIDE, 3))
        fine = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) + noise
        Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(folder / f"{index:03}.png")
    return list(pictures_below(folder).paths)


def score_anew(paths: list[str], scorer: ClipScorer) -> None:
    """What `pseudoword score` does with pictures that it has never seen."""
    with FeatureCache(None, scorer.identity) as cache:
        for portion in folder_features(paths, scorer, cache):
            assert not portion.unreadable


@torch.no_grad()
def bare(pixels: torch.Tensor, model: Any) -> torch.Tensor:
    """open_clip's own encoder on a batch, with all of torch's threads."""
    return F.normalize(model.encode_image(pixels), dim=-1)


@torch.no_grad()
def plain_loop(paths: list[str], model: Any, preprocess: Callable[[Image.Image], torch.Tensor]) -> None:
    """What one writes after open_clip's own example."""
    for path in paths:
        F.normalize(model.encode_image(preprocess(Image.open(path)).unsqueeze(0)), dim=-1)


def remember(folder: Path, count: int, scorer: ClipScorer) -> None:
    """`count` files in sub-folders of `folder`, and features of them in a cache beside it."""
    then = time.time() - YEAR_AGO_S
    features = as_bytes(F.normalize(torch.randn(1000, scorer.width), dim=1))
    for number in range(SUB_FOLDERS):
        (folder / f"{number}").mkdir(parents=True)
    with FeatureCache(folder.with_suffix(".cache"), scorer.identity) as cache:
        for index in range(count):
            path = folder / f"{index % SUB_FOLDERS}" / f"{index:06}-1234567890.png"
            path.write_bytes(b"")
            os.utime(path, (then, then))
            content = index.to_bytes(32, "big")
            remembered = Remembered(features[index % len(features)], f"a picture of thing {index}")
            cache.put(content, remembered, str(path), stamp_of(path.stat()), then)


def seconds_from_cache(folder: Path, scorer: ClipScorer, cache_path: Path | None = None) -> float:
    """Seconds to list `folder` and score it with two texts, all features known; by default the cache lies beside it."""
    texts = ("a photo of a cat", "a photo of a dog")
    comparison = TextComparison(texts, scorer.text_features(texts), scorer.logit_scale)
    began, seen = time.perf_counter(), 0
    with FeatureCache(cache_path or folder.with_suffix(".cache"), scorer.identity) as cache:
        for portion in folder_features(pictures_below(folder).paths, scorer, cache):
            comparison.columns(portion)
            seen += portion.remembered
    assert seen == sum(len(names) for _, _, names in os.walk(folder))
    return time.perf_counter() - began


def print_growth(folder: Path) -> None:
    """How much more memory than for a tenth of `folder` this process needs at most for all of it, from the cache."""
    scorer = random_scorer()
    cache = folder.with_suffix(".cache")
    seconds_from_cache(folder / "0", scorer, cache)
    before = forgotten_peak_megabytes()
    seconds_from_cache(folder, scorer, cache)
    print(json.dumps(round(peak_since_then_megabytes() - before, 1)))


def as_table(figures: dict[str, Any]) -> str:
    """Ratios beside the goals, and memory."""
    rows: list[list[object]] = [[name, figures[name], f"at least {goal}"] for name, goal in figures["goals"].items()]
    rows += [[name, value, ""] for name, value in figures.items() if name.startswith("memory")]
    speeds, rounds = figures["pictures/s"], figures["folder, round by round"]
    heading = [f"{ARCHITECTURE}, {PICTURES} PNG files of {SIDE} × {SIDE}", "Measured", "Goal"]
    return table(heading, rows) + (
        f"\n\nThe rounds were {rounds['bare'][0]} to {rounds['bare'][-1]} times the bare encoder, and "
        f"{rounds['loop'][0]} to {rounds['loop'][-1]} times the loop. In pictures per second: open_clip's bare encoder "
        f"on batches of 32 {speeds['bare']}, a folder "
        f"{speeds['folder']}, a plain loop over open_clip {speeds['loop']}; random weights, in turns in one run. A "
        "folder can be ahead of the bare encoder because each processor encodes a part of a batch for itself, and the "
        f"last layer is computed only where it is read: without any files that gives {speeds['side by side']}, and "
        "decoding costs the rest."
    )


if __name__ == "__main__":
    print_growth(Path(sys.argv[1]))
