"""What the extension hangs into the WebUI. `register` is called anew whenever the UI is reloaded."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr
from fastapi import Depends, FastAPI
from modules import script_callbacks, shared

from ..api.all_routes import add_routes_for_programs, add_routes_of_page
from ..api.server_routes import add_server_routes
from ..errors import PseudowordError
from ..ui import inspection_panel, jobs_panel, layers_tab, score_tab, search_tab, training_panel
from .access import guarding_page, guarding_programs, knowing_programs
from .clip_skip_network import add_clip_skip
from .host import api_auth, has_model, inspector, private_folders, scorings, trainings
from .score_sheet import add_score_sheets
from .search_sending import build_sending
from .settings_page import add_settings


def register() -> None:
    """Register all callbacks. The trainings themselves outlive a reload of the UI: one that is under way goes on."""
    callbacks = {
        "ui_settings": add_settings,
        "ui_train_tabs": train_tab,
        "ui_tabs": own_tab,
        "app_started": add_routes,
        "before_ui": extend_scripts,
    }
    for category, callback in callbacks.items():
        # Not by `on_ui_settings` and its like: each looks for the name of this file in the stack, which takes 0.1 s.
        known = script_callbacks.callback_map[f"callbacks_{category}"]
        script_callbacks.add_callback(known, callback, category=category, filename=__file__)


def extend_scripts() -> None:
    """What belongs into the WebUI's own prompts and plots."""
    add_clip_skip()
    add_score_sheets()


def train_tab(_: Any) -> None:
    """The sub-tab of the Train tab. A failure shows in its place, and nowhere else."""
    with gr.Tab(label="Pseudoword", elem_id="pseudoword_tab"):
        try:
            training_panel.build(trainings())
        except Exception as problem:
            traceback.print_exc()
            gr.HTML(failure(problem))


def own_tab() -> list[tuple[gr.Blocks, str, str]]:
    """The tab beside txt2img and the others. A failure shows in its place, and nowhere else."""
    tabs: dict[str, Callable[[], None]] = {
        "Inspect": lambda: inspection_panel.build(inspector()),
        "CLIP skip": lambda: layers_tab.build(inspector()),
        "Score": lambda: score_tab.build(scorings()),
        "Search": lambda: search_tab.build(lambda: build_sending(scorings().search)),
        "Jobs": jobs_panel.build,
    }
    with gr.Blocks(analytics_enabled=False) as panel, gr.Tabs():
        for title, build in tabs.items():
            with gr.Tab(title):
                try:
                    build()
                except Exception as problem:
                    traceback.print_exc()
                    gr.HTML(failure(problem))
    return [(panel, "Pseudoword", "pseudoword")]


def add_routes(demo: gr.Blocks | None, app: FastAPI) -> None:
    """The routes of the page, and with --api those for programs."""
    if demo is not None:  # Gradio would hand out whatever lies below the WebUI's folder
        demo.blocked_paths.extend(map(str, private_folders()))
    page = [Depends(guarding_page(app, api_auth()))]
    add_server_routes(app, trainings(), knowing_programs(api_auth()))
    threading.Thread(target=find_jobs, name="jobs of before", daemon=True).start()
    add_routes_of_page(app, trainings(), inspector(), scorings(), page)
    if shared.cmd_opts.api:
        programs = [Depends(guarding_programs(api_auth()))]
        add_routes_for_programs(app, trainings(), inspector(), scorings(), programs)


def find_jobs() -> None:
    """Find the jobs of before this start, and go on with those that wait, once there is a checkpoint to do it with."""
    try:
        trainings().open()
        while not has_model():
            time.sleep(1)
        trainings().queue.begin_next()
    except PseudowordError:
        traceback.print_exc()


def failure(problem: Exception) -> str:
    """What the panel shows in place of itself, in HTML."""
    reason = escape(f"{type(problem).__name__}: {problem}")
    return (
        f'<p class="pseudoword-warning">Pseudoword could not start: {reason}. The WebUI\'s console says more; '
        "an update of the extension or of the WebUI may help.</p>"
    )
