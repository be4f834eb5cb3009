"""What the extension hangs into the WebUI. `register` is called anew whenever the UI is reloaded."""

from __future__ import annotations

import traceback
from html import escape
from typing import Any

import gradio as gr
from fastapi import Depends, FastAPI
from modules import script_callbacks, shared

from ..api.program_routes import add_program_routes
from ..api.training_routes import add_training_routes
from ..ui import training_panel
from .access import guarding_page, guarding_programs
from .settings_page import add_settings
from .trainings import trainings


def register() -> None:
    """Register all callbacks. The trainings themselves outlive a reload of the UI: one that is under way goes on."""
    callbacks = {"ui_settings": add_settings, "ui_train_tabs": train_tab, "app_started": add_routes}
    for category, callback in callbacks.items():
        # Not by `on_ui_settings` and its like: each looks for the name of this file in the stack, which takes 0.1 s.
        known = script_callbacks.callback_map[f"callbacks_{category}"]
        script_callbacks.add_callback(known, callback, category=category, filename=__file__)


def train_tab(_: Any) -> None:
    """The sub-tab of the Train tab. A failure shows in its place, and nowhere else."""
    with gr.Tab(label="Pseudoword", elem_id="pseudoword_tab"):
        try:
            training_panel.build(trainings())
        except Exception as problem:
            traceback.print_exc()
            gr.HTML(failure(problem))


def add_routes(_: gr.Blocks | None, app: FastAPI) -> None:
    """The routes of the page, and with --api those for programs."""
    api_auth = shared.cmd_opts.api_auth if shared.cmd_opts.api else None
    add_training_routes(app, trainings(), [Depends(guarding_page(app, api_auth))])
    if shared.cmd_opts.api:
        add_program_routes(app, trainings(), [Depends(guarding_programs(api_auth))])


def failure(problem: Exception) -> str:
    """What the panel shows in place of itself, in HTML."""
    reason = escape(f"{type(problem).__name__}: {problem}")
    return (
        f'<p class="pseudoword-warning">Pseudoword could not start: {reason}. The WebUI\'s console says more; '
        "an update of the extension or of the WebUI may help.</p>"
    )
