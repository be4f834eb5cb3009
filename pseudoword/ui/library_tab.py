"""The inspector's first tab: the table of all embeddings, and everything about the one that is chosen in it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..errors import PseudowordError
from ..jobs.library.inspector import Inspector
from .messages import says
from .word_html import word_html

TABLE = '<div id="pseudoword-library"></div>'  # filled by javascript/pseudoword_library.js
NONE_CHOSEN = '<p class="pseudoword-small">Choose an embedding in the table to see what it is made of.</p>'


def build(inspector: Inspector, chosen: Any) -> None:
    """Put the tab where Gradio builds now; `chosen` holds the label of the embedding that is looked at."""
    gr.HTML(TABLE)
    word = gr.HTML(NONE_CHOSEN, elem_id="pseudoword_word")
    chosen.change(lambda label: word_says(inspector, label), chosen, word, queue=False)


def word_says(inspector: Inspector, label: str | None) -> str:
    """What is shown of the embedding called `label`, in HTML."""
    if not label:
        return NONE_CHOSEN
    try:
        examined = inspector.examine(label)
        labels = {row.name: name for name, row in inspector.labelled().items() if not row.problem}
    except PseudowordError as problem:
        return says(str(problem), "warning")
    return word_html(examined, label, labels)
