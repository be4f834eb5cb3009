"""What is learned: 20 held-out objects and the held-out style, each against the best word that the model knew."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pseudoword import builtin
from pseudoword.scoring import nearest_words
from pseudoword.text import vocabulary_words
from pseudoword.training.contact_sheet import contact_sheet, row_of
from tools.pages import side_by_side

from .training import CHOOSING_SEEDS, Bench, object_folders, train

# CLIP chooses the candidates from the training pictures; each is drawn, and the best by likeness is the one to beat.
CANDIDATES = 10
PICTURE_SIDE, PICTURES_SHOWN = 64, 8
Rows = list[tuple[str, Image.Image]]
GOAL = "better for at least 16 of 20 objects, and for the style"


def measure(work: Path) -> dict[str, Any]:
    """Train every word with default settings, one thread each; figures by word, and a sheet of all in `work`."""
    style = builtin.SAMPLES / "blob-style"
    tasks = [(folder, "object", "a photo of a {}", work / folder.name) for folder in object_folders()]
    tasks.append((style, "style", "a picture in the style of {}, a cat", work / style.name))
    figures: dict[str, Any] = {}
    rows: Rows = []
    with ProcessPoolExecutor(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as workers:
        for (source, *_), (found, made) in zip(tasks, workers.map(compare, *zip(*tasks, strict=True)), strict=True):
            figures[source.name] = found
            rows += made
            print(source.name, found, flush=True)
    third = 3 * -(-len(rows) // 9)  # three columns, no word torn apart
    columns = [contact_sheet(rows[start : start + third], PICTURE_SIDE) for start in range(0, len(rows), third)]
    side_by_side(columns).save(work / "words.png", optimize=True)
    objects = [one for name, one in figures.items() if name != style.name]
    better = sum(one["trained"] > one["best known"] for one in objects)
    return {"objects better": f"{better} of {len(objects)}", "goal": GOAL, "words": figures}


@lru_cache(maxsize=1)
def bench() -> Bench:
    """The one of this process."""
    return Bench.builtin()


def compare(source: Path, templates: str, prompt: str, folder: Path) -> tuple[dict[str, Any], Rows]:
    """Figures of the word of `source`, and rows of pictures: training set, best known word, trained word."""
    ours = bench()
    trained = train(ours, source, folder, templates=templates, preview_prompt=prompt.replace("{}", "[name]"))
    training = trained.images
    words = [word for _, word in vocabulary_words(ours.model.text_encoders[0].tokenizer)]
    candidates = [word for word, _ in nearest_words(ours.scorer, training, words, CANDIDATES, prompt)]
    known = max(
        candidates,
        key=lambda word: ours.likeness(ours.pictures_of(prompt.format(word), {}, CHOOSING_SEEDS), training),
    )
    drawn = ours.pictures_of(prompt.format(known), {})
    name = trained.embedding.name
    made = ours.pictures_of(prompt.format(name), {name: trained.embedding.vectors})
    figures = {
        "trained": round(ours.likeness(made, training), 3),
        "best known": round(ours.likeness(drawn, training), 3),
        "known word": known,
        "steps": trained.finished.step,
        "best step": trained.finished.best_step,
        **{key: round(value, 4) for key, value in trained.finished.figures.items()},
        "seconds": round(trained.seconds, 1),
    }
    rows = [
        (f"{source.name}: training pictures", row_of(training, PICTURE_SIDE)),
        (f"best known word: {known}, likeness {figures['best known']}", row_of(drawn[:PICTURES_SHOWN], PICTURE_SIDE)),
        (f"trained word, likeness {figures['trained']}", row_of(made[:PICTURES_SHOWN], PICTURE_SIDE)),
    ]
    return figures, rows
