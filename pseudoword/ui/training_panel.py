"""The panel that teaches a word: pictures and a name on the left, what comes of it on the right."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import PseudowordError, SettingsError
from ..jobs.training_job import TrainingJob
from ..jobs.trainings import Trainings
from ..training.captions import BUILT_IN_TEMPLATES
from ..training.decoding import SUFFIXES
from . import gradio_versions
from .presets import PRESETS
from .setting_fields import EXPERT, make_fields, settings_of, shown

LIVE = '<div id="pseudoword-training"></div>'  # filled by javascript/pseudoword.js


def build(trainings: Trainings) -> None:
    """Put the panel where Gradio builds now."""
    with gr.Row(elem_classes="pseudoword-panel"):
        with gr.Column(scale=1, min_width=320):
            files = gradio_versions.uploads(
                "Pictures, 3 to 10 (drop them here)", sorted(SUFFIXES) + [".txt"], "pseudoword_pictures"
            )
            folder = gr.Textbox(
                label="or a folder of this computer",
                value="",
                placeholder="path of a folder",
                max_lines=1,
                elem_id="pseudoword_folder",
            )
            name = gr.Textbox(
                label="New word",
                value="",
                placeholder="my-cat",
                info="As you will write it in prompts",
                max_lines=1,
                elem_id="pseudoword_name",
            )
            name_hint = gr.HTML(elem_id="pseudoword_name_hint")
            start = gr.Textbox(
                label="Start from",
                value="auto",
                info="auto: CLIP chooses words from the pictures. Or words that say what they show, or file:PATH",
                max_lines=1,
                elem_id="pseudoword_start_words",
            )
            preset = gr.Radio(list(PRESETS), value="object", label="What is it?", elem_id="pseudoword_preset")
            with gr.Accordion("Expert settings", open=False):
                expert = make_fields()
            start_button = gr.Button("Start", variant="primary", elem_id="pseudoword_start")
            message = gr.HTML(elem_id="pseudoword_message")
        with gr.Column(scale=1, min_width=320):
            with gr.Row():
                buttons = {
                    order: gr.Button(label, min_width=110, elem_id=f"pseudoword_{order}")
                    for order, label in ORDERS.items()
                }
            gr.HTML(LIVE)
            with gr.Accordion("Interrupted runs", open=False):
                interrupted = gr.Dropdown([], label="Runs that can go on", elem_id="pseudoword_interrupted")
                with gr.Row():
                    refresh = gr.Button("Look again", elem_id="pseudoword_refresh")
                    go_on = gr.Button("Go on with it", elem_id="pseudoword_go_on")

    preset.change(preset_values, preset, expert, queue=False)
    name.change(lambda text: name_says(trainings, text), name, name_hint, queue=False)
    start_button.click(
        lambda *values: started(trainings, *values),
        [files, folder, name, start, *expert],
        message,
        queue=False,
        api_name="pseudoword_start",
    )
    for order, button in buttons.items():
        asks = CONFIRM_CANCEL if order == "cancel" else None
        gradio_versions.on_click(button, give(trainings, order), message, asks)
    refresh.click(lambda: gr.update(choices=trainings.interrupted()), None, interrupted, queue=False)
    go_on.click(lambda chosen: continued(trainings, chosen), interrupted, message, queue=False)


ORDERS = {"pause": "Pause", "resume": "Resume", "stop": "Stop, keep", "cancel": "Cancel"}
CONFIRM_CANCEL = "Cancel this training and remove what was learned?"


def preset_values(preset: str) -> list[Any]:
    """What the expert fields show after `preset` was chosen."""
    values = {description.name: description.default for description in EXPERT} | PRESETS[preset]
    return [shown(description, values[description.name]) for description in EXPERT]


def name_says(trainings: Trainings, name: str) -> str:
    """Whether a word can be called so, in one line of HTML."""
    if not name.strip():
        return ""
    try:
        trainings.check_name(name.strip())
    except PseudowordError as problem:
        return says(str(problem), "warning")
    return says(f"{name.strip()} is free.", "good")


def started(trainings: Trainings, files: Any, folder: str, name: str, start: str, *expert: Any) -> str:
    """Start a training; returns what to tell."""

    def begin() -> TrainingJob:
        uploaded = gradio_versions.uploaded_paths(files)
        if uploaded and folder.strip():
            raise SettingsError("There are pictures and a folder; give one of the two.")
        if not uploaded and not folder.strip():
            raise SettingsError("There are no pictures yet; drop 3 to 10 of what the word is to mean.")
        settings = settings_of(name, start, expert)
        if settings.templates not in BUILT_IN_TEMPLATES and not Path(settings.templates).is_file():
            raise SettingsError(f"templates is {settings.templates!r}, which is no file; write object or style.")
        return trainings.start(settings, uploaded or [Path(folder.strip())], uploaded=bool(uploaded))

    return told(begin)


def continued(trainings: Trainings, chosen: str | None) -> str:
    """Go on with an interrupted run; returns what to tell."""

    def begin() -> TrainingJob:
        if not chosen:
            raise SettingsError("Choose a run first.")
        return trainings.go_on(chosen)

    return told(begin)


def told(begin: Callable[[], TrainingJob]) -> str:
    """What to tell of a training that `begin` starts, or of why it cannot."""
    try:
        job = begin()
    except PseudowordError as problem:
        return says(str(problem), "warning")
    return says(f"Learning {job.settings.name}.", "good")


def give(trainings: Trainings, order: str) -> Callable[[], str]:
    """A handler that gives `order` to the training under way."""

    def handler() -> str:
        job = trainings.latest
        if job is None or job.has_ended:
            return says("No training is under way.", "warning")
        getattr(job, order)()
        return ""

    return handler


def says(text: str, kind: str) -> str:
    """`text` as a line of HTML."""
    return f'<p class="pseudoword-{kind}" role="status">{escape(text)}</p>'
