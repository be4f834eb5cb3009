"""The CLIP skip panel in txt2img and img2img: built for the WebUI, and asked by it before every generation."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import gradio as gr
from modules import scripts
from modules.infotext_utils import PasteField
from modules.ui_components import InputAccordion

from ..text.layer_choice import PLACES
from ..text.layer_infotext import fields_of
from ..text.layer_panel import WRITTEN, panel_says
from ..ui import clip_skip_panel
from .clip_skip_generation import begin, take_hold
from .clip_skip_table import checkpoint_layers, loaded_checkpoint
from .registration import failure


class ClipSkipScript(scripts.Script):  # type: ignore[misc]  # the WebUI has no annotations
    """Always there, off by default. For programs: `alwayson_scripts: {"Pseudoword CLIP skip": {"args": [...]}}`."""

    def title(self) -> str:
        """Constant: programs name the panel by it."""
        return "Pseudoword CLIP skip"

    def show(self, is_img2img: bool) -> Any:
        """In both tabs, without being chosen."""
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any] | None:
        """The panel: on or off, where the layers come from, and a field for each text. A failure shows in its place."""
        tab = "img2img" if is_img2img else "txt2img"
        try:
            with InputAccordion(False, label="CLIP skip", elem_id=clip_skip_panel.id_in(tab)) as is_on:
                source, fields = clip_skip_panel.build(checkpoint_layers(), loaded_checkpoint, tab)
        except Exception as problem:
            traceback.print_exc()
            gr.HTML(failure(problem))
            return None
        self.infotext_fields = [
            PasteField(is_on, lambda told: any(fields_of(told).values())),
            PasteField(source, lambda told: WRITTEN if any(fields_of(told).values()) else None),
            *(PasteField(field, pasted(place)) for place, field in zip(PLACES, fields, strict=True)),
        ]
        return [is_on, source, *fields]

    def before_process(self, p: Any, *values: Any) -> None:
        """Before everything, for every generation, also one of a script that makes several of the same object."""
        begin(p, panel_says(values))

    def process_batch(self, p: Any, *_: Any, **__: Any) -> None:
        """Before a batch is encoded, where networks in prompts are off, which else take hold of it."""
        if p.disable_extra_networks:
            take_hold(p)


def pasted(place: str) -> Any:
    """What the field of `place` shows of an infotext."""

    def told(infotext: Mapping[str, str]) -> str:
        return fields_of(infotext)[place]

    return told
