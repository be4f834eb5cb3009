"""The tab that finds pictures by what they show: by a text, or by another picture."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

ABOUT = (
    "Finds pictures, those that were generated here or those of a folder, by what they show: write what you look for, "
    "or give a picture to find others like it. CLIP reads each once, in the background; its index stays on the disk."
)
PLACE = '<div id="pseudoword-search"></div>'  # filled by javascript/pseudoword_search.js


def build(build_sending: Callable[[], None] | None = None) -> None:
    """Put the tab where Gradio builds now, with the fields by which the host sends pictures to its other tabs."""
    gr.Markdown(ABOUT)
    gr.HTML(PLACE)
    if build_sending is not None:
        build_sending()
