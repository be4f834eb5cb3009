"""What a page sees of strips of pictures, under `/pseudoword/v1/strips`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Response

from ..inspect.canvas import ThemeName
from ..inspect.layer_scores import LayerScores, scores_table
from ..inspect.layer_scores_plot import layer_scores_plot
from ..inspect.strip_plots import strip_plot
from ..inspect.strips import Similarities, similarities_table
from ..jobs.host import Host
from ..jobs.strips.strip_job import RowFigures, StripJob, StripWatched
from ..jobs.strips.strips import Strips
from ..jobs.watched_job import ENDED
from .answers import drawing, job_called, shade_of, telling, without_folders

PREFIX = "/pseudoword/v1/strips/{id}"


def add_strip_routes(app: FastAPI, strips: Strips, dependencies: Sequence[Any] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI. All of them only read."""

    def watch(id: str) -> dict[str, Any]:
        """How a strip stands."""
        return seen(strips.host, job_called(strips.job, id).watch())

    def picture(id: str, row: int, shot: int) -> Response:
        """The pictures of one shot, its seeds side by side."""
        found = job_called(strips.job, id).picture(row, shot)
        if found is None:
            raise HTTPException(404, "This picture was not made.")
        return Response(found, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})

    def sheet(id: str) -> Response:
        """The whole strip as one picture."""
        with telling(strips.host), drawing:
            return Response(job_called(strips.job, id).sheet(), media_type="image/png")

    def plot(id: str, theme: str = "light") -> Response:
        """The figures as a picture, in the light or dark theme."""
        shade = shade_of(theme)
        figures = figures_of(job_called(strips.job, id))
        with telling(strips.host), drawing:
            return Response(drawn(figures, shade), media_type="image/png")

    def table(id: str) -> Response:
        """The figures as CSV."""
        return Response(tabled(figures_of(job_called(strips.job, id))), media_type="text/csv")

    routes: dict[str, Callable[..., Any]] = {
        "": watch,
        "/{row}/{shot}.png": picture,
        "/sheet.png": sheet,
        "/plot.png": plot,
        "/figures.csv": table,
    }
    for path, answer in routes.items():
        app.add_api_route(PREFIX + path, answer, methods=["GET"], response_model=None, dependencies=list(dependencies))


def figures_of(job: StripJob) -> list[RowFigures]:
    """The figures so far, of the rows that have some; 404 where none has."""
    watched = job.watch()
    figures = [found for found in watched.figures if found is not None]
    if not figures:
        raise HTTPException(404, watched.no_figures or "There is nothing to compare yet.")
    return figures


def drawn(figures: Sequence[RowFigures], theme: ThemeName) -> bytes:
    """The plot of a comparison of layers, or of all other rows. Raises MissingExtra without matplotlib."""
    scores = scores_in(figures)
    return strip_plot(similarities_in(figures), theme) if scores is None else layer_scores_plot(scores, theme)


def tabled(figures: Sequence[RowFigures]) -> str:
    """The figures of a comparison of layers, or of all other rows, as CSV."""
    scores = scores_in(figures)
    return similarities_table(similarities_in(figures)) if scores is None else scores_table(scores)


def scores_in(figures: Sequence[RowFigures]) -> LayerScores | None:
    """Those of a comparison of layers, which has a strip of its own."""
    return next((found for found in figures if isinstance(found, LayerScores)), None)


def similarities_in(figures: Sequence[RowFigures]) -> list[Similarities]:
    """Those of all other rows."""
    return [found for found in figures if isinstance(found, Similarities)]


def recommended(watched: StripWatched, found: RowFigures | None) -> dict[str, Any] | None:
    """What is recommended by the figures of a row, once all there will be are known."""
    if not isinstance(found, LayerScores) or watched.state not in ENDED:
        return None
    told = found.recommendation
    return {"layers": None if told.layers is None else told.layers.text, "says": told.sentence}


def seen(host: Host, watched: StripWatched) -> dict[str, Any]:
    """What a page shows of a strip, as plain JSON values, without the folders of this server."""
    rows = []
    for title, labels, made, found in zip(watched.titles, watched.labels, watched.made, watched.figures, strict=True):
        known = range(len(found.labels)) if found else ()
        captions = [found.caption(place) if found and place in known else "" for place in range(len(labels))]
        shots = [{"label": label, "caption": caption} for label, caption in zip(labels, captions, strict=True)]
        explanation, told = found.explanation if found else "", recommended(watched, found)
        row = {"title": title, "shots": shots, "made": made, "explanation": explanation, "recommendation": told}
        rows.append(row)
    return {
        "id": watched.id,
        "state": watched.state,
        "message": without_folders(host, watched.message),
        "done": watched.done,
        "total": watched.total,
        "seconds_left": watched.seconds_left,
        "seeds": list(watched.seeds),
        "steps": watched.steps,
        "guidance": watched.guidance,
        "rows": rows,
        "no_figures": without_folders(host, watched.no_figures),
    }
