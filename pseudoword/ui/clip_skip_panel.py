"""The fields of the CLIP skip panel, and below them the table of what checkpoints want."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ..errors import PseudowordError
from ..jobs.layers.checkpoint_layers import CheckpointLayers, WantedLayers, table_text
from ..text.layer_choice import PLACES, parse_layers
from ..text.layer_panel import LABELS, SOURCES, WRITTEN
from .messages import says

ABOUT = (
    "Layers count back from the one that the checkpoint was made with, which is 1. A blend names several with their "
    "weights: 1=0.5,2=0.5. SDXL has two text encoders: 2 is for both, 2/1 for CLIP-L/CLIP-G; what pages of SDXL "
    "checkpoints call CLIP skip 2 is 1 here. "
    "&lt;clipskip:2&gt; in a prompt wins over this panel."
)
INFOS = {
    "prompt": "2 is what many anime checkpoints want. Empty: the WebUI's setting",
    "negative": "Empty: as for the prompt",
    "hires": "Empty: as for the prompt",
    "hires_negative": "Empty: as for the negative prompt, or else the hires pass",
}
NO_CHECKPOINT = "No checkpoint is loaded whose hash is known; generate a picture first, or start without --no-hashing."


def build(
    table: CheckpointLayers, loaded: Callable[[], tuple[str, str] | None], id: str, has_hires: bool
) -> tuple[Any, list[Any]]:
    """Put the panel where Gradio builds now; its ids begin with `id`. `loaded` tells hash and name of the checkpoint.

    Gives the field of the source, and the fields of layers in the order of `PLACES`.
    """
    gr.HTML(f'<p class="pseudoword-caption">{ABOUT}</p>')
    source = gr.Dropdown(list(SOURCES), value=WRITTEN, label="CLIP skip from", elem_id=f"{id}_source")
    with gr.Row(elem_classes="pseudoword-fields"):
        fields = [
            gr.Textbox(
                value="",
                label=LABELS[place],
                info=INFOS[place],
                max_lines=1,
                visible=has_hires or not place.startswith("hires"),
                elem_id=f"{id}_{place}",
            )
            for place in PLACES
        ]
    with gr.Accordion("What checkpoints want", open=False, elem_id=f"{id}_table_fold"):
        build_table(table, loaded, id, fields[0], fields[1])
    return source, fields


def build_table(
    table: CheckpointLayers, loaded: Callable[[], tuple[str, str] | None], id: str, prompt: Any, negative: Any
) -> None:
    """The table as a text, which is copied to share it and pasted to take over somebody's."""
    text = gr.Textbox(
        value="",
        label="Table",
        info="One checkpoint a line: hash; layers; layers of the negative prompt; name. Read it, change it, save it",
        lines=4,
        max_lines=20,
        elem_id=f"{id}_table",
    )
    as_read = gr.State("")
    with gr.Row():
        read_button = gr.Button("Read the table", elem_id=f"{id}_read")
        save = gr.Button("Save the table", elem_id=f"{id}_save")
        remember = gr.Button("Remember the layers above for this checkpoint", elem_id=f"{id}_remember")
    message = gr.HTML("", elem_id=f"{id}_message")

    told = [text, as_read, message]
    read_button.click(lambda: read(table), None, told, queue=False)
    save.click(lambda changed, before: saved(table, changed, before), [text, as_read], told, queue=False)
    remember.click(
        lambda layers, of_negative: remembered(table, loaded, layers, of_negative),
        [prompt, negative],
        told,
        queue=False,
    )


Told = tuple[str, str, str]  # the table's text, the same as it was read, and a message in HTML


def read(table: CheckpointLayers, message: str = "") -> Told:
    """The table as it is now."""
    now = table_text(table.entries())
    return now, now, message


def saved(table: CheckpointLayers, changed: str, before: str) -> Told:
    """The table after it was replaced by `changed`, which somebody made of `before`; else what is wrong with it."""
    try:
        table.replace(changed, before)
    except PseudowordError as problem:
        return changed, before, says(str(problem), "warning")
    return read(table, says("The table is saved.", "good"))


def remembered(
    table: CheckpointLayers, loaded: Callable[[], tuple[str, str] | None], layers: str, of_negative: str
) -> Told:
    """The table with what the panel says for the checkpoint that is loaded."""
    checkpoint = loaded()
    if checkpoint is None:
        return read(table, says(NO_CHECKPOINT, "warning"))
    sha256, name = checkpoint
    try:
        negative = parse_layers(of_negative) if of_negative.strip() else None
        wanted = WantedLayers(parse_layers(layers), negative, name)
        table.remember(sha256, wanted)
    except PseudowordError as problem:
        return read(table, says(str(problem), "warning"))
    return read(table, says(f"{name} wants {wanted.prompt.text} from now on.", "good"))
