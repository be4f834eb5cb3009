"""The tab that shows what each vector of a word does: pictures of the word, and without each of its vectors in turn."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..errors import SettingsError
from ..inspect.strips import Row, contribution_row
from ..jobs.library.inspector import Inspector
from .offered_lists import Lists
from .strip_form import build_form, connect

NONE = "none"  # the choice beside the embeddings that can stand below


def build(inspector: Inspector, chosen: Any) -> Lists:
    """Put the tab where Gradio builds now, for the embedding in `chosen`; returns its lists and what they offer."""

    def offered() -> list[str]:
        return [NONE, *inspector.labels()]

    gr.Markdown(
        "The same pictures are made with the whole word, and without each of its vectors in turn. What is missing then "
        "is what the vector does."
    )
    second = gr.Dropdown(
        offered(), value=NONE, label="Compare with another embedding, below it", elem_id="pseudoword_vectors_second"
    )
    form = build_form("vectors", "Show what each vector does")
    connect(form, inspector, lambda *given: rows(inspector, *given), [chosen, second])
    return [(second, offered)]


def rows(inspector: Inspector, template: str, chosen: str | None, second: str | None) -> list[Row]:
    """A row for the embedding `chosen`, and one for the `second`. Raises PseudowordError."""
    if not chosen:
        raise SettingsError("Choose an embedding first.")
    labels = [chosen, second] if second and second != NONE else [chosen]
    return [contribution_row(inspector.load(label), template) for label in labels]
