"""The tab that shows the way from one word to another, picture by picture."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..errors import ModelError, SettingsError
from ..inspect.strips import Row, interpolation_row
from ..jobs.library.inspector import Inspector
from .offered_lists import Lists
from .strip_form import build_form, connect

MOST_STEPS = 50


def build(inspector: Inspector, chosen: Any) -> Lists:
    """Put the tab where Gradio builds now, from the embedding in `chosen`; returns its lists and what they offer."""
    gr.Markdown("From one embedding to another in equal steps: their directions turn, and their lengths change evenly.")
    with gr.Row():
        other = gr.Dropdown(
            inspector.labels(), value=None, label="To this embedding", scale=2, elem_id="pseudoword_between_other"
        )
        count = gr.Slider(
            2,
            MOST_STEPS,
            value=7,
            step=1,
            label="Pictures",
            info="On the way, both ends included",
            min_width=160,
            elem_id="pseudoword_between_count",
        )
    form = build_form("between", "Show the way")
    connect(form, inspector, lambda *given: rows(inspector, *given), [chosen, other, count])
    return [(other, inspector.labels)]


def rows(inspector: Inspector, template: str, chosen: str | None, other: str | None, count: float | None) -> list[Row]:
    """The row from the embedding `chosen` to the `other`. Raises PseudowordError."""
    if not chosen or not other:
        raise SettingsError("Choose an embedding above, and here the one to go to.")
    if count is None:
        raise SettingsError("Say how many pictures there are to be.")
    loaded = inspector.host.encoders()
    if loaded is None:
        raise ModelError("No model is loaded; load one that the embeddings are for.")
    first, second = inspector.load(chosen), inspector.load(other)
    return [interpolation_row(first, second, int(count), loaded.encoders, template)]
