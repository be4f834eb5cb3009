"""The studio: the panels in a page of their own, for a model without the WebUI."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from .api.inspection_program_routes import add_inspection_program_routes
from .api.layer_routes import add_layer_routes
from .api.library_routes import add_library_routes
from .api.program_routes import add_program_routes
from .api.strip_routes import add_strip_routes
from .api.training_routes import add_training_routes
from .api.word_routes import add_word_routes
from .jobs.inspector import Inspector
from .jobs.trainings import Trainings
from .ui import generation_panel, inspection_panel, layers_tab, training_panel

ROOT = Path(__file__).parents[1]  # the WebUI wants these at the top level of the repository
SCRIPTS, STYLE = ROOT / "javascript", ROOT / "style.css"


def make_app(trainings: Trainings, inspector: Inspector, title: str) -> FastAPI:
    """The studio's server: its page at /, its routes under /pseudoword."""
    with gr.Blocks(title="Pseudoword", analytics_enabled=False) as page:
        gr.Markdown(f"# Pseudoword\n\nTeach {title} a new word from a few pictures.")
        with gr.Tabs():
            with gr.Tab("Train"):
                training_panel.build(trainings)
            with gr.Tab("Generate"):
                generation_panel.build(trainings.host)
            with gr.Tab("Inspect"):
                inspection_panel.build(inspector)
            with gr.Tab("CLIP skip"):
                layers_tab.build(inspector)
    app = FastAPI(title="Pseudoword", docs_url=None, redoc_url=None, openapi_url=None)
    add_training_routes(app, trainings)
    add_library_routes(app, inspector)
    add_word_routes(app, inspector)
    add_strip_routes(app, inspector.strips)
    add_layer_routes(app, inspector)
    add_program_routes(app, trainings)
    add_inspection_program_routes(app, inspector)
    scripts = [path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.glob("*.js"))]  # in the WebUI's order
    # Not as Gradio's `css`, which leaves out rules that it does not know, such as those for narrow containers.
    head = f"<style>{STYLE.read_text(encoding='utf-8')}</style>" + "".join(f"<script>{one}</script>" for one in scripts)
    return gr.mount_gradio_app(app, page, path="/", head=head, footer_links=[], ssr_mode=False)
