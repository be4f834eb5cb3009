"""The panel that shows what words are made of: the library, and tools for the embedding that is chosen in it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..jobs.library.inspector import Inspector
from . import arithmetic_tab, between_tab, edit_tab, library_tab, prompt_tab, vectors_tab
from .offered_lists import Lists, add_refreshing


def build(inspector: Inspector) -> None:
    """Put the panel where Gradio builds now."""
    # Filled by the page's script when a row of the table is pressed.
    pressed = gr.Textbox(elem_id="pseudoword_inspected", elem_classes="pseudoword-hidden", show_label=False)
    chosen = gr.Dropdown(
        [], value=None, label="Embedding", info="Or press a row of the table", elem_id="pseudoword_embedding"
    )
    lists: Lists = [(chosen, inspector.labels)]
    with gr.Tabs(elem_id="pseudoword_inspection"):
        with gr.Tab("Library"):
            library_tab.build(inspector, chosen)
        with gr.Tab("What each vector does"):
            lists += vectors_tab.build(inspector, chosen)
        with gr.Tab("Between two"):
            lists += between_tab.build(inspector, chosen)
        with gr.Tab("Prompt"):
            prompt_tab.build(inspector)
        with gr.Tab("Arithmetic"):
            lists += arithmetic_tab.build(inspector, chosen)
        with gr.Tab("Convert and edit"):
            edit_tab.build(inspector, chosen)
    # Emptied afterwards: the same row may be pressed again after another word was looked at.
    pressed.change(lambda label: (opened(inspector, label), ""), pressed, [chosen, pressed], queue=False)
    # Pressed by the page's script, when a table has been read.
    add_refreshing(lists, "pseudoword_refresh_words")


def opened(inspector: Inspector, label: str) -> Any:
    """The choices, with the embedding that was pressed chosen; as they are where none was."""
    if not label:
        return gr.update()
    labels = inspector.labels()
    return gr.update(choices=labels if label in labels else [label, *labels], value=label)
