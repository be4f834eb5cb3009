"""A prompt in the text encoder's layers, and the layers that are remembered, under `/pseudoword/v1/layers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Response

from ..inspect.prompt_layers import prompt_layers_table
from ..inspect.prompt_layers_plot import prompt_layers_plot
from ..jobs.layers.layer_inspection import inside
from ..jobs.layers.remembered_layers import remembered, remembered_says
from ..jobs.library.inspector import Inspector
from .answers import drawing, shade_of, telling

PREFIX = "/pseudoword/v1/layers"


def add_layer_routes(app: FastAPI, inspector: Inspector, dependencies: Sequence[Any] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI. All of them only read."""

    def plot(text: str, encoder: str = "", theme: str = "light") -> Response:
        """Norms and cosines with the last layer, by token and layer, as a heat map in the light or dark theme."""
        shade = shade_of(theme)
        with telling(inspector.host):
            found = inside(inspector, text, encoder)
            with drawing:
                return Response(prompt_layers_plot(found, shade), media_type="image/png")

    def table(text: str, encoder: str = "") -> Response:
        """The same figures as CSV."""
        with telling(inspector.host):
            return Response(prompt_layers_table(inside(inspector, text, encoder)), media_type="text/csv")

    def known() -> dict[str, Any]:
        """What is remembered for the loaded checkpoint."""
        with telling(inspector.host):
            found = remembered(inspector.host)
            wanted = None if found is None else found[1]
            return {
                "checkpoint": None if found is None else found[0],
                "layers": None if wanted is None else wanted.prompt.text,
                "says": remembered_says(inspector.host),
            }

    routes: dict[str, Callable[..., Any]] = {"/prompt.png": plot, "/prompt.csv": table, "/remembered": known}
    for path, answer in routes.items():
        app.add_api_route(PREFIX + path, answer, methods=["GET"], response_model=None, dependencies=list(dependencies))
