"""The scores of layers as a picture, 1200 pixels wide like those of `plots`."""

from __future__ import annotations

import re
from typing import Any

from ..text.layer_choice import EncoderLayers
from .canvas import FONT_POINTS, Canvas, ThemeName, canvas, drawable
from .layer_scores import LayerScores

SCORES_INCHES, SIMILARITY_INCHES, AROUND_INCHES = 3.0, 1.5, 1.5
LONGEST_TITLE, LONGEST_TICK = 68, 8
BESIDE_BAR = 0.13  # where the dots of seeds stand, in places
TICK_LINES = 4  # of a blend's layers
BLEND_TICKS_UP_TO = 14  # choices beside each other whose layers and weights can be read


def layer_scores_plot(found: LayerScores, theme: ThemeName = "light") -> bytes:
    """Scores with their deviation between seeds, the recommended choice marked; below, how much pictures change.

    Raises MissingExtra where matplotlib is not installed.
    """
    heights = ([SCORES_INCHES] if found.scores else []) + [SIMILARITY_INCHES]
    drawing = canvas(theme, sum(heights) + AROUND_INCHES)
    fields = drawing.axes(heights)
    if found.scores:
        draw_scores(drawing, fields[0], found)
    draw_similarities(drawing, fields[-1], found)
    places = list(range(len(found.choices)))
    fields[-1].set_xticks(places, ticks_for(found), parse_math=False)
    fields[-1].set_xlim(-0.6, len(places) - 0.4)
    fields[-1].set_xlabel("CLIP skip: 1 is the last layer, layer=weight a blend")
    for field in fields:
        field.grid(axis="y", color=drawing.theme.band, lw=0.8)
        field.set_axisbelow(True)
    drawing.title(fields[0], drawable(found.title, LONGEST_TITLE))
    meanings = {label: mark for axes in fields for mark, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    where = {"loc": "outside lower center", "ncols": 3, "columnspacing": 1.4}
    drawing.legend(drawing.figure, handles=list(meanings.values()), labels=list(meanings), **where)
    return drawing.png()


def draw_scores(drawing: Canvas, axes: Any, found: LayerScores) -> None:
    """The mean score of each choice, a dot for each seed, and the last layer's score to compare with."""
    colours = drawing.theme
    places = list(range(len(found.choices)))
    means = [found.score(place) for place in places]
    axes.plot(places, means, "o", color=colours.marks[0], ms=7, label="mean score", zorder=4)
    if len(found.alike.seeds) > 1:
        dots = [(place + BESIDE_BAR, score) for place in places for score in found.scores[place]]
        x, y = zip(*dots, strict=True)
        axes.plot(x, y, "o", color=colours.faint, ms=4, mew=0, label="each seed", zorder=2)
        spreads = [found.deviation(place) for place in places]
        bars = {"fmt": "none", "ecolor": colours.marks[0], "elinewidth": 1.6, "capsize": 4, "zorder": 3}
        axes.errorbar(places, means, yerr=spreads, label="deviation between seeds", **bars)
    axes.axhline(means[found.last], color=colours.ink, ls="--", lw=1.2, label="score of the last layer", zorder=1)
    join_single_layers(axes, found, means, color=colours.marks[0])
    layers = found.recommendation.layers
    if layers is not None:
        place = found.choices.index(layers)
        star = {"color": colours.marks[1], "ms": 17, "mec": colours.background, "mew": 1.2, "zorder": 5}
        axes.plot([place], [means[place]], "*", label="recommended", **star)
    axes.set_ylabel("CLIP similarity\nwith the prompt", size=FONT_POINTS)


def draw_similarities(drawing: Canvas, axes: Any, found: LayerScores) -> None:
    """How much the pictures of each choice are like those of the last layer, and like those of another seed."""
    colours = drawing.theme
    alike = [found.alike.similarity(place) for place in range(len(found.choices))]
    join_single_layers(axes, found, alike, color=colours.marks[2])
    axes.plot(range(len(alike)), alike, "s", color=colours.marks[2], ms=6, label="similarity with the last layer")
    if found.alike.between_seeds is not None:
        other = "nothing but another seed"
        axes.axhline(found.alike.between_seeds, color=colours.marks[3], ls=":", lw=1.8, label=other)
    axes.set_ylabel("similarity of\npictures", size=FONT_POINTS)


def join_single_layers(axes: Any, found: LayerScores, values: list[float], color: str) -> None:
    """A line through the single layers; a blend has no place between two of them."""
    single = [place for place, layers in enumerate(found.choices) if layers.single is not None]
    in_order = sorted(single, key=lambda place: found.choices[place].single or 0)
    if in_order == single:  # a line that runs back and forth tells nothing
        axes.plot(single, [values[place] for place in single], color=color, lw=1.2, alpha=0.6, zorder=3)


def ticks_for(found: LayerScores) -> list[str]:
    """What stands below each choice; where there are many, blends are only called so."""
    blends = [place for place, layers in enumerate(found.choices) if layers.single is None]
    if len(found.choices) <= BLEND_TICKS_UP_TO:
        return [tick_for(layers) for layers in found.choices]
    numbers = {place: f"b{number}" for number, place in enumerate(blends, 1)}
    return [numbers.get(place, layers.text) for place, layers in enumerate(found.choices)]


def tick_for(layers: EncoderLayers) -> str:
    """A single layer's CLIP skip, or the layers of a blend or of two text encoders, each on a line."""
    parts = [part[:LONGEST_TICK] for part in re.split("[,/]", layers.text)]
    return "\n".join(parts if len(parts) <= TICK_LINES else [*parts[: TICK_LINES - 1], "…"])
