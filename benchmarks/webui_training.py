"""Training against the WebUI's own trainer: steps per second and memory, in its process, on what it has loaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median
from typing import Any

from pseudoword.builtin import CHECKPOINT
from tools.pages import table

from .training import object_folders
from .webui.place import Webui, circumstances

INSIDE = Path(__file__).parent / "webui" / "train_inside.py"
SIDES = ("WebUI", "WebUI, optimised", "Pseudoword")
PACES = ("steps per second", "steps per CPU second")  # the second one is hardly moved by what else the machine does
SIZE, BATCHES, STEPS, ROUNDS = 64, (1, 4), 100, 5
PICTURE_SETS = 3  # of four pictures each
GOAL = 1.2


def measure(work: Path, steps: int = STEPS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Speed with all sides in one process, by turns; memory with each in a fresh one, above what loading took.

    "WebUI" is its button Train Embedding with everything as it comes; "WebUI, optimised" has its setting "Use cross
    attention optimizations while training" turned on, too.
    """
    webui = Webui.named()
    data = webui.furnished(work / "data", with_extension=False)
    job = {"pictures": str(pictures(work / "pictures")), "size": SIZE, "steps": steps}
    result: dict[str, Any] = {"goal": GOAL, "checkpoint": CHECKPOINT.name, "size": SIZE, "steps": steps}
    for batch in BATCHES:
        found = webui.run(data, INSIDE, {**job, "batch": batch, "rounds": rounds, "sides": SIDES})
        alone = {
            side: webui.run(data, INSIDE, {**job, "batch": batch, "rounds": 1, "sides": [side]})[0] for side in SIDES
        }
        result[f"batch {batch}"] = {**speed(found), "memory": {side: memory(one) for side, one in alone.items()}}
    result |= circumstances()
    print(as_table(result), flush=True)
    return result


def pictures(folder: Path) -> Path:
    """A folder with the training pictures of a few objects."""
    folder.mkdir()
    for source in object_folders()[:PICTURE_SETS]:
        for picture in source.glob("*.png"):
            shutil.copyfile(picture, folder / f"{source.name}-{picture.name}")
    return folder


def speed(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, and of each round's ratio, where what else the machine does is in both."""
    rounds = [found[start : start + len(SIDES)] for start in range(0, len(found), len(SIDES))]
    paces: dict[str, dict[str, float]] = {}
    for name in PACES:
        paces[name] = {side: round(median(one[number][name] for one in rounds), 2) for number, side in enumerate(SIDES)}
    times: dict[str, dict[str, Any]] = {}
    for number, side in enumerate(SIDES[:-1]):
        ratios = {name: [one[-1][name] / one[number][name] for one in rounds] for name in PACES}
        times[side] = {name: round(median(values), 2) for name, values in ratios.items()}
        times[side]["lowest and highest by the clock"] = [round(edge(ratios[PACES[0]]), 2) for edge in (min, max)]
        times[side]["whole trainings"] = round(median(one[number]["seconds"] / one[-1]["seconds"] for one in rounds), 2)
    return {**paces, "times as fast as": times}


def memory(one: dict[str, Any]) -> dict[str, Any]:
    """What is told of the memory of one side, in MB."""
    names = ("peak, MB", "growth, MB", "gradients of weights kept, MB", "weights that want a gradient")
    return {name: round(one[name], 1) for name in names}


def as_table(result: dict[str, Any]) -> str:
    """One row for each batch and side."""
    rows: list[list[object]] = []
    for batch in BATCHES:
        one = result[f"batch {batch}"]
        for side in SIDES:
            ratios = one["times as fast as"].get(side, {})
            row = [value for name in PACES for value in (one[name][side], ratios.get(name, ""))]
            rows.append([batch, side, *row, *one["memory"][side].values()])
    header = ["Batch", "Trainer", "Steps/s", "Ours: times", "Steps/CPU s", "Ours: times"]
    return table([*header, *next(iter(result[f"batch {BATCHES[0]}"]["memory"].values()))], rows)
