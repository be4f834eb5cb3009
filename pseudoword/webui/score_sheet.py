"""The scores of an X/Y/Z plot as a sheet beside it.

The WebUI's script for plots calls nobody when it is done, and tells nobody which cell it is at: so its two functions
that know are called by ours, which do nothing more while the panel is off.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from modules import errors, images, scripts, shared
from PIL import Image

from ..inspect.score_grid import ScoredCell, ScoreGrid, draw_score_grid
from ..scoring.score_infotext import MODEL_KEY, SCORE_KEY

PLOT = "xyz_grid.py"
GRID, SCORES = "pseudoword_score_grid", "pseudoword_scores"
BASENAME = "xyz_scores"


def add_score_sheets() -> None:
    """Let the WebUI's plots have a sheet of scores; called when it has loaded all scripts, before its page is built."""
    for script in scripts.scripts_data:
        if Path(script.path).name == PLOT:
            let_plot(script.module)


def let_plot(plot: Any) -> None:
    """Have the two functions of the script called by ours, unless they are."""
    if not hasattr(plot.draw_xyz_grid, "__wrapped__"):
        plot.draw_xyz_grid = noting(plot.draw_xyz_grid)
        plot.Script.run = showing(plot.Script.run)


def noting(draw: Callable[..., Any]) -> Callable[..., Any]:
    """The function that makes all cells of a plot; the scores of each are noted, and hung on what it returns."""

    @wraps(draw)
    def drawn(p: Any, *args: Any, **given: Any) -> Any:
        cells: dict[tuple[int, int, int], ScoredCell] = {}
        cell = given.get("cell")

        def noted(x: Any, y: Any, z: Any, *place: int) -> Any:
            made = cell(x, y, z, *place)  # type: ignore[misc]  # None is passed on below
            scores = tuple(score for score in getattr(made, SCORES, ()) if score is not None)
            if scores and made.images:
                cells[place[0], place[1], place[2]] = ScoredCell(scores, made.images[0])
            return made

        processed = draw(p, *args, **({**given, "cell": noted} if cell else given))
        if cells:
            setattr(processed, GRID, ScoreGrid(given["x_labels"], given["y_labels"], given["z_labels"], cells))
        return processed

    return drawn


def showing(run: Callable[..., Any]) -> Callable[..., Any]:
    """The script's `run`; what it returns gets the sheet after the plot. Without one the plot is as it was."""

    @wraps(run)
    def ran(script: Any, p: Any, *args: Any) -> Any:
        processed = run(script, p, *args)
        if getattr(processed, GRID, None) is not None:
            try:
                add_sheet(processed, p)
            except Exception:
                errors.report("Pseudoword could not draw the scores of the X/Y/Z plot", exc_info=True)
        return processed

    return ran


def add_sheet(processed: Any, p: Any) -> None:
    """Put the sheet after the plot, and save it where plots are saved."""
    grid: ScoreGrid = getattr(processed, GRID)
    facts = processed.extra_generation_params
    model = str(facts.get(MODEL_KEY, ""))
    sheet = Image.open(io.BytesIO(draw_score_grid(grid, model))).convert("RGB")
    text = processed.infotexts[0]
    if shared.opts.enable_pnginfo:
        sheet.info["parameters"] = text
    processed.images.insert(1, sheet)
    processed.infotexts.insert(1, text)
    processed.index_of_first_image += 1
    scores = {grid.name(place): [round(score, 4) for score in cell.scores] for place, cell in grid.cells.items()}
    processed.extra_generation_params = {**facts, SCORE_KEY: scores}
    best = grid.cells[grid.best]
    told = f"CLIP scores by {model} are in the second picture. Best: {best.mean:.1f} with {grid.name(grid.best)}."
    processed.comments = f"{processed.comments}{told}\n"
    if shared.opts.grid_save and not p.do_not_save_grid:
        images.save_image(
            sheet,
            p.outpath_grids,
            BASENAME,
            info=text,
            extension=shared.opts.grid_format,
            prompt=processed.all_prompts[0],
            seed=processed.all_seeds[0],
            grid=True,
            p=processed,
        )
