"""The figures of strips as pictures, like those of `plots`: PNG, 1200 pixels wide, in the theme "light" or "dark"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .canvas import FONT_POINTS, Canvas, ThemeName, canvas, drawable
from .strips import Similarities

INCHES_OF_BAR, INCHES_AROUND = 0.3, 1.1
INCHES_OF_LINES, INCHES_OF_LEGEND = 4.0, 0.4
LABELS_UP_TO = 9  # below a line; more would run into each other
LONGEST_TITLE = 68
OTHER_SEED = "nothing but another seed"


def strip_plot(figures: Sequence[Similarities], theme: ThemeName = "light") -> bytes:
    """A field for each row of a strip, at least one: bars of what is lost, or lines along the way between two words.

    Raises MissingExtra where matplotlib is not installed.
    """
    heights = [height_of(found) for found in figures]
    drawing = canvas(theme, sum(heights) + INCHES_OF_LEGEND)
    fields = drawing.axes(heights, share_x=False)
    for axes, found in zip(fields, figures, strict=True):
        (draw_way if found.kind == "interpolation" else draw_bars)(drawing, axes, found)
        drawing.title(axes, drawable(found.title, LONGEST_TITLE))
    bars = [axes for axes, found in zip(fields, figures, strict=True) if found.kind != "interpolation"]
    farthest = max((axes.get_xlim()[1] for axes in bars), default=1.0)
    for axes in bars:  # one scale: rows are there to be compared
        axes.set_xlim(0, farthest)
    meanings = {label: mark for axes in fields for mark, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    where = {"loc": "outside lower center", "ncols": len(meanings)}
    drawing.legend(drawing.figure, handles=list(meanings.values()), labels=list(meanings), **where)
    return drawing.png()


def height_of(found: Similarities) -> float:
    """How many inches the field of a row needs."""
    if found.kind == "interpolation":
        return INCHES_OF_LINES
    return INCHES_AROUND + INCHES_OF_BAR * max(len(found.compared), 2)


def draw_bars(drawing: Canvas, axes: Any, found: Similarities) -> None:
    """A bar for each picture that is compared with the first, a dot for each seed, and what another seed does."""
    colours = drawing.theme
    places = found.compared
    rows = list(range(len(places)))
    lost = [found.lost(place) for place in places]
    axes.barh(rows, lost, height=0.62, color=colours.marks[0], label="mean of all seeds")
    dots = [(1 - cosine, row) for row, place in zip(rows, places, strict=True) for cosine in found.cosines[0][place]]
    if len(found.seeds) > 1:
        x, y = zip(*dots, strict=True)
        style = {"color": colours.ink, "ms": 4.5, "mec": colours.background, "mew": 0.8, "clip_on": False}
        axes.plot(x, y, "o", label="each seed", **style)
    if found.between_seeds is not None:
        axes.axvline(1 - found.between_seeds, color=colours.marks[1], ls="--", lw=1.6, label=OTHER_SEED)
    far = [*lost, *(x for x, _ in dots), 0.02, 0 if found.between_seeds is None else 1 - found.between_seeds]
    axes.set_xlim(0, 1.06 * max(far))
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.set_yticks(rows, [drawable(found.labels[place]) for place in places], parse_math=False)
    reference = drawable(found.labels[found.references[0]])
    axes.set_xlabel(f"CLIP similarity with {reference} that is lost (0: the same picture)", parse_math=False)
    axes.grid(axis="x", color=colours.band, lw=0.8)
    axes.set_axisbelow(True)


def draw_way(drawing: Canvas, axes: Any, found: Similarities) -> None:
    """A line for the similarity with each end of the way, with the deviation between seeds around it."""
    colours = drawing.theme
    steps = list(range(len(found.labels)))
    for number, reference in enumerate(found.references):
        means = [found.similarity(place, number) for place in steps]
        spreads = [found.deviation(place, number) or 0.0 for place in steps]
        low, high = ([mean + sign * by for mean, by in zip(means, spreads, strict=True)] for sign in (-1, 1))
        colour, name = colours.marks[number], drawable(found.labels[reference])
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(steps, means, color=colour, marker="os"[number], ms=5, lw=1.8, label=f"similarity with {name}")
    if found.between_seeds is not None:
        axes.axhline(found.between_seeds, color=colours.faint, ls="--", lw=1.6, label=OTHER_SEED)
    every = -(-(len(steps) - 1) // (LABELS_UP_TO - 1)) or 1
    marked = [step for step in steps if step % every == 0 and step <= steps[-1] - every / 2] + steps[-1:]
    axes.set_xticks(marked, [drawable(found.labels[step], 14) for step in marked], parse_math=False)
    axes.set_ylabel("CLIP similarity", size=FONT_POINTS)
    axes.grid(axis="y", color=colours.band, lw=0.8)
    axes.set_axisbelow(True)
