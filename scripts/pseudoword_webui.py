"""Hangs Pseudoword into the WebUI. All of it is in the package beside this folder."""

from __future__ import annotations

import traceback
from html import escape


def register() -> tuple[type, type] | None:
    """Register the extension, or, where that fails, a tab that says why: the WebUI starts in any case.

    Gives the classes of the panels in txt2img and img2img, which the WebUI looks for among the names in this file.
    """
    try:
        from pseudoword.webui.clip_skip_script import ClipSkipScript
        from pseudoword.webui.registration import register
        from pseudoword.webui.score_script import ClipScoreScript
    except Exception as problem:
        traceback.print_exc()
        show(f"Pseudoword could not start: {type(problem).__name__}: {problem}. The WebUI's console says more.")
        return None
    register()
    return ClipSkipScript, ClipScoreScript


def show(reason: str) -> None:
    """A tab with nothing but `reason`."""
    import gradio as gr
    from modules import script_callbacks

    def tab(_: object) -> None:
        with gr.Tab(label="Pseudoword"):
            gr.HTML(f"<p>{escape(reason)}</p>")

    script_callbacks.on_ui_train_tabs(tab)


ClipSkip, ClipScore = register() or (None, None)
