"""A prompt's tokens in the layers of a text encoder as a picture, 1200 pixels wide like those of `plots`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ..text.tokenizer import END, START
from .canvas import FONT_POINTS, Canvas, ThemeName, canvas, drawable
from .plots import on_scale
from .prompt_layers import PromptLayers
from .prompt_view import PieceView

MOST_ROWS = 150  # two full chunks; few programs show pictures of more
ROW_INCHES, BAR_INCHES, AROUND_INCHES = 0.17, 0.09, 1.55  # a token, the bar of colours, title and axes
SMALL_POINTS = FONT_POINTS - 2
VALUES_UP_TO = (24, 12)  # tokens, layers; more values on the heat map would be too many or too small to read
LEAST_REACH = 5.0  # % above and below the mean length: colours must not make much of what is no difference


def prompt_layers_plot(found: PromptLayers, theme: ThemeName = "light") -> bytes:
    """Two heat maps with a row for each token: how its states agree with the last layer's, and their lengths.

    The first 150 tokens are drawn. Raises MissingExtra where matplotlib is not installed.
    """
    count = min(len(found.pieces), MOST_ROWS)
    rows_inches = ROW_INCHES * max(count, 4)
    drawing = canvas(theme, AROUND_INCHES + BAR_INCHES + rows_inches)
    # What colours and columns mean stands on top: the other end of a long prompt is far away.
    *bars, cosines, lengths = drawing.axes([BAR_INCHES, rows_inches], share_x=False, widths=[3, 1])
    to_last = found.to_last.T[:count].tolist()
    mean = float(found.norms.mean())
    off_mean = 100 * (found.norms.T[:count] / mean - 1)
    reach = max(LEAST_REACH, float(off_mean.abs().max()))
    draw_heat(drawing, cosines, bars[0], to_last, 1, "cosine with the last layer")
    draw_heat(drawing, lengths, bars[1], off_mean.tolist(), reach, f"length, % off {mean:.4g}")
    mark_layers(cosines, found.clip_skips, marks=13)
    mark_layers(lengths, found.clip_skips, marks=4)
    cosines.set_yticks(range(count), [label_of(piece) for piece in found.pieces[:count]], parse_math=False)
    cosines.tick_params(axis="y", length=0, labelsize=SMALL_POINTS)
    lengths.set_yticks([])
    if count <= VALUES_UP_TO[0] and len(found.clip_skips) <= VALUES_UP_TO[1]:
        write_values(drawing, cosines, to_last)
    mark_chunks(drawing, (cosines, lengths), found.chunks[:count])
    if count < len(found.pieces):
        note = f"the first {count} of {len(found.pieces):,} tokens"
        drawing.figure.supxlabel(note, color=drawing.theme.ink, size=FONT_POINTS)
    drawing.title(bars[0], f"{drawable(found.prompt, 32)} through the layers of {found.encoder}")
    return drawing.png()


def draw_heat(drawing: Canvas, axes: Any, bar: Any, values: list[list[float]], reach: float, label: str) -> None:
    """`values` (tokens, layers) as colours from -`reach` to `reach`, and in `bar` what the colours mean."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = drawing.theme
    scale = LinearSegmentedColormap.from_list("both ways", [colours.low, colours.background, colours.high])
    picture = axes.imshow(values, cmap=scale, vmin=-reach, vmax=reach, aspect="auto", interpolation="nearest")
    drawing.figure.colorbar(picture, cax=bar, orientation="horizontal", ticks=[-reach, 0, reach], format="%.3g")
    bar.set_xlabel(label, color=colours.ink, size=FONT_POINTS)
    bar.tick_params(labelsize=SMALL_POINTS)
    for place, number in zip(("left", "center", "right"), bar.get_xticklabels(), strict=True):
        number.set_horizontalalignment(place)  # within the bar: the other one's numbers are near
    for field in (axes, bar):  # where nothing differs, only its frame tells that there is a field
        for spine in field.spines.values():
            spine.set(visible=True, color=colours.faint)


def mark_layers(axes: Any, clip_skips: Sequence[int], marks: int) -> None:
    """Layers, and the CLIP skips that ask for them, above a heat map: at most so many `marks`."""
    count = len(clip_skips)
    step = next(step for step in (1, 2, 4, 8, 16, 32) if count / step <= marks)
    places = range(count)[::-1][::step]
    axes.set_xticks(places, [f"{place + 1}\n({clip_skips[place]})" for place in places])
    axes.set_xlabel("layer (CLIP skip)")
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", labelsize=SMALL_POINTS)


def label_of(piece: PieceView) -> str:
    """How a token is called beside its row: "cup", "unbe-" where its word goes on, "zonk 2" for a second vector."""
    if piece.vector is not None:
        return f"{drawable(piece.text, 20)} {piece.vector + 1}"
    whole = piece.ends_word or piece.text in (START, END)
    return drawable(piece.text) + ("" if whole else "-")


def write_values(drawing: Canvas, axes: Any, values: list[list[float]]) -> None:
    """Two digits in each field of a heat map."""
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            style = {"ha": "center", "va": "center_baseline", "size": SMALL_POINTS - 1}
            axes.text(column, row, f"{round(value, 2) + 0.0:.2f}", color=on_scale(value, drawing.theme), **style)


def mark_chunks(drawing: Canvas, fields: Sequence[Any], chunks: Sequence[int]) -> None:
    """Lines between the chunks of a prompt that has several, and their numbers beside the last of `fields`."""
    first = 0
    for chunk, rows in groupby(chunks):
        last = first + len(list(rows)) - 1
        for field in fields if first else ():
            field.axhline(first - 0.5, color=drawing.theme.ink, lw=1.2)
        if chunks[0] != chunks[-1]:
            place = (fields[-1].get_xlim()[1], (first + last) / 2)
            style = {"xytext": (6, 0), "textcoords": "offset points", "rotation": 90, "va": "center", "ha": "left"}
            fields[-1].annotate(
                f"chunk {chunk + 1}", place, color=drawing.theme.ink, size=SMALL_POINTS, annotation_clip=False, **style
            )
        first = last + 1
