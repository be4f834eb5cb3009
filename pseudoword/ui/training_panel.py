"""The panel that teaches a word: pictures and a name on the left, what comes of it on the right."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from ..decoding import SUFFIXES
from ..jobs.training.saved_settings import saved_settings
from ..jobs.training.trainings import Trainings
from . import gradio_versions, set_check
from .asking import asking
from .offered_lists import Lists, add_refreshing
from .own_page import for_own_page
from .presets import PRESETS
from .setting_fields import EXPERT, make_fields
from .training_handlers import (
    NEW_WORD,
    cloned,
    continued,
    first_values,
    given,
    name_says,
    preset_values,
    recalled,
    removed,
    saved,
    started,
    thumbnails,
    words_offered,
)

LIVE = '<div id="pseudoword-training"></div>'  # filled by javascript/pseudoword_training.js
START = 3  # where the words to start from are in the form, then the embedding to go on from, then the expert fields
ORDERS = {"pause": "Pause", "resume": "Resume", "stop": "Stop, keep", "cancel": "Cancel"}
CONFIRM_CANCEL = "Cancel this training and remove what was learned?"
CONFIRM_REMOVE = "Remove this run with its pictures, previews and checkpoint?"


def build(trainings: Trainings) -> None:
    """Put the panel where Gradio builds now."""
    lists: Lists = []
    with gr.Row(elem_classes="pseudoword-panel"):
        with gr.Column(scale=1, min_width=320):
            form, findings = build_form(trainings, lists)
            start_button = gr.Button("Start", variant="primary", elem_id="pseudoword_start")
            message = gr.HTML(elem_id="pseudoword_message")
        with gr.Column(scale=1, min_width=320):
            with gr.Row():
                buttons = {
                    order: gr.Button(label, min_width=110, elem_id=f"pseudoword_{order}")
                    for order, label in ORDERS.items()
                }
            gr.HTML(LIVE)
            earlier = build_earlier_runs(trainings, message)
    findings.render()
    # Pressed by the page's script, when the panel comes into view and when a training has ended.
    refresh = add_refreshing(lists, "pseudoword_refresh")
    people = trainings.host.people
    offered = asking(people, lambda person: gr.update(choices=trainings.earlier(person)))
    refresh.click(offered, None, earlier, queue=False)
    build_cloning(trainings, form, message)
    begin = asking(people, lambda person, *values: started(trainings, *values[:-1], person=person, left_out=values[-1]))
    start_button.click(begin, form, message, queue=False, api_name="pseudoword_start")
    for order, button in buttons.items():
        asks = CONFIRM_CANCEL if order == "cancel" else None
        handler = asking(people, partial(given, trainings, order))
        gradio_versions.on_click(button, handler, message, asks)


def build_cloning(trainings: Trainings, form: list[Any], message: Any) -> None:
    """Where the page's script writes the id of the job whose settings the form is to show."""
    id = gr.Textbox(elem_id="pseudoword_cloned", elem_classes="pseudoword-hidden", show_label=False)
    shown = form[START : START + 2 + len(EXPERT)]
    # Emptied afterwards: the same job may be chosen again.
    handler = asking(trainings.host.people, lambda person, chosen: [*cloned(trainings, chosen, person), ""])
    id.change(handler, id, [*shown, message, id], queue=False)


def build_form(trainings: Trainings, lists: Lists) -> tuple[list[Any], Any]:
    """What a training needs to be told; returns the fields as `started` takes them, and last what is left out.

    Returns beside them what shows the findings of a check, which wants more room.
    """
    files = gradio_versions.uploads(
        "Pictures, 3 to 10 (drop them here)", sorted(SUFFIXES) + [".txt"], "pseudoword_pictures"
    )
    gallery = gradio_versions.gallery("Your pictures", "pseudoword_thumbnails", columns=5, visible=False)
    folder = gr.Textbox(
        label="or a folder of the computer that this runs on",
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
        info="Words that say what they show; or auto, where there is a CLIP model that can find out from the pictures",
        max_lines=1,
        elem_id="pseudoword_start_words",
    )
    continued_word = gr.Dropdown(
        words_offered(trainings), value=NEW_WORD, label="or go on from an embedding", elem_id="pseudoword_continued"
    )
    lists.append((continued_word, lambda: words_offered(trainings)))
    first = trainings.host.first_preset()
    preset = gr.Radio(
        list(PRESETS), value=first if first in PRESETS else None, label="What is it?", elem_id="pseudoword_preset"
    )
    with gr.Accordion("Expert settings", open=False):
        expert = make_fields(first_values(trainings), trainings.host.templates())
        build_saved_settings(trainings, expert, lists)
    left_out, findings = set_check.build(trainings, files, folder, gallery, expert)
    files.change(thumbnails, files, gallery, queue=False)
    preset.change(lambda chosen: preset_values(trainings, chosen), preset, expert, queue=False)
    name_hint_of = for_own_page(trainings.host, lambda text: name_says(trainings, text))
    gradio_versions.on_typing([name], name_hint_of, [name], name_hint)
    return [files, folder, name, start, continued_word, *expert, left_out], findings


def build_saved_settings(trainings: Trainings, expert: list[Any], lists: Lists) -> None:
    """Below the expert settings: save them under a name, and recall them."""
    chosen = gr.Dropdown(
        list(saved_settings(trainings.host.runs)),
        label="Saved settings",
        allow_custom_value=True,
        info="Write a name to save under, or choose one to recall",
        elem_id="pseudoword_saved",
    )
    lists.append((chosen, lambda: list(saved_settings(trainings.host.runs))))
    with gr.Row():
        save = gr.Button("Save", min_width=90, elem_id="pseudoword_save_settings")
        recall = gr.Button("Recall", min_width=90, elem_id="pseudoword_recall_settings")
        forget = gr.Button("Forget", min_width=90, elem_id="pseudoword_forget_settings")
    told = gr.HTML(elem_id="pseudoword_saved_message")
    save_it = for_own_page(trainings.host, lambda *values: saved(trainings, *values))
    save.click(save_it, [chosen, *expert], [chosen, told], queue=False)
    recall.click(lambda name: recalled(trainings, name), chosen, [*expert, told], queue=False)
    forget_it = for_own_page(trainings.host, lambda name: saved(trainings, name))
    forget.click(forget_it, chosen, [chosen, told], queue=False)


def build_earlier_runs(trainings: Trainings, message: Any) -> Any:
    """Runs that are not under way: go on with an interrupted one, remove one. Returns the list of them."""
    with gr.Accordion("Earlier runs", open=False):
        earlier = gr.Dropdown([], value=None, label="Runs", elem_id="pseudoword_earlier")
        with gr.Row():
            go_on = gr.Button("Go on with it", elem_id="pseudoword_go_on")
            remove = gr.Button("Remove it", elem_id="pseudoword_remove")
    people = trainings.host.people
    go_on_with = asking(people, lambda person, chosen: continued(trainings, chosen, person))
    go_on.click(go_on_with, earlier, message, queue=False)
    removing = asking(people, lambda person, chosen: removed(trainings, chosen, person))
    gradio_versions.on_click(remove, removing, [earlier, message], CONFIRM_REMOVE, earlier)
    return earlier
