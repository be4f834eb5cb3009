"""The studio's panel that makes pictures with the words that were learned."""

from __future__ import annotations

import secrets
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ..diffusion import Sampling
from ..errors import PseudowordError, SettingsError
from ..jobs.host import Host
from ..jobs.remembered_layers import layers_for
from ..jobs.shown_paths import for_page
from ..jobs.words import trained_words, words_said
from ..text import encode_negative, encode_prompts
from . import gradio_versions

MOST_PICTURES = 8
HIGHEST_SEED = 2**32 - 1


def build(host: Host) -> None:
    """Put the panel where Gradio builds now."""
    with gr.Row(elem_classes="pseudoword-panel"):
        with gr.Column(scale=1, min_width=320):
            prompt = gr.Textbox(label="Prompt", value="", placeholder="a photo of my-cat", elem_id="pseudoword_prompt")
            words = gr.Markdown(lambda: known_words(host.runs), elem_id="pseudoword_words")
            count = gr.Slider(1, MOST_PICTURES, value=4, step=1, label="Pictures")
            with gr.Accordion("More", open=False):
                negative = gr.Textbox(label="Negative prompt", value="", max_lines=1)
                seed = gr.Number(value=-1, precision=0, label="Seed", info="-1: another one each time")
                steps = gr.Slider(1, 100, value=20, step=1, label="Steps")
                guidance = gr.Slider(
                    1, 15, value=5, step=0.5, label="Guidance", info="How strictly the prompt is followed"
                )
            button = gr.Button("Generate", variant="primary", elem_id="pseudoword_generate")
            said = gr.Markdown(elem_id="pseudoword_generated")
        with gr.Column(scale=1, min_width=320):
            pictures = gradio_versions.gallery("Pictures", "pseudoword_gallery", columns=2)
    # Words come while the page is open: those there are now stand there before one is written.
    prompt.focus(lambda: known_words(host.runs), None, words, queue=False, show_progress="hidden")
    inputs = [prompt, negative, count, seed, steps, guidance]
    for event in (button.click, prompt.submit):
        event(lambda *values: generated(host, *values), inputs, [pictures, said, words])


def generated(
    host: Host, prompt: str, negative: str, count: float, seed: float | None, steps: float, guidance: float
) -> tuple[Any, str, str]:
    """The pictures, what to tell of them, and the words there are now."""
    try:
        pictures, told = make(host, prompt, negative, int(count), seed, int(steps), guidance)
    except PseudowordError as problem:
        return gr.update(), escape(for_page(host, str(problem))), known_words(host.runs)
    return pictures, told, known_words(host.runs)


def make(
    host: Host, prompt: str, negative: str, count: int, seed: float | None, steps: int, guidance: float
) -> tuple[list[Image.Image], str]:
    """`count` pictures and a line that says how they were made. Raises SettingsError and EmbeddingFileError."""
    if not prompt.strip():
        raise SettingsError("The prompt is empty; say what the pictures are to show.")
    chosen = -1 if seed is None else int(seed)
    first = chosen if 0 <= chosen <= HIGHEST_SEED else secrets.randbelow(HIGHEST_SEED)
    with host.turns:
        model = host.model()
        said = words_said([prompt, negative], trained_words(host.runs), model.text_encoders[0].tokenizer)
        embeddings = [word.load() for word in said]
        vectors = {word.name: found.vectors for word, found in zip(said, embeddings, strict=True)}
        layers = layers_for(host.checkpoint_layers, model, embeddings)
        told = encode_prompts(model, [prompt], vectors, layers)
        against = encode_negative(model, negative, vectors, layers)
        sampling = Sampling(model.native_size, model.native_size, steps, guidance)
        pictures = model.generate(told, against, sampling, range(first, first + count))
    used = ", ".join(word.name for word in said) or "none"
    seeds = f"Seeds {first} to {first + count - 1}"
    return pictures, escape(f"{seeds}. CLIP skip: {layers.text}. Trained words in the prompt: {used}.")


def known_words(runs: Path) -> str:
    """A line that names the words there are."""
    names = [f"`{word.name}`" for word in trained_words(runs)]
    return "Trained words: " + ", ".join(names) if names else "No word has been trained yet."
