"""The tab that changes an embedding, and writes it in whichever format."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..decoding import SUFFIXES
from ..jobs.library.inspector import Inspector
from . import gradio_versions
from .edit_handlers import FACTS, NONE_CHOSEN, downloaded, outcome, saved, shown, undone
from .own_page import for_own_page
from .saved_word import format_field

ABOUT = "Converts the embedding that is chosen above, cuts and reorders it, and says what is known about it."
CONFIRM_UNDO = "Bring back the file as it was before it was last replaced? What is in its place now is lost."
FACTS_PER_ROW = 2


def build(inspector: Inspector, chosen: Any) -> None:
    """Put the tab where Gradio builds now, for the embedding in `chosen`."""
    gr.Markdown(ABOUT)
    about = gr.HTML(NONE_CHOSEN, elem_id="pseudoword_edit_about")
    with gr.Row():
        vectors = gr.Textbox(
            label="Vectors to keep",
            value="",
            placeholder="all",
            info="Numbered from 1, in the order wanted: 1-4, 7, 6",
            max_lines=1,
            min_width=200,
            elem_id="pseudoword_edit_vectors",
        )
        name = gr.Textbox(
            label="Name",
            value="",
            info="As prompts call it",
            max_lines=1,
            min_width=200,
            elem_id="pseudoword_edit_name",
        )
        format = format_field("pseudoword_edit_format")
    half = gr.Checkbox(
        value=False,
        label="Quantise to fp16",
        info="Half precision, as most checkpoints have, in files half as large; what a card holds is only rounded",
        elem_id="pseudoword_edit_half",
    )
    told = gr.HTML(elem_id="pseudoword_edit_outcome")
    with gr.Accordion("What is known about it", open=False):
        facts = build_facts()
        bare = gr.Checkbox(
            value=False,
            label="Remove all of this, and whatever else the file says",
            elem_id="pseudoword_edit_bare",
        )
    with gr.Accordion("Preview picture", open=False):
        preview = gradio_versions.uploads(
            "Shown beside the file, or on the card", sorted(SUFFIXES), "pseudoword_edit_preview", several=False
        )
    may_replace = gr.Checkbox(
        value=False,
        label="Replace the file",
        info="It is kept beside the new one, and Undo brings it back; otherwise a new file is saved in the library",
        elem_id="pseudoword_edit_replace",
    )
    with gr.Row():
        save = gr.Button("Save", variant="primary", min_width=130, elem_id="pseudoword_edit_save")
        download = gr.Button("Only download", min_width=130, elem_id="pseudoword_edit_download")
        undo = gr.Button("Undo last replace", min_width=130, elem_id="pseudoword_edit_undo")
    message = gr.HTML(elem_id="pseudoword_edit_message")

    fields = [about, vectors, name, format, half, bare, may_replace, preview, *facts]
    changes = [chosen, vectors, name, half, bare, *facts]
    everything = [format, preview, may_replace, *changes]
    after = [message, chosen, *fields]
    chosen.change(lambda label: shown(inspector, label), chosen, fields, queue=False)
    gradio_versions.on_typing(
        [vectors, name, half], lambda *given: outcome(inspector, *given), [chosen, vectors, name, half], told
    )
    host = inspector.host
    save_it = for_own_page(host, lambda *given: saved(inspector, chosen, *given))
    save.click(save_it, everything, after, queue=False)
    download_it = for_own_page(host, lambda *given: downloaded(inspector, *given))
    download.click(download_it, [format, preview, *changes], message, queue=False)
    undo_it = for_own_page(host, lambda label: undone(inspector, chosen, label))
    gradio_versions.on_click(undo, undo_it, after, CONFIRM_UNDO, chosen)


def build_facts() -> list[Any]:
    """A field for every fact, in their order."""
    given, fields = list(FACTS.items()), []
    for start in range(0, len(given), FACTS_PER_ROW):
        with gr.Row(elem_classes="pseudoword-fields"):
            for fact, (label, example) in given[start:][:FACTS_PER_ROW]:
                lines = 6 if fact == "description" else 1
                fields.append(
                    gr.Textbox(
                        label=label, value="", placeholder=example, max_lines=lines, elem_id=f"pseudoword_edit_{fact}"
                    )
                )
    return fields
