"""How fast the best of a million pictures are found, how many are the right ones, and what it costs to keep them."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pseudoword.scoring.index_filter import Wanted
from pseudoword.scoring.index_table import Facts, Seen
from pseudoword.scoring.picture_index import PictureIndex
from tools.pages import table

from .process_memory import forgotten_peak_megabytes, megabytes_told_by, peak_since_then_megabytes

PICTURES, WIDTH = 1_000_000, 512
AT_ONCE, SUB_FOLDERS = 50_000, 200
QUERIES, HITS, ROUNDS = 20, 60, 5
CLUSTERS, INNER_COSINE = 1000, 0.85  # as of pictures of one prompt
OUTLIERS = ((133, -0.6), (92, 0.4))  # numbers that are large in all features, as in those of OpenAI's CLIP
IDENTITY = "ab" * 32
GOALS = {"a search, ms": 100, "recall": 0.99}


def measure(folder: Path) -> dict[str, Any]:
    """Times of searches and recalls, for random features and for such as CLIP's, in indexes below `folder`."""
    figures: dict[str, Any] = {"pictures": PICTURES, "width": WIDTH, "torch": torch.__version__}
    for kind in ("random", "clustered"):
        place = folder / kind
        began = time.perf_counter()
        make(place, kind)
        figures[kind] = {"pictures written/s": round(PICTURES / (time.perf_counter() - began)), **search(place, kind)}
        shutil.rmtree(place)
    figures["goals"] = GOALS
    figures["load average, 1 min"] = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return figures


def features_of(kind: str) -> Iterator[Tensor]:
    """Features (AT_ONCE, WIDTH) of unit length, PICTURES in all; the same each time."""
    numbers = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(CLUSTERS, WIDTH, generator=numbers), dim=1)
    # A few prompts have most of the pictures.
    shares = 1 / torch.arange(1, CLUSTERS + 1)
    outliers = torch.zeros(WIDTH)
    for number, value in OUTLIERS:
        outliers[number] = value
    for _ in range(PICTURES // AT_ONCE):
        noise = F.normalize(torch.randn(AT_ONCE, WIDTH, generator=numbers), dim=1)
        if kind == "random":
            yield noise
            continue
        own = centres[torch.multinomial(shares, AT_ONCE, replacement=True, generator=numbers)]
        inner = INNER_COSINE**0.5 * own + (1 - INNER_COSINE) ** 0.5 * noise
        yield F.normalize(0.7 * inner + outliers, dim=1)


def make(folder: Path, kind: str) -> None:
    """An index of pictures that are not there, in the way in which one is made of those that are."""
    with PictureIndex(folder / "index", IDENTITY, WIDTH) as index, index.writing():
        for part, features in enumerate(features_of(kind)):
            numbers = range(part * AT_ONCE, (part + 1) * AT_ONCE)
            files = [file_of(folder, number) for number in numbers]
            facts = [
                Facts(f"model-{n % 7}", f"a picture of thing {n}, {n % 1000} colours", 20 + n % 15) for n in numbers
            ]
            index.add(files, facts, features)


def file_of(folder: Path, number: int) -> Seen:
    """Picture `number` of an index."""
    return Seen(str(folder / f"{number % SUB_FOLDERS}"), f"{number:07}-1234567890.png", "", 1.6e9 + number)


def search(folder: Path, kind: str) -> dict[str, Any]:
    """Figures of searches: half of them for pictures of the index, the others for what is between two of them."""
    some = next(features_of(kind))
    mixed = F.normalize(some[: QUERIES // 2] + some[-QUERIES // 2 :], dim=1)
    queries = torch.cat([some[100 : 100 + QUERIES // 2], mixed])
    wanted = Wanted((str(folder),))
    began = time.perf_counter()
    with PictureIndex(folder / "index", IDENTITY, WIDTH) as index:
        opening = time.perf_counter() - began
        best = best_rows(kind, queries)
        for number in set(best.flatten().tolist()):
            path = Path(file_of(folder, number).path)
            path.parent.mkdir(exist_ok=True)
            path.touch()
        times, recalls = [], []
        for _ in range(ROUNDS):
            for query, rows in zip(queries, best, strict=True):
                began = time.perf_counter()
                found = index.find(query, wanted, HITS)
                times.append(time.perf_counter() - began)
                recalls.append(np.isin(rows[:HITS], [hit.row.slot for hit in found.hits]).mean())
        began = time.perf_counter()
        index.find(queries[0], Wanted((str(folder),), words=("thing 77",)), HITS)
        words = time.perf_counter() - began
    return {
        "a search, ms": round(statistics.median(times) * 1000, 1),
        "95 % of searches within, ms": round(sorted(times)[int(len(times) * 0.95)] * 1000, 1),
        "recall": round(float(np.mean(recalls)), 4),
        "lowest recall of a search": round(float(np.min(recalls)), 3),
        "opening, s": round(opening, 2),
        "a search for words of the prompt, too, ms": round(words * 1000),
        "GB on the disk": round(sum(path.stat().st_blocks * 512 for path in (folder / "index").iterdir()) / 1e9, 2),
        "memory grown by searching, MB": megabytes_told_by("benchmarks.search", folder),
    }


def best_rows(kind: str, queries: Tensor) -> np.ndarray:
    """The rows (Q, 2 · HITS) that are most like each of `queries`, by plain products of all features."""
    scores, rows = torch.full((len(queries), 2 * HITS), -2.0), torch.zeros(len(queries), 2 * HITS, dtype=torch.long)
    for part, features in enumerate(features_of(kind)):
        cosines = torch.cat([scores, queries @ features.half().float().T], dim=1)
        names = torch.cat([rows, (torch.arange(AT_ONCE) + part * AT_ONCE).expand(len(queries), -1)], dim=1)
        scores, places = cosines.topk(2 * HITS, dim=1)
        rows = names.gather(1, places)
    return rows.numpy()


def print_growth(folder: Path) -> None:
    """How much memory of its own this process needs at most to open the index and search.

    What is mapped from the disk is the system's, and not counted.
    """
    before = forgotten_peak_megabytes()
    with PictureIndex(folder / "index", IDENTITY, WIDTH) as index:
        opened = peak_since_then_megabytes() - before
        index.find(F.normalize(torch.ones(WIDTH), dim=0), Wanted((str(folder),)), HITS)
    print(json.dumps(round(opened, 1)))


def as_table(figures: dict[str, Any]) -> str:
    """Both kinds of features side by side, beside the goals."""
    goals = {"a search, ms": f"below {GOALS['a search, ms']}", "recall": f"at least {GOALS['recall']}"}
    names = list(figures["random"])
    rows: list[list[object]] = [
        [name, figures["random"][name], figures["clustered"][name], goals.get(name, "")] for name in names
    ]
    heading = f"{figures['pictures']:,} × {figures['width']}, torch {figures['torch']}"
    return table([heading, "Random", "Clustered", "Goal"], rows)


if __name__ == "__main__":
    print_growth(Path(sys.argv[1]))
