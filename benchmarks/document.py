"""docs/figures.md and its pictures, from what the benchmarks measured: `python -m benchmarks.document`."""

from __future__ import annotations

import json
import shutil
from typing import Any

from tools.pages import ROOT, table, write_section

from . import (
    clip_skip,
    crowd,
    crowd_kills,
    inspection,
    library,
    scoring,
    search,
    webui_startup,
    webui_training,
    webui_waiting,
)

MEASURED = ROOT / "build" / "benchmarks"
PAGE = ROOT / "docs" / "figures.md"


def words_section(figures: dict[str, Any]) -> str:
    """Every word, best gain first; the failures stand at the end."""
    ordered = sorted(figures["words"].items(), key=lambda item: item[1]["best known"] - item[1]["trained"])
    losses = ["Loss at the start", "Best loss"]
    header = ["Word", "Likeness", "Best known word", "Its likeness", "Editability", *losses, "Best step", "Seconds"]
    rows: list[list[object]] = [
        [
            name,
            one["trained"],
            one["known word"],
            one["best known"],
            one["best editability"],
            one["start validation loss"],
            one["best validation loss"],
            one["best step"],
            one["seconds"],
        ]
        for name, one in ordered
    ]
    return f"**{figures['objects better']} objects are better than the best known word.**\n\n" + table(header, rows)


def norm_section(figures: dict[str, Any]) -> str:
    """Both norms side by side."""
    names = list(figures["free"])
    return table(
        ["Norm", *names], [[norm, *(figures[norm][name] for name in names)] for norm in ("vocabulary", "free")]
    )


def peer_section(figures: dict[str, Any]) -> str:
    """One row per object."""
    names = list(next(iter(figures["objects"].values())))
    rows: list[list[object]] = [[name, *one.values()] for name, one in figures["objects"].items()]
    times = figures["times as fast to the same loss, geometric mean"]
    return f"**{times} times as fast to the same loss (geometric mean).**\n\n" + table(["Object", *names], rows)


def overhead_section(figures: dict[str, Any]) -> str:
    """Shares and ratios."""
    names = ("outside UNet and text encoder, share of a step", "step against bare passes, ratio")
    shares = figures["share of a whole run, by what it does"]
    rows: list[list[object]] = [[name, figures[name]] for name in names]
    rows += [[f"share of a whole run: {name}", share] for name, share in shares.items()]
    return table(["What", "Figure"], rows)


def demo_section(figures: dict[str, Any]) -> str:
    """Against the goals."""
    goals = figures["goals"]
    return table(["What", "Measured", "Goal"], [[name, figures[name], f"below {goal}"] for name, goal in goals.items()])


SECTIONS = {
    "words": words_section,
    "norm": norm_section,
    "peer": peer_section,
    "overhead": overhead_section,
    "demo": demo_section,
    "inspection": inspection.as_table,
    "library": library.as_table,
    "scoring": scoring.as_table,
    "search": search.as_table,
    "clip-skip": clip_skip.as_table,
    "crowd": crowd.as_table,
    "crowd-kills": crowd_kills.as_table,
    "webui-training": webui_training.as_table,
    "webui-waiting": webui_waiting.as_table,
    "webui-startup": webui_startup.as_table,
}


def main() -> None:
    """Write the section of every benchmark; one that was not measured says so."""
    sheet = MEASURED / "words.png"
    for name, section in SECTIONS.items():
        measured = MEASURED / f"{name}.json"
        content = "Not measured on this version yet."
        if measured.exists():
            figures = json.loads(measured.read_text(encoding="utf-8"))
            load = f", load average {figures['load average']}" if "load average" in figures else ""
            content = f"Measured on {figures['machine']}{load}.\n\n" + section(figures)
        if name == "words" and sheet.exists():
            shutil.copyfile(sheet, PAGE.parent / sheet.name)
            content += f"\n![For each word: training pictures, the best known word, the trained word]({sheet.name})\n"
        write_section(PAGE, name, content)


if __name__ == "__main__":
    main()
