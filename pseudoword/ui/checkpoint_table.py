"""The table of the layers that checkpoints want: to read, change and save, and to bring to a file and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ..errors import PseudowordError
from ..jobs.layers.checkpoint_layers import (
    CheckpointLayers,
    WantedLayers,
    parse_table,
    table_text,
    with_others,
)
from ..text.layer_choice import parse_layers
from .gradio_versions import in_browser
from .messages import says

FILE = "checkpoint-layers.txt"
NO_CHECKPOINT = "No checkpoint is loaded whose hash is known; generate a picture first, or start without --no-hashing."
Loaded = Callable[[], tuple[str, str] | None]  # tells hash and name of the checkpoint


def build(table: CheckpointLayers, loaded: Loaded, id: str, prompt: Any, negative: Any) -> None:
    """Put the table where Gradio builds now; `prompt` and `negative` are the fields whose layers can be remembered."""
    remember = gr.Button("Remember the layers above for this checkpoint", size="sm", elem_id=f"{id}_remember")
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
        read_button, save, export, fetch = [
            gr.Button(label, size="sm", min_width=120, elem_id=f"{id}_{name}")
            for name, label in {
                "read": "Read the table",
                "save": "Save the table",
                "export": "Export to a file",
                "import": "Import a file",
            }.items()
        ]
    message = gr.HTML("", elem_id=f"{id}_message")
    file: Any = gr.Textbox(visible=False, elem_id=f"{id}_file")
    file.do_not_save_to_config = True  # by the WebUI, which saves what fields show at first

    told = [text, as_read, message]
    remember.click(lambda *layers: remembered(table, loaded, *layers), [prompt, negative], told, queue=False)
    read_button.click(lambda: read(table), None, told, queue=False)
    save.click(lambda changed, before: saved(table, changed, before), [text, as_read], told, queue=False)
    exported = export.click(lambda: table_text(table.entries()), None, file, queue=False)
    exported.then(None, file, None, **in_browser(f"(text) => window.pseudoword.layers.download('{FILE}', text)"))
    fetch.click(
        lambda given, shown, before: imported(table, given, shown, before),
        [file, text, as_read],
        told,
        **in_browser("async (_, ...table) => [await window.pseudoword.layers.chosenText(), ...table.slice(0, 2)]"),
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


def imported(table: CheckpointLayers, given: str, shown: str, before: str) -> Told:
    """The text of a file put into what is `shown`, or into the table where nothing is; it is saved by who sees it."""
    if not shown.strip():
        shown, before, _ = read(table)
    try:
        found = parse_table(given)
    except PseudowordError as problem:
        return shown, before, says(f"The file is no such table. {problem}", "warning")
    try:
        together, changed = with_others(parse_table(shown), found)
    except PseudowordError as problem:
        return shown, before, says(f"The table above cannot be read. {problem}", "warning")
    other = f", of which {changed} had other layers here" if changed else ""
    return table_text(together), before, says(f"{len(found)} from the file{other}; now save the table.", "good")


def remembered(table: CheckpointLayers, loaded: Loaded, layers: str, of_negative: str) -> Told:
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
