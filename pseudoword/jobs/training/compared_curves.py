"""The curves of two runs in one picture: validation loss over the steps, and likeness where both measured it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...inspect.canvas import Canvas, ThemeName, canvas, drawable
from ...training.curve import SMOOTHED_OVER, smoothed

LONGEST_TITLE = 40
INCHES_OF_LOSS, INCHES_OF_LIKENESS = 3.4, 2.4

Run = tuple[str, Sequence[Mapping[str, Any]]]


def compared_curves(runs: Sequence[Run], theme: ThemeName = "light") -> bytes:
    """A PNG of the histories of `runs`, each a title and its records. Raises MissingExtra without matplotlib."""
    have_likeness = all(_likeness(records) for _, records in runs)
    heights = [INCHES_OF_LOSS, INCHES_OF_LIKENESS] if have_likeness else [INCHES_OF_LOSS]
    drawing = canvas(theme, sum(heights))
    fields = drawing.axes(heights)
    for number, (title, records) in enumerate(runs):
        draw_losses(drawing, fields[0], records, number, drawable(title, LONGEST_TITLE))
        if have_likeness:
            steps, values = zip(*_likeness(records), strict=True)
            fields[1].plot(steps, values, **style_of(drawing, number))
    fields[0].set_ylabel("validation loss")
    if have_likeness:
        fields[1].set_ylabel("likeness (CLIP)")
    fields[-1].set_xlabel("step")
    for axes in fields:
        axes.grid(axis="y", color=drawing.theme.band, lw=0.8)
        axes.set_axisbelow(True)
    if fields[0].get_legend_handles_labels()[1]:
        drawing.legend(fields[0])
    return drawing.png()


def draw_losses(drawing: Canvas, axes: Any, records: Sequence[Mapping[str, Any]], number: int, title: str) -> None:
    """The validation loss of one run with its best step; of a run without any, the training loss."""
    style = style_of(drawing, number)
    validations = [(record["step"], record["loss"]) for record in records if record["event"] == "validated"]
    if validations:
        steps, losses = zip(*validations, strict=True)
        axes.plot(steps, losses, label=title, **style)
        best, _ = min(validations, key=lambda found: found[1])
        axes.axvline(best, color=style["color"], ls=":", lw=1.4)
        return
    trained = [record for record in records if record["event"] == "step"]
    values = smoothed([record["loss"] for record in trained], SMOOTHED_OVER)
    told = f"{title}, training loss, mean of {SMOOTHED_OVER}"
    axes.plot([record["step"] for record in trained], values, color=style["color"], lw=1.4, label=told)


def style_of(drawing: Canvas, number: int) -> dict[str, Any]:
    """How the line of a run looks. The second is broken: where both are the same, both are seen."""
    return {
        "color": drawing.theme.marks[number],
        "marker": "os"[number],
        "ms": 5,
        "lw": 1.8,
        "ls": ("-", (0, (4, 3)))[number],
    }


def _likeness(records: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    found = [record for record in records if record["event"] == "preview" and record["likeness"] is not None]
    return sorted((record["step"], record["likeness"]) for record in found)
