"""What is learned: 20 held-out objects and the held-out style, each against the best word that the model knew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from pseudoword import builtin
from pseudoword.scoring import nearest_words
from pseudoword.text import vocabulary_words
from pseudoword.training.contact_sheet import contact_sheet, png_bytes, row_of

from .training import Bench, object_folders, train

# CLIP chooses the candidates from the training pictures; each is drawn, and the best by likeness is the one to beat.
CANDIDATES = 10
GOAL = "better for at least 16 of 20 objects, and for the style"


def measure(bench: Bench, work: Path) -> dict[str, Any]:
    """Train every word with default settings; figures by word, and a contact sheet of all in `work`."""
    style = builtin.SAMPLES / "blob-style"
    sources = [(folder, "object", "a photo of a {}") for folder in object_folders()]
    sources.append((style, "style", "a picture in the style of {}, a cat"))
    figures: dict[str, Any] = {}
    rows: list[tuple[str, Image.Image]] = []
    for source, templates, prompt in sources:
        figures[source.name], made = compare(bench, source, templates, prompt, work / source.name)
        rows += made
        print(source.name, figures[source.name], flush=True)
        (work / "words.png").write_bytes(png_bytes(contact_sheet(rows, bench.model.native_size)))
    objects = [one for name, one in figures.items() if name != style.name]
    better = sum(one["trained"] > one["best known"] for one in objects)
    return {"objects better": f"{better} of {len(objects)}", "goal": GOAL, "words": figures}


def compare(
    bench: Bench, source: Path, templates: str, prompt: str, folder: Path
) -> tuple[dict[str, Any], list[tuple[str, Image.Image]]]:
    """Figures of the word of `source`, and rows of pictures: training set, best known word, trained word."""
    trained = train(bench, source, folder, templates=templates, preview_prompt=prompt.replace("{}", "[name]"))
    training = trained.images
    words = [word for _, word in vocabulary_words(bench.model.text_encoders[0].tokenizer)]
    candidates = [word for word, _ in nearest_words(bench.scorer, training, words, CANDIDATES, prompt)]
    drawn = {word: bench.pictures_of(prompt.format(word), {}) for word in candidates}
    known = max(candidates, key=lambda word: bench.likeness(drawn[word], training))
    name = trained.embedding.name
    made = bench.pictures_of(prompt.format(name), {name: trained.embedding.vectors})
    figures = {
        "trained": round(bench.likeness(made, training), 3),
        "best known": round(bench.likeness(drawn[known], training), 3),
        "known word": known,
        "steps": trained.finished.step,
        "best step": trained.finished.best_step,
        **{key: round(value, 4) for key, value in trained.finished.figures.items()},
        "seconds": round(trained.seconds, 1),
    }
    side = bench.model.native_size
    rows = [
        (f"{source.name}: training pictures", row_of(training, side)),
        (f"best known word: {known}, likeness {figures['best known']}", row_of(drawn[known], side)),
        (f"trained word, likeness {figures['trained']}", row_of(made, side)),
    ]
    return figures, rows
