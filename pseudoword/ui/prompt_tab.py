"""The tab that shows what the text encoder gets of a prompt."""

from __future__ import annotations

import gradio as gr

from ..diffusion import Tokenizer
from ..errors import PseudowordError
from ..inspect.prompt_view import view_prompt
from ..jobs.library.combining import clip_tokenizer
from ..jobs.library.inspector import Inspector
from . import gradio_versions
from .messages import says
from .prompt_html import prompt_html

ABOUT = "What the model gets of a prompt: its tokens, where embeddings stand, and where a chunk of 75 places is full."


def build(inspector: Inspector) -> None:
    """Put the tab where Gradio builds now; it looks at all embeddings of the library."""
    gr.Markdown(ABOUT)
    prompt = gr.Textbox(
        label="Prompt",
        value="",
        lines=3,
        max_lines=12,
        placeholder="a photo of my-cat, (oil painting:1.2)",
        elem_id="pseudoword_viewed_prompt",
    )
    attention = gr.Checkbox(
        value=True,
        label="Read brackets as the WebUI does",
        info="(word:1.2), [word] and BREAK; otherwise they are text, as in the studio's Generate and the command line",
        elem_id="pseudoword_attention",
    )
    view = gr.HTML(elem_id="pseudoword_prompt_view")
    gradio_versions.on_typing(
        [prompt, attention], lambda *given: prompt_says(inspector, *given), [prompt, attention], view
    )


def prompt_says(inspector: Inspector, prompt: str | None, attention: bool) -> str:
    """What is shown of `prompt`, in HTML; nothing for an empty one."""
    if not prompt:
        return ""
    try:
        tokenizers = tokenizers_of(inspector)
        tokenizer, (fitting, others) = tokenizers[0][1], counts_by_fit(inspector)
        view = view_prompt(prompt, tokenizer, fitting, attention=bool(attention))
        unread = view_prompt(prompt, tokenizer, others, attention=bool(attention)).words if others else ()
    except PseudowordError as problem:
        return says(str(problem), "warning")
    padding = {name: padding_of(tokenizer) for name, tokenizer in tokenizers}
    return prompt_html(view, padding, list(dict.fromkeys(word.name for word in unread)))


def counts_by_fit(inspector: Inspector) -> tuple[dict[str, int], dict[str, int]]:
    """How many vectors the words have that fit the loaded model, all of them without one; and those that do not fit."""
    shape = inspector.shape()
    fitting: dict[str, int] = {}
    others: dict[str, int] = {}
    for name, row in inspector.words().rows.items():
        counts = fitting if shape is None or row.fits(shape) else others
        counts[name] = row.vector_count or 1
    return fitting, others


def tokenizers_of(inspector: Inspector) -> list[tuple[str, Tokenizer]]:
    """The text encoders of the loaded model with their tokenizers; CLIP's own without a model. Raises MissingExtra."""
    loaded = inspector.host.encoders()
    if loaded is None:
        return [("clip_l", clip_tokenizer())]
    return [(encoder.name, encoder.tokenizer) for encoder in loaded.encoders]


def padding_of(tokenizer: Tokenizer) -> str:
    """The token that chunks are filled up with, and its id."""
    return f"{tokenizer.token_text(tokenizer.pad_id).removesuffix('</w>')} ({tokenizer.pad_id})"
