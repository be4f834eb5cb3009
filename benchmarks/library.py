"""How long the table of a large library takes, at first and from its cache, also in the page, and how much memory."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from pseudoword.embedding import Embedding, EmbeddingMetadata, FileFormat, save_embedding
from pseudoword.inspect.library_table import scan
from tools.pages import table

from . import library_page
from .process_memory import forgotten_peak_megabytes, megabytes_told_by, peak_since_then_megabytes

PROGRAM = "benchmarks.library"
FILES, MANY_FILES = 1000, 5000
GOALS = {
    "first scan, s": 5.0,
    "scan from the cache, s": 0.5,
    "rows in the page at first, s": 5.0,
    "rows in the page from the cache, s": 0.5,
    "slowest of them, s": 0.5,
}
CARD_EVERY, COPY_EVERY = 100, 50
SUB_FOLDERS = 10
YEAR_AGO_S = 365 * 24 * 3600  # files younger than two seconds are never taken from the cache


def measure(folder: Path) -> dict[str, Any]:
    """Times of the first scan and of the next two, the faster of which counts, and growth of memory, in `folder`."""
    few, many = folder / "few", folder / "many"
    make_library(few, FILES)
    make_library(many, MANY_FILES)
    first = scan_seconds(few, folder / "cache")
    later = min(scan_seconds(few, folder / "cache") for _ in range(2))
    return {
        "files": FILES,
        "first scan, s": round(first, 2),
        "scan from the cache, s": round(later, 3),
        **library_page.measure(few, folder / "studio"),
        "goals": GOALS,
        f"memory grown by {FILES} files, MB": megabytes_told_by(PROGRAM, few, folder / "few-cache"),
        f"memory grown by {MANY_FILES} files, MB": megabytes_told_by(PROGRAM, many, folder / "many-cache"),
        f"memory grown by {MANY_FILES} files from the cache, MB": megabytes_told_by(
            PROGRAM, many, folder / "many-cache"
        ),
        "load average, 1 min": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def make_library(folder: Path, count: int) -> None:
    """`count` words of 1 to 8 vectors of 768 in sub-folders: A1111's and safetensors by turns, one in 100 a picture
    card, one in 50 a copy of another in the other format."""
    then = time.time() - YEAR_AGO_S
    for index in range(count):
        is_copy = index % COPY_EVERY == COPY_EVERY - 1
        generator = torch.Generator().manual_seed(index - is_copy)
        vectors = 0.02 * torch.randn((index - is_copy) % 8 + 1, 768, generator=generator)
        facts = EmbeddingMetadata(trained_on="model-v1.safetensors", steps=index, clip_skip=1)
        by_turns: FileFormat = "pt" if index % 2 else "safetensors"
        word = Embedding(f"word-{index}", {"clip_l": vectors}, facts)
        path = folder / f"{index % SUB_FOLDERS}" / word.name
        path = save_embedding(word, path, "card" if index % CARD_EVERY == 0 else by_turns)
        os.utime(path, (then, then))


def scan_seconds(folder: Path, cache: Path) -> float:
    """Seconds of one look at `folder`; a cache that holds it is used."""
    began = time.perf_counter()
    table = scan([folder], cache)
    took = time.perf_counter() - began
    assert table.complete and len(table.rows) == FILES and not any(row.problem for row in table.rows)
    assert len(table.groups) == FILES // COPY_EVERY
    return took


def print_growth(folder: Path, cache: Path) -> None:
    """How much more memory than at its start this process needs at most to look at `folder`, in MB, as JSON."""
    scan([folder / "0"])  # what is loaded or made once, with a card or two
    before = forgotten_peak_megabytes()
    scan([folder], cache)
    print(json.dumps(round(peak_since_then_megabytes() - before, 1)))


def as_table(figures: dict[str, Any]) -> str:
    """Times beside the goals, and memory."""
    goals = {name: goal for name, goal in figures["goals"].items() if name in figures}
    rows: list[list[object]] = [[name, figures[name], f"below {goal}"] for name, goal in goals.items()]
    rows += [[name, value, ""] for name, value in figures.items() if name.startswith("memory")]
    return table([f"{figures['files']} files", "Measured", "Goal"], rows)


if __name__ == "__main__":
    print_growth(Path(sys.argv[1]), Path(sys.argv[2]))
