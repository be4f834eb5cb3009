"""The tab that compares the layers of the text encoder, by pictures and by what they make of each token."""

from __future__ import annotations

import zlib
from html import escape
from urllib.parse import urlencode

import gradio as gr

from ..errors import PseudowordError, SettingsError
from ..inspect.strips import Row
from ..jobs.layers.layer_inspection import check_inside, layers_strip, loaded_encoders
from ..jobs.layers.remembered_layers import forget, remember, remembered_says
from ..jobs.library.inspector import Inspector
from ..text.layer_list import ALL
from ..text.layer_panel import OF_CHECKPOINT
from .messages import says
from .own_page import for_own_page
from .strip_form import StripForm, build_form, connect

ABOUT = (
    "The same pictures are made with each layer of the text encoder, and CLIP scores how well they fit the prompt. "
    "CLIP skip 1 is the last layer, 2 the one before it."
)
INSIDE = (
    "How each token's state differs from layer to layer: its cosine with the last layer's state, and its length. Where "
    "the colour fades, a layer says something else of that token than the last one does."
)
MEMORY = (
    f"The WebUI's CLIP skip panel uses what is remembered where it is set to “{OF_CHECKPOINT}”, the studio's Generate "
    "and its new trainings where nothing else is asked for."
)
PROMPT = "a red cat on a blue background"
LAYERS = "pseudoword/v1/layers"


def build(inspector: Inspector) -> None:
    """Put the tab where Gradio builds now."""
    gr.Markdown(ABOUT)
    negative = gr.Textbox(
        label="Negative prompt",
        value="",
        info="Read with the same layer",
        max_lines=1,
        scale=2,
        min_width=200,
        elem_id="pseudoword_layers_negative",
        render=False,
    )
    layers = gr.Textbox(
        label="Layers",
        value=ALL,
        info="all, or a list: 1; 2; 3-5; 1=0.5,2=0.5",
        max_lines=1,
        min_width=160,
        elem_id="pseudoword_layers_list",
        render=False,
    )
    info = "Brackets are text here, as in the studio's Generate; embeddings are known by name"
    form = build_form("layers", "Compare", PROMPT, info, seed_count=4, further=[negative, layers])
    connect(form, inspector, lambda *given: rows(inspector, *given), [negative, layers])
    if inspector.host.checkpoint_layers is not None:
        build_memory(inspector, form)
    gr.Markdown(f"### Look inside\n\n{INSIDE}")
    look = gr.Button("Look inside the prompt above", elem_id="pseudoword_layers_look")
    view = gr.HTML(elem_id="pseudoword_layers_inside")
    look.click(lambda prompt: inside_html(inspector, prompt), form.template, view, queue=False)


def build_memory(inspector: Inspector, form: StripForm) -> None:
    """What is remembered for the checkpoint, and the ways to change that."""
    gr.Markdown(f"### Remember\n\n{MEMORY}")
    # The page's script keeps it up to date: another checkpoint may be loaded at any time.
    known = escape(remembered_says(inspector.host))
    gr.HTML(f'<p class="pseudoword-remembered" role="status">{known}</p>', elem_id="pseudoword_layers_remembered")
    wanted = gr.Textbox(
        label="Layer to remember",
        value="",
        placeholder="2, or a blend: 1=0.5,2=0.5",
        info="Empty: the recommended one",
        max_lines=1,
        elem_id="pseudoword_layers_wanted",
    )
    with gr.Row():
        remember_button = gr.Button(
            "Remember this layer for the checkpoint", min_width=280, elem_id="pseudoword_layers_remember"
        )
        forget_button = gr.Button("Forget", min_width=90, elem_id="pseudoword_layers_forget")
    message = gr.HTML(elem_id="pseudoword_layers_memory_message")
    remember_it = for_own_page(inspector.host, lambda text, latest: remembering(inspector, text, latest))
    remember_button.click(remember_it, [wanted, form.latest], message, queue=False)
    forget_button.click(for_own_page(inspector.host, lambda: forgetting(inspector)), None, message, queue=False)


def rows(inspector: Inspector, prompt: str, negative: str | None, layers: str | None) -> list[Row]:
    """The row that compares the layers. Raises PseudowordError."""
    return [layers_strip(inspector, prompt, negative or "", layers or "")]


def remembering(inspector: Inspector, layers: str | None, latest: str | None) -> str:
    """Remember a layer; returns what to tell."""
    compared = None
    if latest is not None:
        try:
            compared = inspector.strips.job(latest).watch()
        except SettingsError:  # forgotten, after many others
            compared = None
    try:
        return says(remember(inspector.host, layers or "", compared), "good")
    except PseudowordError as problem:
        return says(str(problem), "warning")


def forgetting(inspector: Inspector) -> str:
    """Forget the layer; returns what to tell."""
    try:
        return says(forget(inspector.host), "good")
    except PseudowordError as problem:
        return says(str(problem), "warning")


def inside_html(inspector: Inspector, prompt: str | None) -> str:
    """The heat map of each text encoder in both themes, of which the page's shows, and the ways to take it along."""
    try:
        check_inside(inspector, prompt or "")
        loaded = loaded_encoders(inspector)
    except PseudowordError as problem:
        return says(str(problem), "warning")
    version = f"{zlib.crc32(loaded.identity.encode()):08x}"  # of another model the browser asks anew
    figures = "".join(encoder_html(prompt or "", encoder.name, version) for encoder in loaded.encoders)
    return f'<div class="pseudoword-plots pseudoword-inside">{figures}</div>'


def encoder_html(prompt: str, encoder: str, version: str) -> str:
    """The heat map of one text encoder."""

    def address(kind: str, **more: str) -> str:
        query = {"text": prompt, "encoder": encoder, "v": version, **more}
        return escape(f"{LAYERS}/prompt.{kind}?{urlencode(query, errors='replace')}")

    shown, links = [], []
    for theme in ("light", "dark"):
        picture, name = address("png", theme=theme), f"layers-{encoder}"
        alternative = f"The tokens of the prompt in the layers of {encoder}"
        kind = f"pseudoword-in-{theme}"
        shown.append(f'<img class="pseudoword-plot {kind}" loading="lazy" alt="{alternative}" src="{picture}">')
        links.append(f'<a class="pseudoword-link {kind}" href="{picture}" download="{name}.png">PNG</a>')
    links.append(f'<a class="pseudoword-link" href="{address("csv")}" download="layers-{encoder}.csv">CSV</a>')
    return f'<figure>{"".join(shown)}<p class="pseudoword-small">{" ".join(links)}</p></figure>'
