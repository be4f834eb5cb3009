"""The list of jobs: whose turn it is, what came of those of before. The page's script shows it, and asks the routes."""

from __future__ import annotations

import gradio as gr

LIVE = '<div id="pseudoword-jobs"></div>'  # filled by javascript/pseudoword_jobs.js


def build() -> None:
    """Put the panel where Gradio builds now."""
    gr.HTML(LIVE)
