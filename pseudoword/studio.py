"""The studio: the panels in a page of their own, for a model without the WebUI."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from .api.program_routes import add_program_routes
from .api.training_routes import add_training_routes
from .jobs.trainings import Host, Trainings
from .ui import generation_panel, training_panel

ROOT = Path(__file__).parents[1]  # the WebUI wants these two files at the top level of the repository
SCRIPT, STYLE = ROOT / "javascript" / "pseudoword.js", ROOT / "style.css"


def make_app(host: Host, trainings: Trainings, title: str) -> FastAPI:
    """The studio's server: its page at /, its routes under /pseudoword."""
    with gr.Blocks(title="Pseudoword", analytics_enabled=False) as page:
        gr.Markdown(f"# Pseudoword\n\nTeach {title} a new word from a few pictures.")
        with gr.Tabs():
            with gr.Tab("Train"):
                training_panel.build(trainings)
            with gr.Tab("Generate"):
                generation_panel.build(host)
    app = FastAPI(title="Pseudoword", docs_url=None, redoc_url=None, openapi_url=None)
    add_training_routes(app, trainings)
    add_program_routes(app, trainings)
    head = f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>"
    style = STYLE.read_text(encoding="utf-8")
    return gr.mount_gradio_app(app, page, path="/", head=head, css=style, footer_links=[], ssr_mode=False)
