"""Figures as pictures: each function returns a PNG, 1200 pixels wide, in the theme "light" or "dark".

Each raises MissingExtra where matplotlib is not installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .canvas import FONT_POINTS, Canvas, Theme, ThemeName, canvas, drawable, text_width
from .figures import EncoderFigures
from .label_places import Box, label_boxes
from .layers import LayerFigures
from .maps import Place, WordMap
from .vocabulary import Vocabulary

VALUES_UP_TO = 12  # vectors; more values on a heat map would be too small to read
LINES_UP_TO = 6  # vectors with a line and a colour of their own
NUMBERED_UP_TO = 24  # vectors with a number in their mark on the map
LABEL_POINTS = FONT_POINTS - 1.5
LOGARITHMIC_FROM = 4.0  # times the vocabulary's longest or shortest: beyond, an even axis would show nothing else
BINS = 80


def norms_plot(name: str, figures: EncoderFigures, vocabulary: Vocabulary, theme: ThemeName = "light") -> bytes:
    """The lengths of a word's vectors, numbered, above those of the whole vocabulary."""
    norms = [vector.norm for vector in figures.vectors]
    drawing = canvas(theme, 3.2 + 0.16 * min(max(len(norms), 4), 40))
    upper, lower = drawing.axes([min(max(len(norms), 4), 40) * 0.16 + 0.6, 2.0])
    low, high, is_logarithmic = norm_axis(norms, vocabulary.norms)
    usual = figures.vocabulary_norms
    shown = [min(max(norm, low), high) for norm in norms]
    numbers = [vector.number for vector in figures.vectors]
    colours = drawing.theme
    for field in (upper, lower):
        field.axvspan(usual.mean - usual.deviation, usual.mean + usual.deviation, color=colours.band, lw=0)
        field.axvline(usual.mean, color=colours.faint, lw=1.2)
    upper.hlines(numbers, low, shown, color=colours.faint, lw=0.8)
    upper.plot(shown, numbers, "o", color=colours.marks[1], ms=5.5, clip_on=False)
    upper.set(ylabel="vector", ylim=(len(norms) + 0.7, 0.3), yticks=ticks_of(len(norms)))
    drawing.title(upper, f"Length of the vectors of {drawable(name, 40)} ({figures.encoder})")
    lower.hist(
        vocabulary.norms.clamp(low, high).tolist(), histogram_bins(low, high, is_logarithmic), color=colours.faint
    )
    for norm in shown:
        lower.axvline(norm, color=colours.marks[1], lw=1.0, ymax=0.12)
    if is_logarithmic:
        lower.set_xscale("log")
        plain_numbers(lower, low, high)
    lower.set(
        xlim=(low, high),
        ylabel="tokens",
        xlabel=f"length; the vocabulary's mean {usual.mean:.3g} and its deviation ± {usual.deviation:.2g} are shaded",
    )
    return drawing.png()


def norm_axis(norms: Sequence[float], vocabulary: Tensor) -> tuple[float, float, bool]:
    """Ends of an axis for `norms` and those of a vocabulary (V,), and whether it is logarithmic.

    Lengths of 0 have no place on a logarithmic axis: they are drawn at its lower end.
    """
    shortest, longest = float(vocabulary.min()), float(vocabulary.max())
    is_logarithmic = max(norms) > LOGARITHMIC_FROM * longest
    if not is_logarithmic:
        high = max([longest, *norms])
        return 0.0, 1.04 * high if high else 1.0, False
    above_zero = [norm for norm in (shortest, *norms) if norm > 0] or [longest]
    low = max(min(above_zero), longest / 1000)
    return low / 1.3, 1.3 * max([longest, *norms]), True


def histogram_bins(low: float, high: float, is_logarithmic: bool) -> list[float]:
    """Edges of bins that look equally wide on the axis."""
    if is_logarithmic:
        return [low * (high / low) ** (edge / BINS) for edge in range(BINS + 1)]
    return [low + (high - low) * edge / BINS for edge in range(BINS + 1)]


def plain_numbers(axes: Any, low: float, high: float) -> None:
    """Write 0.1, 1, 10 … instead of powers on a logarithmic x axis from `low` to `high`."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    marks = [step * 10.0**power for power in range(-6, 7) for step in (1, 2, 5)]
    axes.xaxis.set_major_locator(FixedLocator([mark for mark in marks if low <= mark <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def ticks_of(count: int) -> list[int]:
    """Numbers from 1 to `count` to write beside an axis, 16 at most."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if count / step <= 16)
    return [1, *range(step, count + 1, step)] if step > 1 else list(range(1, count + 1))


def similarity_plot(name: str, figures: EncoderFigures, theme: ThemeName = "light") -> bytes:
    """The cosines of a word's vectors with each other as a heat map, with values for up to 12 vectors."""
    count = len(figures.vectors)
    drawing = canvas(theme, 6.4 if count > 1 else 3.2)
    from matplotlib.colors import LinearSegmentedColormap

    (axes,) = drawing.axes([1])
    colours = drawing.theme
    scale = LinearSegmentedColormap.from_list("cosine", [colours.low, colours.background, colours.high])
    picture = axes.imshow(figures.similarity.tolist(), cmap=scale, vmin=-1, vmax=1)
    numbers = ticks_of(count)
    places = [number - 1 for number in numbers]
    axes.set(xlabel="vector", ylabel="vector")
    axes.set_xticks(places, [str(number) for number in numbers])
    axes.set_yticks(places, [str(number) for number in numbers])
    if count <= VALUES_UP_TO:
        for row, values in enumerate(figures.similarity.tolist()):
            for column, value in enumerate(values):
                axes.text(
                    column,
                    row,
                    f"{round(value, 2) + 0.0:.2f}",
                    ha="center",
                    va="center",
                    size=9,
                    color=on_scale(value, colours),
                )
    bar = drawing.figure.colorbar(picture, ax=axes, shrink=0.85, label="cosine")
    bar.ax.tick_params(colors=colours.ink, labelsize=FONT_POINTS - 1.5)
    bar.ax.yaxis.label.set(color=colours.ink, size=FONT_POINTS)
    bar.outline.set_visible(False)
    drawing.title(axes, f"How alike the vectors of {drawable(name, 32)} are ({figures.encoder})")
    return drawing.png()


def on_scale(value: float, theme: Theme) -> str:
    """The colour of letters that stand out more from the heat map's for `value`, -1 to 1: ink or background."""
    end = theme.high if value > 0 else theme.low
    pairs = zip(bytes.fromhex(theme.background[1:]), bytes.fromhex(end[1:]), strict=True)
    field = luminance([start + abs(value) * (stop - start) for start, stop in pairs])

    def contrast(colour: str) -> float:
        letters = luminance(list(bytes.fromhex(colour[1:])))
        return (max(field, letters) + 0.05) / (min(field, letters) + 0.05)

    return max((theme.ink, theme.background), key=contrast)


def luminance(rgb: Sequence[float]) -> float:
    """How bright a colour (0 to 255 each) looks, 0 to 1, by WCAG 2.1."""
    parts = [value / 255 for value in rgb]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def map_plot(found: WordMap, theme: ThemeName = "light") -> bytes:
    """A word's vectors among common tokens, with the nearest tokens and other embeddings named where there is room."""
    drawing = canvas(theme, 6.6)
    (axes,) = drawing.axes([1])
    colours = drawing.theme
    size_of_own = 11.0 if len(found.vectors) <= NUMBERED_UP_TO else 6.0
    groups = [
        (found.vectors, "o", colours.marks[1], f"vectors of {drawable(found.name)}", size_of_own),
        (found.tokens, "s", colours.marks[0], "nearest tokens", 4.5),
        (found.others, "D", colours.marks[2], "other embeddings", 6.0),
    ]
    sample = found.plane.sample.T.tolist()
    axes.plot(*sample, "o", color=colours.faint, ms=2.4, alpha=0.8, mew=0, zorder=1, label="common tokens")
    for above, (places, mark, colour, label, size) in zip((4, 2, 3), groups, strict=True):
        if places:
            x, y = zip(*((place.x, place.y) for place in places), strict=True)
            style = {"color": colour, "ms": size, "mec": colours.background, "mew": 0.8, "zorder": above}
            axes.plot(x, y, mark, label=label, **style)
    across, upward = (f"{100 * share:.0f} %" for share in found.plane.shares.tolist())
    axes.set(xlabel=f"first component ({across} of the variance)", ylabel=f"second component ({upward})")
    axes.set_aspect("equal", adjustable="datalim")
    drawing.title(axes, f"Where {drawable(found.name, 32)} points ({found.plane.encoder})")
    drawing.legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=4, columnspacing=1.2, handletextpad=0.2)
    label_map(drawing, axes, [(places, colour, size) for places, _, colour, _, size in groups])
    return drawing.png()


def label_map(drawing: Canvas, axes: Any, groups: Sequence[tuple[Sequence[Place], str, float]]) -> None:
    """Write numbers in the word's marks, the first of `groups`, and names beside those of the others."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.5, foreground=drawing.theme.background)]
    # Only the laid-out picture tells where points lie; the layout is kept, since labels must not move it.
    drawing.figure.draw_without_rendering()
    drawing.figure.set_layout_engine("none")
    to_points = 72 / drawing.figure.dpi
    left, bottom, right, top = (edge * to_points for edge in axes.bbox.extents)
    own = groups[0][0]
    for place in own if len(own) <= NUMBERED_UP_TO else ():
        size = 7.5 if len(place.label) < 2 else 6.5
        style = {"size": size, "color": drawing.theme.background, "ha": "center", "va": "center_baseline", "zorder": 5}
        axes.text(place.x, place.y, place.label, **style)
    points = []
    for places, colour, size in groups:
        for place in places:
            x, y = axes.transData.transform((place.x, place.y)) * to_points
            points.append((place, x, y, colour, size))
    taken = [Box(x - size / 2, y - size / 2, x + size / 2, y + size / 2) for _, x, y, _, size in points]
    named = [(drawable(place.label), x, y, colour) for place, x, y, colour, _ in points[len(own) :]]
    labels = [(text_width(label, LABEL_POINTS), x, y) for label, x, y, _ in named]
    boxes = label_boxes(labels, Box(left, bottom, right, top), LABEL_POINTS, taken)
    for (label, _, _, colour), box in zip(named, boxes, strict=True):
        if box is not None:
            middle = ((box.left + box.right) / 2 / to_points, (box.bottom + box.top) / 2 / to_points)
            x, y = axes.transData.inverted().transform(middle)
            style = {"size": LABEL_POINTS, "ha": "center", "va": "center", "parse_math": False, "zorder": 6}
            axes.text(x, y, label, color=colour, path_effects=halo, **style)


def layers_plot(found: LayerFigures, theme: ThemeName = "light") -> bytes:
    """Layer by layer, how a word's states agree with the last layer's and with a known word's, and their lengths."""
    drawing = canvas(theme, 7.2)
    upper, middle, lower = drawing.axes([1, 1, 0.6])
    layers = list(range(1, len(found.clip_skips) + 1))
    draw_lines(drawing, upper, layers, found.to_last)
    draw_lines(drawing, middle, layers, found.to_known)
    draw_lines(drawing, lower, layers, found.norms)
    known = drawable(found.known)
    lower.plot(layers, found.known_norms.tolist(), color=drawing.theme.ink, lw=1.6, ls="--", label=f"known: {known}")
    upper.set_ylabel("cosine with\nthe last layer")
    middle.set_ylabel(f"cosine with\n{known}", parse_math=False)
    lower.set_ylabel("length after\nthe final norm")
    # From 0: the norm makes all states about equally long, and a cut axis would make much of what is left.
    lower.set_ylim(0, 1.15 * max(float(found.norms.max()), float(found.known_norms.max())))
    step = next(step for step in (1, 2, 4, 8, 16) if len(layers) / step <= 13)
    marked = layers[::-1][::step][::-1]
    lower.set_xticks(marked, [f"{layer}\n({found.clip_skips[layer - 1]})" for layer in marked])
    lower.set_xlabel("layer (CLIP skip)")
    for field in (upper, middle, lower):
        field.grid(axis="y", color=drawing.theme.band, lw=0.8)
        field.set_axisbelow(True)
    drawing.title(upper, f"{drawable(found.prompt, 44)} through the layers of {found.encoder}")
    drawing.legend(lower, loc="upper center", bbox_to_anchor=(0.5, -0.62), ncols=4)
    return drawing.png()


def draw_lines(drawing: Canvas, axes: Any, layers: Sequence[int], values: Tensor) -> None:
    """A line for each vector of `values` (L, n), or where they are many, their range and mean."""
    colours = drawing.theme.marks
    if values.shape[1] <= LINES_UP_TO:
        for place, (line, mark) in enumerate(zip(values.T.tolist(), "os^Dv*", strict=False)):
            style = {"color": colours[place], "marker": mark, "ms": 5, "lw": 1.6, "label": f"vector {place + 1}"}
            axes.plot(layers, line, **style)
        return
    low, high = values.amin(dim=1).tolist(), values.amax(dim=1).tolist()
    label = f"range of {values.shape[1]} vectors"
    axes.fill_between(layers, low, high, color=colours[0], alpha=0.25, lw=0, label=label)
    axes.plot(layers, values.mean(dim=1).tolist(), color=colours[0], lw=2, marker="o", ms=4, label="their mean")
