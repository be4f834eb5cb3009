"""One embedding, under `/pseudoword/v1/words`: its figures, its plots, the data behind them, and its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import FileResponse

from ..errors import ModelError
from ..inspect import plots, tables
from ..inspect.figures import WordFigures, widths_of
from ..inspect.word_json import findings_json, relations_json, vectors_json
from ..jobs.library.inspector import Examined, Inspector
from .answers import drawing, shade_of, telling

PREFIX = "/pseudoword/v1/words"
Kind: TypeAlias = Literal["norms", "similarity", "map", "layers", "nearest", "relations", "findings"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PLOTS: tuple[Kind, ...] = ("norms", "similarity", "map", "layers")


def add_word_routes(app: FastAPI, inspector: Inspector, dependencies: Sequence[Any] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI. All of them only read."""

    def word(word: str) -> dict[str, Any]:
        """What an embedding is made of, in figures."""
        with telling(inspector.host):
            return as_json(inspector.examine(word))

    def plot(kind: str, word: str, encoder: str = "", theme: str = "light") -> Response:
        """A plot as PNG, in the light or dark theme."""
        if kind not in PLOTS:
            raise HTTPException(404, f"There is no plot {kind[:40]!r}; there are {', '.join(PLOTS)}.")
        with telling(inspector.host):
            examined = inspector.examine(word)
            return Response(drawn(inspector, examined, kind, encoder, theme), media_type="image/png")

    def table(kind: str, word: str, encoder: str = "") -> Response:
        """The data behind a plot, or of a table, as CSV."""
        if kind not in KINDS:
            raise HTTPException(404, f"There is no table {kind[:40]!r}; there are {', '.join(KINDS)}.")
        with telling(inspector.host):
            text = tabled(inspector, inspector.examine(word), kind, encoder)
        return Response(text, media_type="text/csv")

    def file(word: str) -> FileResponse:
        """The file of an embedding as it is."""
        with telling(inspector.host):
            row = inspector.row(word)
        if not row.file.is_file():
            raise HTTPException(404, f"{row.file.name} is gone.")
        return FileResponse(row.file, media_type="application/octet-stream", filename=row.file.name)

    routes: dict[str, Callable[..., Any]] = {"": word, "/{kind}.png": plot, "/{kind}.csv": table, "/file": file}
    for path, answer in routes.items():
        app.add_api_route(PREFIX + path, answer, methods=["GET"], response_model=None, dependencies=list(dependencies))


def drawn(inspector: Inspector, examined: Examined, kind: str, encoder: str, theme: str) -> bytes:
    """The plot `kind`. Raises ModelError without a vocabulary, MissingExtra without matplotlib."""
    found = figures_for(examined)
    encoder = encoder if encoder in found.encoders else next(iter(found.encoders))
    shade = shade_of(theme)
    layers = inspector.layers(examined, encoder) if kind == "layers" else None
    with drawing:
        if layers is not None:
            return plots.layers_plot(layers, shade)
        if kind == "map":
            return plots.map_plot(examined.map_for(encoder), shade)
        if kind == "similarity":
            return plots.similarity_plot(found.name, found.encoders[encoder], shade)
        assert examined.fitting is not None
        return plots.norms_plot(found.name, found.encoders[encoder], examined.fitting.vocabularies[encoder], shade)


def tabled(inspector: Inspector, examined: Examined, kind: str, encoder: str) -> str:
    """The data of `kind` as CSV. Raises ModelError without a vocabulary."""
    if kind == "relations":
        return tables.relations_table(examined.relations)
    found = figures_for(examined)
    encoder = encoder if encoder in found.encoders else next(iter(found.encoders))
    if kind == "layers":
        return tables.layers_table(inspector.layers(examined, encoder))
    if kind == "map":
        return tables.map_table(examined.map_for(encoder))
    if kind == "similarity":
        return tables.similarity_table(found.encoders[encoder])
    if kind == "findings":
        return tables.findings_table(examined.findings)
    return tables.nearest_table(found) if kind == "nearest" else tables.norms_table(found)


def figures_for(examined: Examined) -> WordFigures:
    """The word's figures. Raises ModelError, which says what is missing, where there is no vocabulary."""
    if examined.figures is None:
        raise ModelError(examined.missing)
    return examined.figures


def as_json(examined: Examined) -> dict[str, Any]:
    """What programs read of a word, as plain JSON values; vectors are numbered from 1."""
    embedding = examined.embedding
    return {
        "name": embedding.name,
        "architecture": embedding.architecture,
        "vector_count": embedding.vector_count,
        "widths": widths_of(embedding),
        "compared_with": None if examined.fitting is None else examined.fitting.title,
        "missing": examined.missing,
        "findings": findings_json(examined.findings),
        "vectors": [] if examined.figures is None else vectors_json(examined.figures),
        "related": relations_json(examined.relations),
    }
