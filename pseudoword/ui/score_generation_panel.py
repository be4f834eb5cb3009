"""The fields of the CLIP score panel in txt2img and img2img."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

import gradio as gr

from ..errors import PseudowordError
from ..jobs.scoring.clip_models import ClipModels
from ..scoring.models import BUILT_IN_KNOWS, ClipModel
from ..scoring.score_panel import DEFAULT_MODEL, LONG_TEXTS
from .messages import says

ABOUT = (
    "Every picture gets its CLIPScore, which tells how well it fits its prompt: into its infotext, below the gallery, "
    "and for X/Y/Z plots as a sheet. Scores of different models cannot be compared."
)


class ScoreFields(NamedTuple):
    """The fields, in the order of `ScorePanelSays`."""

    model: Any
    text: Any
    keep: Any
    best_first: Any
    minimum: Any
    long: Any


def build(clips: ClipModels, is_on: Any, id: str) -> ScoreFields:
    """Put the panel where Gradio builds now; its ids begin with `id`. `is_on` is what turns it on, and opens it."""
    gr.HTML(f'<p class="pseudoword-caption">{ABOUT}</p>')
    with gr.Row(elem_classes="pseudoword-fields"):
        model = gr.Dropdown(
            [DEFAULT_MODEL],
            value=DEFAULT_MODEL,
            label="CLIP model",
            info="Those on this disk",
            elem_id=f"{id}_model",
        )
        text = gr.Textbox(
            value="",
            label="Compare with",
            placeholder="the picture's own prompt",
            info="Empty: its prompt, without weights, networks and syntax",
            max_lines=2,
            elem_id=f"{id}_text",
        )
        long = gr.Dropdown(
            list(LONG_TEXTS),
            value="cut",
            label="Texts over 77 tokens",
            info="cut: only their beginning counts. mean: all of it does",
            elem_id=f"{id}_long",
        )
        keep = gr.Number(
            value=0,
            precision=0,
            minimum=0,
            label="Keep the best",
            info="Of batch count × batch size pictures; 0: all",
            elem_id=f"{id}_keep",
        )
        minimum = gr.Number(
            value=0,
            minimum=0,
            label="Minimum score",
            info="Pictures below are left out, but for the best one",
            elem_id=f"{id}_minimum",
        )
        best_first = gr.Checkbox(value=False, label="Best first", elem_id=f"{id}_best_first")
    about = gr.HTML("", elem_id=f"{id}_about")
    is_on.change(lambda now: opened(clips, now), is_on, [model, about], queue=False)
    return ScoreFields(model, text, keep, best_first, minimum, long)


def opened(clips: ClipModels, is_on: bool) -> tuple[Any, str]:
    """The models that are here now, and a line that says which is the default."""
    if not is_on:
        return gr.update(), ""
    try:
        names = names_here(clips)
        return offering(names), told_of(clips.default(), len(names))
    except PseudowordError as problem:
        return gr.update(), says(str(problem), "warning")


def told_of(default: ClipModel, count: int) -> str:
    """What the panel says of the models."""
    knows = f". {BUILT_IN_KNOWS}" if default.origin == "built in" else ""
    others = "There is no other" if count < 2 else f"{count} models are there"
    said = f"The best on this disk is {default.name}{knows}. {others}; more in Pseudoword → Score."
    return f'<p class="pseudoword-caption">{escape(said)}</p>'


def names_here(clips: ClipModels) -> list[str]:
    """The models on this disk that can be used."""
    return [model.name for model in clips.here() if model.is_usable]


def offering(names: list[str], chosen: str | None = None) -> Any:
    """A change of the dropdown: these models, and maybe one that is chosen."""
    choices = [DEFAULT_MODEL, *names]
    return gr.update(choices=choices) if chosen is None else gr.update(choices=choices, value=chosen)
