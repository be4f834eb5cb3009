"""The studio: the panels in a page of their own, for a model without the WebUI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from .api.all_routes import add_routes_for_programs, add_routes_of_page
from .api.borders import Borders
from .api.logins import Logins
from .api.server_routes import HEALTH, add_server_routes
from .api.uploads import MOST_BYTES
from .jobs.library.inspector import Inspector
from .jobs.scoring.scorings import Scorings
from .jobs.training.trainings import Trainings
from .ui import generation_panel, inspection_panel, jobs_panel, layers_tab, score_tab, search_tab, training_panel

ROOT = Path(__file__).parents[1]  # the WebUI wants these at the top level of the repository
SCRIPTS, STYLE = ROOT / "javascript", ROOT / "style.css"


def make_app(
    trainings: Trainings,
    inspector: Inspector,
    scorings: Scorings,
    title: str,
    logins: Mapping[str, str] | None = None,
    is_alone: bool = False,
) -> FastAPI:
    """The studio's server: its page at /, its routes under /pseudoword; for those with `logins` where there are any.

    One that `is_alone` answers to the names of its own computer only.
    """
    with gr.Blocks(title="Pseudoword", analytics_enabled=False) as page:
        gr.Markdown(f"# Pseudoword\n\nTeach {title} a new word from a few pictures.")
        with gr.Tabs():
            with gr.Tab("Train"):
                training_panel.build(trainings)
            with gr.Tab("Jobs"):
                jobs_panel.build()
            with gr.Tab("Generate"):
                generation_panel.build(trainings.host)
            with gr.Tab("Inspect"):
                inspection_panel.build(inspector)
            with gr.Tab("CLIP skip"):
                layers_tab.build(inspector)
            with gr.Tab("Score"):
                score_tab.build(scorings)
            with gr.Tab("Search"):
                search_tab.build()
    app = FastAPI(title="Pseudoword", docs_url=None, redoc_url=None, openapi_url=None)
    add_server_routes(app, trainings)
    add_routes_of_page(app, trainings, inspector, scorings)
    add_routes_for_programs(app, trainings, inspector, scorings)
    scripts = [path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.glob("*.js"))]  # in the WebUI's order
    # Not as Gradio's `css`, which leaves out rules that it does not know, such as those for narrow containers.
    head = f"<style>{STYLE.read_text(encoding='utf-8')}</style>" + "".join(f"<script>{one}</script>" for one in scripts)
    app = gr.mount_gradio_app(app, page, path="/", head=head, footer_links=[], ssr_mode=False, max_file_size=MOST_BYTES)
    # Which a page that is mounted is not, to Gradio: then it would take any file of the server for an uploaded one.
    page.has_launched = True
    if logins:
        app.add_middleware(Logins, passwords=logins, open_to_all=[HEALTH])
    app.add_middleware(Borders, is_alone=is_alone)
    return app
