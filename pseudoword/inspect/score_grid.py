"""The scores of an X/Y/Z plot as one picture: what the plot shows, small, with each cell's score on its colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from PIL import Image

from .canvas import FONT_POINTS, WIDTH_INCHES, Canvas, ThemeName, canvas, drawable

INCHES_OF_BAND = 0.24  # below each picture, for its score
INCHES_ABOVE, INCHES_OF_TITLE, INCHES_OF_LABEL = 0.62, 0.3, 0.19
WIDEST_CELL_INCHES, NARROWEST_CELL_INCHES, LEAST_POINTS = 1.5, 0.5, 5.0
HIGHEST_INCHES = 30  # of all cells, unless they would become too small
SHARE_OF_LABELS = 0.2  # of the width, for the names of rows
POINTS_OF_LETTER = 0.58  # how wide a letter is, in parts of its size
COLOURS = "cividis"  # is read alike by people with any kind of colour blindness


@dataclass(frozen=True)
class ScoredCell:
    """What one cell of the plot gave: CLIPScores of its pictures, at least one, and what the plot shows of it."""

    scores: tuple[float, ...]
    picture: Image.Image

    @property
    def mean(self) -> float:
        """Of all its pictures."""
        return sum(self.scores) / len(self.scores)


@dataclass(frozen=True)
class ScoreGrid:
    """`cells` by place (x, y, z), at least one; such as could not be made or scored are missing."""

    x_labels: Sequence[str]
    y_labels: Sequence[str]
    z_labels: Sequence[str]
    cells: dict[tuple[int, int, int], ScoredCell]

    @property
    def best(self) -> tuple[int, int, int]:
        """The place of the cell that fits best; the first of equals."""
        return max(self.cells, key=lambda place: self.cells[place].mean)

    def name(self, place: tuple[int, int, int]) -> str:
        """What stands at the three axes for a cell."""
        labels = zip((self.x_labels, self.y_labels, self.z_labels), place, strict=True)
        return ", ".join(label for names, at in labels if (label := str(names[at]).strip()))

    def mean_of(self, axis: int, at: int) -> float | None:
        """Of all cells in one column (axis 0), row (1) or sheet (2); None where there are none."""
        found = [cell.mean for place, cell in self.cells.items() if place[axis] == at]
        return sum(found) / len(found) if found else None


def draw_score_grid(grid: ScoreGrid, model: str, theme: ThemeName = "light") -> bytes:
    """A PNG, 1200 pixels wide: a field for each z, below each other. Raises MissingExtra without matplotlib."""
    columns, rows = len(grid.x_labels), len(grid.y_labels)
    has_names = any(str(label).strip() for label in grid.y_labels)
    left = WIDTH_INCHES * SHARE_OF_LABELS if has_names else 0.2
    shape = min(max(each.picture.height / each.picture.width for each in grid.cells.values()), 2.0)
    room = (HIGHEST_INCHES / (rows * len(grid.z_labels)) - INCHES_OF_BAND) / shape
    cell = min((WIDTH_INCHES - left - 0.2) / columns, WIDEST_CELL_INCHES, max(room, NARROWEST_CELL_INCHES))
    height = cell * shape + INCHES_OF_BAND
    lines = 2 if rows > 1 else 1
    field = INCHES_OF_TITLE + lines * INCHES_OF_LABEL + rows * height + 0.15
    total = INCHES_ABOVE + len(grid.z_labels) * field
    drawing = canvas(theme, total)
    drawing.figure.set_layout_engine("none")
    write_heading(drawing, grid, model, total)
    for z, label in enumerate(grid.z_labels):
        top = total - INCHES_ABOVE - z * field - INCHES_OF_TITLE - lines * INCHES_OF_LABEL
        box = (left / WIDTH_INCHES, (top - rows * height) / total, columns * cell / WIDTH_INCHES, rows * height / total)
        axes = drawing.figure.add_axes(box)
        axes.set(xlim=(0, columns), ylim=(rows, 0))
        axes.set_axis_off()
        draw_cells(drawing, axes, grid, z, cell, height)
        write_labels(drawing, axes, grid, z, cell, height)
        title = [drawable(name, 60) + mean_told(grid, 2, z)] if (name := str(label).strip()) else []
        title += [drawable(prefix_of(grid.x_labels), 40)] if prefix_of(grid.x_labels) else []
        where = (left / WIDTH_INCHES, (top + lines * INCHES_OF_LABEL + 0.1) / total)
        style = {"color": drawing.theme.ink, "size": FONT_POINTS - 0.5, "weight": "bold", "parse_math": False}
        drawing.figure.text(*where, "   ".join(title), **style)
        if rows_named := prefix_of(grid.y_labels):
            where = (left / WIDTH_INCHES - 0.12 / WIDTH_INCHES, where[1])
            drawing.figure.text(*where, drawable(rows_named, 18), ha="right", **style)
    return drawing.png()


def write_heading(drawing: Canvas, grid: ScoreGrid, model: str, total: float) -> None:
    """What is shown, by which model, and the best."""
    best = grid.cells[grid.best]
    several = max(len(cell.scores) for cell in grid.cells.values())
    each = f", means of {several} pictures a cell" if several > 1 else ""
    lines = [(f"CLIP scores by {model}{each}", FONT_POINTS + 1.5, 0.24)]
    if len(grid.cells) > 1:
        lines.append((f"best: {best.mean:.1f} with {grid.name(grid.best)}", FONT_POINTS - 1, 0.46))
    for text, size, below in lines:
        style = {"color": drawing.theme.ink, "size": size, "parse_math": False}
        drawing.figure.text(0.2 / WIDTH_INCHES, 1 - below / total, drawable(text, 84), **style)


def draw_cells(drawing: Canvas, axes: Any, grid: ScoreGrid, z: int, cell: float, height: float) -> None:
    """The pictures of one field, each with its score below on its colour; the best of all is framed."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    means = [each.mean for each in grid.cells.values()]
    least, span = min(means), max(max(means) - min(means), 1e-6)
    band = INCHES_OF_BAND / height
    colours = colormaps[COLOURS]
    size = max(min(FONT_POINTS, 72 * cell / (5 * POINTS_OF_LETTER)), LEAST_POINTS)
    for place, (x, y) in cells_of(grid, z):
        found = grid.cells[place]
        pixels = round(cell * 160)
        picture = found.picture.convert("RGB")
        picture.thumbnail((pixels, pixels * 2), Image.Resampling.LANCZOS)
        axes.imshow(picture, extent=fitted(picture, x, y, cell, height), aspect="auto", interpolation="nearest")
        colour = colours((found.mean - least) / span)
        axes.add_patch(Rectangle((x + 0.02, y + 1 - band), 0.96, band * 0.92, color=colour, lw=0))
        ink = (
            "black"
            if sum(weight * part for weight, part in zip((0.3, 0.59, 0.11), colour[:3], strict=True)) > 0.5
            else "white"
        )
        centre = {"ha": "center", "va": "center", "color": ink, "size": size}
        axes.text(x + 0.5, y + 1 - band * 0.54, f"{found.mean:.1f}", **centre)
        if place == grid.best and len(grid.cells) > 1:
            frame: dict[str, Any] = {"fill": False, "ec": drawing.theme.marks[1], "lw": 2.2, "clip_on": False}
            axes.add_patch(Rectangle((x + 0.01, y + 0.01), 0.98, 0.98, **frame))
    axes.set(xlim=(0, len(grid.x_labels)), ylim=(len(grid.y_labels), 0))  # pictures change the limits


def fitted(picture: Image.Image, x: int, y: int, cell: float, height: float) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of `picture`, whole, in the middle of the room above the band of a cell."""
    wide, high = cell * 0.96, height - INCHES_OF_BAND
    scale = min(wide / picture.width, high / picture.height)
    width, tall = picture.width * scale / cell, picture.height * scale / height
    top = y + ((high / height) - tall) / 2
    return x + 0.5 - width / 2, x + 0.5 + width / 2, top + tall, top


def cells_of(grid: ScoreGrid, z: int) -> Iterator[tuple[tuple[int, int, int], tuple[int, int]]]:
    """The cells of one field, with column and row."""
    for place in sorted(grid.cells):
        if place[2] == z:
            yield place, (place[0], place[1])


def write_labels(drawing: Canvas, axes: Any, grid: ScoreGrid, z: int, cell: float, height: float) -> None:
    """Names of columns above and of rows to the left, with the mean of each where it has several cells."""
    size = max(min(FONT_POINTS - 1.5, 72 * cell / (7 * POINTS_OF_LETTER)), LEAST_POINTS)
    style = {"color": drawing.theme.ink, "parse_math": False, "clip_on": False}
    above = {"ha": "center", "va": "bottom", "size": size, **style}
    beside = {"ha": "right", "va": "center", "size": FONT_POINTS - 1.5, **style}
    line, letters = INCHES_OF_LABEL / height, max(int(72 * cell / (size * POINTS_OF_LETTER)), 4)
    has_means = len(grid.y_labels) > 1
    for x, label in enumerate(grid.x_labels):
        name = str(label).strip().removeprefix(prefix_of(grid.x_labels)).strip()
        if has_means and (mean := mean_told(grid, 0, x, z)):
            axes.text(x + 0.5, -line * 0.3, mean[len(" (mean ") : -1], **above)
        axes.text(x + 0.5, -line * (1.3 if has_means else 0.3), drawable(name, letters), **above)
    if has_means:
        axes.text(-0.12 / cell, -line * 0.3, "mean", **{**beside, "va": "bottom"})
    room = int(72 * (WIDTH_INCHES * SHARE_OF_LABELS - 0.3) / ((FONT_POINTS - 1.5) * POINTS_OF_LETTER))
    high = max(int(72 * height / (1.3 * FONT_POINTS)) - 1, 1)  # lines
    for y, label in enumerate(grid.y_labels):
        if name := str(label).strip().removeprefix(prefix_of(grid.y_labels)).strip():
            lines = wrap(name, room, max_lines=high, placeholder=" …") or [name]
            lines += [mean_told(grid, 1, y, z).strip(" ()")] if len(grid.x_labels) > 1 else []
            text = "\n".join(drawable(part, room) for part in lines if part)
            axes.text(-0.12 / cell, y + 0.5, text, **beside)


def prefix_of(labels: Sequence[str]) -> str:
    """ "CFG Scale:" where all of several labels begin so, "" otherwise."""
    beginnings = {str(label).partition(": ")[0] for label in labels if ": " in str(label)}
    return f"{beginnings.pop()}:" if len(beginnings) == 1 and all(": " in str(label) for label in labels) else ""


def mean_told(grid: ScoreGrid, axis: int, at: int, z: int | None = None) -> str:
    """ " (mean 30.1)" of a column, row or field, "" where it has no cells; of one field alone where `z` is given."""
    cells = {place: cell for place, cell in grid.cells.items() if z is None or place[2] == z}
    mean = ScoreGrid(grid.x_labels, grid.y_labels, grid.z_labels, cells).mean_of(axis, at) if cells else None
    return "" if mean is None else f" (mean {mean:.1f})"
