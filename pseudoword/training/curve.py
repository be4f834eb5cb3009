"""The run's history as a picture: loss, validation loss, likeness and editability over the steps."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Any

from ..errors import MissingExtra

SMOOTHED_OVER = 25  # training steps: single ones jump with the noise and pictures they drew
KEPT = 32  # pictures, each with its records: a drawing takes a third of a second, in which nobody else is answered
# Of the picture's sides. Matplotlib can find them out by itself, which takes as long as the drawing.
MARGINS = {"left": 0.1, "right": 0.985, "hspace": 0.08}
INCHES_ABOVE, INCHES_BELOW = 0.36, 0.5


def curve_picture(records: Sequence[Mapping[str, Any]], title: str = "") -> bytes:
    """A PNG of the curves in `records` (see `History`); the lower half appears where likeness was measured.

    Who asks for the same again is given the same. Raises MissingExtra where matplotlib is not installed.
    """
    return _drawn(json.dumps(list(records)), title)


@lru_cache(KEPT)
def _drawn(told: str, title: str) -> bytes:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "standalone") from error
    records = json.loads(told)
    previews = [record for record in records if record["event"] == "preview" and record["likeness"] is not None]
    height = 6 if previews else 4
    # A Figure of its own, without pyplot: no window system, no state shared between threads.
    figure = Figure(figsize=(8, height), dpi=100)
    figure.subplots_adjust(**MARGINS, bottom=INCHES_BELOW / height, top=1 - INCHES_ABOVE / height)
    axes = figure.subplots(2 if previews else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_losses(axes[0], records)
    axes[0].set_title(title)
    if previews:
        _draw_figures(axes[1], sorted(previews, key=lambda record: record["step"]))
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_losses(axes: Any, records: Sequence[Mapping[str, Any]]) -> None:
    steps = [record for record in records if record["event"] == "step"]
    validations = [record for record in records if record["event"] == "validated"]
    if steps:
        smooth = smoothed([record["loss"] for record in steps], SMOOTHED_OVER)
        label = f"training loss, mean of {SMOOTHED_OVER}"
        axes.plot([record["step"] for record in steps], smooth, color="0.7", label=label)
    if validations:
        losses = [record["loss"] for record in validations]
        axes.plot([record["step"] for record in validations], losses, color="C0", marker=".", label="validation loss")
        best = min(validations, key=lambda record: record["loss"])
        axes.axvline(best["step"], color="C2", linestyle=":", label=f"best step {best['step']}")
    axes.set_ylabel("loss")
    if steps or validations:
        axes.legend()


def _draw_figures(axes: Any, previews: Sequence[Mapping[str, Any]]) -> None:
    steps = [record["step"] for record in previews]
    axes.plot(steps, [record["likeness"] for record in previews], color="C1", marker=".", label="likeness")
    axes.plot(steps, [record["editability"] for record in previews], color="C3", marker=".", label="editability")
    axes.set_ylabel("CLIP similarity")
    axes.legend()


def smoothed(values: Sequence[float], over: int) -> list[float]:
    """Each value as the mean of itself and up to `over` - 1 before it."""
    return [fmean(values[max(0, place - over + 1) : place + 1]) for place in range(len(values))]
