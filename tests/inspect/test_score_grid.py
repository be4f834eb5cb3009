"""The scores of an X/Y/Z plot as a sheet: figures, and a picture that can be drawn for plots of every shape."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pseudoword.inspect.score_grid import ScoredCell, ScoreGrid, draw_score_grid


def grid(columns: int, rows: int = 1, fields: int = 1, size: tuple[int, int] = (64, 64), several: int = 1) -> ScoreGrid:
    """Scores that rise from cell to cell; labels as the WebUI writes them."""
    cells = {
        (x, y, z): ScoredCell((10.0 + x + 10 * y + z,) * several, Image.new("RGB", size, (x * 20, y * 20, z * 20)))
        for x in range(columns)
        for y in range(rows)
        for z in range(fields)
    }
    names = [f"CFG Scale: {x}.0" for x in range(columns)], [f"Sampler: {y}" for y in range(rows)]
    return ScoreGrid(
        *(names if rows > 1 else (names[0], [""])), [f"<{z}>" if fields > 1 else "" for z in range(fields)], cells
    )


def test_the_best_and_the_means_are_found() -> None:
    found = grid(3, 2, 2)
    assert found.best == (2, 1, 1) and found.name(found.best) == "CFG Scale: 2.0, Sampler: 1, <1>"
    assert found.mean_of(0, 2) == pytest.approx(17.5) and found.mean_of(1, 0) == pytest.approx(11.5)
    del found.cells[2, 1, 1]
    assert found.best == (1, 1, 1)  # the first of equals
    assert ScoreGrid(["a"], [""], [""], {}).mean_of(0, 0) is None


@pytest.mark.parametrize(
    "plot",
    [
        grid(1),
        grid(5),
        grid(3, 3),
        grid(20, 2, 2),
        grid(2, 40),
        grid(2, 2, size=(64, 256)),
        grid(2, 2, size=(256, 64), several=4),
    ],
    ids=["one", "a row", "square", "wide", "long", "tall pictures", "several in a cell"],
)
def test_every_shape_is_drawn(plot: ScoreGrid) -> None:
    with Image.open(io.BytesIO(draw_score_grid(plot, "ViT-L-14 openai"))) as sheet:
        assert sheet.width == 1200 and 100 < sheet.height < 20_000


def test_missing_cells_and_strange_names_are_drawn() -> None:
    plot = grid(3, 3)
    del plot.cells[1, 1, 0]
    labels = ["$x_1$ <b>", "猫 " * 40, ""]
    drawn = draw_score_grid(ScoreGrid(labels, labels, [r"\frac"], plot.cells), "a $model_x$")
    assert drawn.startswith(b"\x89PNG")
