"""The studio's panel that makes pictures with the words that were learned."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ..diffusion import Sampling
from ..errors import ModelError, PseudowordError, SettingsError
from ..jobs.host import Host
from ..jobs.layers.layers_of_prompts import layers_for, layers_of_prompts
from ..jobs.library.words import trained_words, words_said
from ..jobs.picture_portions import OnStep, portions
from ..jobs.server.shown_paths import for_page
from ..jobs.slices import Interrupted
from ..text import encode_negative, encode_prompts
from ..text.layer_choice import without_tags
from . import gradio_versions

MOST_PICTURES = 8
HIGHEST_SEED = 2**32 - 1
PROGRESS = gr.Progress()  # which Gradio knows by this default


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
            with gr.Row():
                button = gr.Button("Generate", variant="primary", elem_id="pseudoword_generate")
                cancel = gr.Button("Cancel", min_width=90, interactive=False, elem_id="pseudoword_generate_cancel")
            said = gr.Markdown(elem_id="pseudoword_generated")
        with gr.Column(scale=1, min_width=320):
            pictures = gradio_versions.gallery("Pictures", "pseudoword_gallery", columns=2)
    # Words come while the page is open: those there are now stand there before one is written.
    prompt.focus(lambda: known_words(host.runs), None, words, queue=False, show_progress="hidden")
    inputs = [prompt, negative, count, seed, steps, guidance]
    wanted = Wanted()

    def generate(request: gr.Request, progress: gr.Progress = PROGRESS, *values: Any) -> tuple[Any, str, str]:
        def on_step(done: int, total: int) -> None:
            wanted.go_on(request.session_hash)
            progress((done, total), desc="Making pictures", unit="steps")

        progress(0, desc="Waiting for the model")
        with wanted.by(request.session_hash):
            return generated(host, *values, on_step=on_step)

    def end(request: gr.Request) -> None:
        wanted.end(request.session_hash)

    asked = [button.click, prompt.submit]
    gr.on(asked, lambda: gr.update(interactive=True), None, cancel, queue=False, show_progress="hidden")
    ended = gr.on(asked, generate, inputs, [pictures, said, words], show_progress_on=pictures)
    ended.then(lambda: gr.update(interactive=False), None, cancel, queue=False, show_progress="hidden")
    cancel.click(end, None, None, queue=False)


class Wanted:
    """Whose pictures are still wanted, by the session of the page that asked for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str | None, bool] = {}

    @contextmanager
    def by(self, session: str | None) -> Iterator[None]:
        """Inside, they are wanted until somebody calls `end`."""
        with self._lock:
            self._sessions[session] = True
        try:
            yield
        finally:
            with self._lock:
                self._sessions.pop(session, None)

    def end(self, session: str | None) -> None:
        """They are wanted no longer."""
        with self._lock:
            if session in self._sessions:
                self._sessions[session] = False

    def go_on(self, session: str | None) -> None:
        """Raise Interrupted where they are wanted no longer."""
        with self._lock:
            is_wanted = self._sessions.get(session, True)
        if not is_wanted:
            raise Interrupted


def generated(
    host: Host,
    prompt: str,
    negative: str,
    count: float,
    seed: float | None,
    steps: float,
    guidance: float,
    *,
    on_step: OnStep = lambda done, total: None,
) -> tuple[Any, str, str]:
    """The pictures, what to tell of them, and the words there are now; `on_step` may raise Interrupted."""
    try:
        pictures, told = make(host, prompt, negative, int(count), seed, int(steps), guidance, on_step)
    except PseudowordError as problem:
        return gr.update(), escape(for_page(host, str(problem))), known_words(host.runs)
    return pictures, told, known_words(host.runs)


def make(
    host: Host,
    prompt: str,
    negative: str,
    count: int,
    seed: float | None,
    steps: int,
    guidance: float,
    on_step: OnStep,
) -> tuple[list[Image.Image], str]:
    """`count` pictures, or those before `on_step` raised Interrupted, and a line that says how they were made.

    Raises SettingsError, EmbeddingFileError and ModelError.
    """
    if not prompt.strip():
        raise SettingsError("The prompt is empty; say what the pictures are to show.")
    chosen = -1 if seed is None else int(seed)
    first = chosen if 0 <= chosen <= HIGHEST_SEED else secrets.randbelow(HIGHEST_SEED)
    with host.turns:
        model = host.model()
        read, read_negative = without_tags(prompt), without_tags(negative)
        said = words_said([read, read_negative], trained_words(host.runs), model.text_encoders[0].tokenizer)
        embeddings = [word.load() for word in said]
        vectors = {word.name: found.vectors for word, found in zip(said, embeddings, strict=True)}
        otherwise = layers_for(host.checkpoint_layers, model, embeddings)
        layers = layers_of_prompts(prompt, negative, otherwise, model)
        told = encode_prompts(model, [read], vectors, layers.prompt)
        against = encode_negative(model, read_negative, vectors, layers.negative)
        sampling = Sampling(model.native_size, model.native_size, steps, guidance)
        seeds, pictures = range(first, first + count), list[Image.Image]()
        with suppress(Interrupted):
            for some in portions(model, told, against, sampling, seeds, on_step, too_little_memory):
                pictures += some
    if len(pictures) < count:
        return pictures, f"Cancelled; {len(pictures)} of {count} pictures were made."
    used = ", ".join(word.name for word in said) or "none"
    told_seeds = f"Seeds {first} to {first + count - 1}"
    notes = "".join(f" {note}" for note in layers.notes)
    return pictures, escape(f"{told_seeds}. CLIP skip: {layers.text}. Trained words in the prompt: {used}.{notes}")


def too_little_memory() -> ModelError:
    """The error that not even one picture can be made."""
    return ModelError("There is too little memory for a picture; end what else uses the memory.")


def known_words(runs: Path) -> str:
    """A line that names the words there are."""
    names = [f"`{word.name}`" for word in trained_words(runs)]
    return "Trained words: " + ", ".join(names) if names else "No word has been trained yet."
