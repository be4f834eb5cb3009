"""The CLIP skip panel: its fields, the way to the comparison of layers, and the table of what checkpoints want."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..jobs.layers.checkpoint_layers import CheckpointLayers
from ..scoring.prompt_text import sentence_of
from ..text.layer_choice import PLACES
from ..text.layer_panel import LABELS, SOURCES, WRITTEN
from . import checkpoint_table
from .checkpoint_table import Loaded
from .gradio_versions import in_browser

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


def build(table: CheckpointLayers, loaded: Loaded, tab: str) -> tuple[Any, list[Any]]:
    """Put the panel where Gradio builds now, in the WebUI's `tab`, `txt2img` or `img2img`, which has no hires pass.

    Gives the field of the source, and the fields of layers in the order of `PLACES`.
    """
    id = id_in(tab)
    gr.HTML(f'<p class="pseudoword-caption">{ABOUT}</p>')
    source = gr.Dropdown(list(SOURCES), value=WRITTEN, label="CLIP skip from", elem_id=f"{id}_source")
    with gr.Row(elem_classes="pseudoword-fields pseudoword-layer-fields"):
        fields = [
            gr.Textbox(
                value="",
                label=LABELS[place],
                info=INFOS[place],
                max_lines=1,
                visible=tab == "txt2img" or not place.startswith("hires"),
                elem_id=f"{id}_{place}",
            )
            for place in PLACES
        ]
    build_comparing(tab)
    with gr.Accordion("What checkpoints want", open=False, elem_id=f"{id}_table_fold"):
        checkpoint_table.build(table, loaded, id, fields[0], fields[1])
    return source, fields


def id_in(tab: str) -> str:
    """What the panel's id is in this tab, and what those within it begin with."""
    return f"pseudoword_{tab}_clip_skip"


def build_comparing(tab: str) -> None:
    """The button that brings the words of the tab's prompts to where layers are compared."""
    compare = gr.Button("Compare layers with this prompt", size="sm", elem_id=f"{id_in(tab)}_compare")
    prompts: list[Any] = [
        gr.Textbox(visible=False, elem_id=f"{id_in(tab)}_{which}") for which in ("compared", "compared_negative")
    ]
    for one in prompts:
        one.do_not_save_to_config = True
    # The comparison reads brackets as text.
    told = compare.click(
        lambda *both: [sentence_of(text) for text in both],
        prompts,
        prompts,
        **in_browser(f"() => window.pseudoword.layers.promptsOf('{tab}')"),
    )
    told.then(None, prompts, None, **in_browser("(...both) => window.pseudoword.layers.compare(...both)"))
