"""The tab that scores pictures: how well each fits some texts, or which of some classes it shows."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from ..decoding import FOREIGN_SUFFIXES, SUFFIXES
from ..jobs.scoring.scorings import Scorings
from ..jobs.server.people import Person
from ..scoring.score_panel import DEFAULT_MODEL
from . import gradio_versions
from .asking import asking
from .offered_lists import Lists, add_refreshing
from .own_page import told
from .score_handlers import (
    CLASSES,
    LONG_CHOICES,
    TEMPLATE_CHOICES,
    TEXTS,
    cancelled,
    cancelling_download,
    downloading,
    dropped,
    emptied,
    models_elsewhere,
    models_offered,
    own_prompts,
    started,
)

ABOUT = (
    "CLIP puts pictures and texts in one space; how near they lie there says how well they fit, as one model sees it. "
    "Figures of different models cannot be compared."
)
SOURCES = '<div id="pseudoword-score-sources"></div>'  # filled by the page's script in the WebUI
CLIP_NOTE = '<div id="pseudoword-clip-note"></div>'  # filled by javascript/pseudoword_score_sources.js
CLIPS = '<div id="pseudoword-clips"></div>'  # filled by the same
CONFIRM_DOWNLOAD = (
    "Download this CLIP model from the internet to the computer that this runs on? It may have several gigabytes."
)


def build(scorings: Scorings) -> None:
    """Put the tab where Gradio builds now."""
    lists: Lists = []
    gr.Markdown(ABOUT)
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            tray, folder, addresses, take_prompts = build_pictures(scorings)
        with gr.Column(scale=1, min_width=320):
            way, texts, templates, own_templates = build_texts()
            model = gr.Dropdown(
                [DEFAULT_MODEL], value=DEFAULT_MODEL, label="CLIP model", elem_id="pseudoword_score_model"
            )
            lists.append((model, lambda: models_offered(scorings)))
            gr.HTML(CLIP_NOTE, elem_id="pseudoword_score_clip")
            with gr.Accordion("More", open=False):
                long, head = build_more()
            with gr.Row():
                score = gr.Button("Score", variant="primary", elem_id="pseudoword_score_start")
                cancel = gr.Button(
                    "Cancel", min_width=90, elem_id="pseudoword_score_cancel", elem_classes="pseudoword-idle"
                )
            message = gr.HTML(elem_id="pseudoword_score_message")
    place = gr.HTML(elem_id="pseudoword_score_result")
    with gr.Accordion("CLIP models", open=False, elem_id="pseudoword_clips_fold"):
        build_models(scorings, lists)
    latest = gr.State(None)
    fields = [tray, folder, addresses, way, texts, templates, own_templates, long, model, head]
    for field in fields:
        # The WebUI keeps what fields show at first by their labels, and other forms have the same ones.
        field.do_not_save_to_config = True
    take_prompts.click(own_prompts, [tray, texts], [texts, message], queue=False)

    def start(person: Person, *given: Any) -> Any:
        return told(scorings.host, partial(started, person=person)(scorings, *given))

    begin = asking(scorings.host.people, start)
    score.click(begin, [latest, *fields], [message, place, latest], queue=False)
    cancel.click(lambda shown: cancelled(scorings, shown), latest, message, queue=False)
    # Pressed by the page's script, when the tab comes into view and when a model has arrived.
    add_refreshing(lists, "pseudoword_refresh_clips")


def build_pictures(scorings: Scorings) -> tuple[Any, Any, Any, Any]:
    """Where pictures come from: the tray of those that were dropped, a folder, addresses; and the prompts' button."""
    tray = gr.State([])
    files = gradio_versions.uploads(
        "Pictures (drop them here, or paste one)", sorted(SUFFIXES | FOREIGN_SUFFIXES), "pseudoword_score_pictures"
    )
    gr.HTML(SOURCES, elem_id="pseudoword_score_sources")
    gallery = gradio_versions.gallery("Pictures", "pseudoword_score_tray", columns=5, visible=False)
    count = gr.HTML(elem_id="pseudoword_score_count")
    with gr.Row():
        clear = gr.Button("Take all away", min_width=110, elem_id="pseudoword_score_clear")
        take_prompts = gr.Button("Their prompts as texts", min_width=110, elem_id="pseudoword_score_prompts")
    folder = gr.Textbox(
        label="and a folder of the computer that this runs on",
        value="",
        placeholder="path of a folder",
        max_lines=1,
        elem_id="pseudoword_score_folder",
    )
    addresses = gr.Textbox(
        label="and pictures on the web",
        value="",
        placeholder="https://…, one on each line",
        lines=2,
        max_lines=6,
        visible=scorings.host.may_fetch,
        elem_id="pseudoword_score_addresses",
    )
    files.change(dropped, [tray, files], [tray, gallery, count, files], queue=False)
    clear.click(emptied, None, [tray, gallery, count], queue=False)
    return tray, folder, addresses, take_prompts


def build_texts() -> tuple[Any, Any, Any, Any]:
    """What pictures are compared with: how, the texts, and the sentences that classes are put into."""
    way = gr.Radio(
        [TEXTS, CLASSES],
        value=TEXTS,
        label="Compare with",
        info="Texts as they stand; or classes, each put into sentences",
        elem_id="pseudoword_score_way",
    )
    texts = gr.Textbox(
        label="One on each line",
        value="",
        placeholder="a photo of a cat\na photo of a dog",
        lines=4,
        max_lines=12,
        elem_id="pseudoword_score_texts",
    )
    templates = gr.Radio(
        list(TEMPLATE_CHOICES.values()),
        value=TEMPLATE_CHOICES["plain"],
        label="Sentences",
        info="The mean of a class's sentences counts",
        visible=False,
        elem_id="pseudoword_score_templates",
    )
    own = gr.Textbox(
        label="Your own sentences, one on each line",
        value="",
        placeholder="a drawing of a {}",
        lines=2,
        max_lines=8,
        visible=False,
        elem_id="pseudoword_score_own_templates",
    )
    both = [way, templates]
    for field in both:
        field.change(sentences_shown, both, [templates, own], queue=False)
    return way, texts, templates, own


def sentences_shown(way: str | None, templates: str | None) -> tuple[Any, Any]:
    """The fields for sentences are shown where classes are compared, and those of one's own where they are wanted."""
    are_classes = way == CLASSES
    return gr.update(visible=are_classes), gr.update(visible=are_classes and templates == TEMPLATE_CHOICES["own"])


def build_more() -> tuple[Any, Any]:
    """What is seldom changed: texts that are too long, and a head."""
    long = gr.Radio(
        list(LONG_CHOICES.values()),
        value=LONG_CHOICES["cut"],
        label="Texts that are longer than the model reads",
        elem_id="pseudoword_score_long",
    )
    head = gr.Textbox(
        label="Head",
        value="",
        placeholder="path of a file",
        info="Such as an aesthetic predictor's, on the computer that this runs on; it fits one CLIP model alone",
        max_lines=1,
        elem_id="pseudoword_score_head",
    )
    return long, head


def build_models(scorings: Scorings, lists: Lists) -> None:
    """The list of models, and the way to download another one."""
    gr.HTML(CLIPS)
    with gr.Row():
        wanted: Any = gr.Dropdown(
            [],
            value=None,
            label="Not on this disk",
            info="open_clip's own list",
            scale=3,
            min_width=240,
            elem_id="pseudoword_clip_wanted",
        )
        download = gr.Button("Download it", min_width=110, elem_id="pseudoword_clip_download")
        cancel = gr.Button("Cancel", min_width=90, elem_id="pseudoword_clip_cancel")
    wanted.do_not_save_to_config = True
    message = gr.HTML(elem_id="pseudoword_clip_message")
    lists.append((wanted, lambda: models_elsewhere(scorings)))

    def start(person: Person, name: str | None) -> Any:
        return told(scorings.host, downloading(scorings, name, person))

    def end(person: Person) -> Any:
        return told(scorings.host, cancelling_download(scorings, person))

    begin = asking(scorings.host.people, start)
    gradio_versions.on_click(download, begin, message, CONFIRM_DOWNLOAD, wanted)
    cancel.click(asking(scorings.host.people, end), None, message, queue=False)
