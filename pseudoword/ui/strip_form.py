"""What the forms that ask for a strip of pictures have in common: seeds, steps, the buttons, and where it is shown."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..errors import SettingsError
from ..inspect.layers import TEMPLATE
from ..inspect.strips import Row
from ..jobs.library.inspector import Inspector
from ..jobs.server.people import ALONE, Person
from ..jobs.strips.strip_job import StripJob
from ..jobs.strips.strips import HIGHEST_SEED, MOST_SEEDS, MOST_STEPS
from . import latest_job
from .asking import asking
from .own_page import told


@dataclass(frozen=True)
class StripForm:
    """The fields of one form; `latest` holds the id of the strip that it shows, `template` may be a whole prompt."""

    template: Any
    seeds: Any
    first_seed: Any
    steps: Any
    guidance: Any
    show: Any
    cancel: Any
    message: Any
    place: Any
    latest: Any


def build_form(
    prefix: str,
    show_label: str,
    prompt: str = TEMPLATE,
    info: str = "{} stands for the word",
    seed_count: int = 2,
    further: Sequence[Any] = (),
) -> StripForm:
    """Put the fields where Gradio builds now; their ids begin with `pseudoword_` and `prefix`.

    `prompt` and `seed_count` are what they show at first, `info` says what a prompt is here. The fields `further` were
    made without being rendered, and stand below the prompt.
    """
    id = f"pseudoword_{prefix}"
    with gr.Row():
        template = gr.Textbox(
            label="Prompt",
            value=prompt,
            info=info,
            max_lines=1,
            scale=2,
            min_width=200,
            elem_id=f"{id}_template",
        )
        seeds = gr.Slider(
            1,
            MOST_SEEDS,
            value=seed_count,
            step=1,
            label="Seeds",
            info="Pictures of each prompt; more tell chance apart",
            min_width=160,
            elem_id=f"{id}_seeds",
        )
    if further:
        with gr.Row():
            for one in further:
                one.render()
    with gr.Accordion("More", open=False), gr.Row():
        first_seed = gr.Number(
            value=0,
            precision=0,
            label="First seed",
            info="-1: another one each time",
            min_width=120,
            elem_id=f"{id}_first_seed",
        )
        steps = gr.Slider(1, MOST_STEPS, value=20, step=1, label="Steps", min_width=160, elem_id=f"{id}_steps")
        guidance = gr.Slider(
            1,
            15,
            value=5,
            step=0.5,
            label="Guidance",
            info="How strictly the prompt is followed",
            min_width=160,
            elem_id=f"{id}_guidance",
        )
    with gr.Row():
        show = gr.Button(show_label, variant="primary", elem_id=f"{id}_show")
        cancel = gr.Button("Cancel", min_width=90, elem_id=f"{id}_cancel", elem_classes="pseudoword-idle")
    fields: list[Any] = [template, seeds, first_seed, steps, guidance]
    for field in fields:
        # The WebUI keeps what fields show at first by their labels, and all forms have the same ones.
        field.do_not_save_to_config = True
    message = gr.HTML(elem_id=f"{id}_message")
    place = gr.HTML(elem_id=f"{id}_strip")
    return StripForm(template, seeds, first_seed, steps, guidance, show, cancel, message, place, gr.State(None))


def connect(
    form: StripForm, inspector: Inspector, rows_of: Callable[..., Sequence[Row]], inputs: Sequence[Any]
) -> None:
    """Let the buttons do their work: `rows_of` makes the rows of what is in the template and in `inputs`."""

    def start(
        person: Person, latest: str | None, seeds: Any, first: Any, steps: Any, guidance: Any, *given: Any
    ) -> Any:
        found = started(inspector, lambda: rows_of(*given), latest, seeds, first, steps, guidance, person)
        return told(inspector.host, found)

    fields = [form.seeds, form.first_seed, form.steps, form.guidance, form.template, *inputs]
    begin = asking(inspector.host.people, start)
    form.show.click(begin, [form.latest, *fields], [form.message, form.place, form.latest], queue=False)
    form.cancel.click(lambda latest: cancelled(inspector, latest), form.latest, form.message, queue=False)


def started(
    inspector: Inspector,
    rows: Callable[[], Sequence[Row]],
    latest: str | None,
    seeds: float | None,
    first: float | None,
    steps: float | None,
    guidance: float | None,
    person: Person = ALONE,
) -> tuple[str, Any, str | None]:
    """Start a strip of `person` in the place of the `latest`; returns what to tell, what shows it, and its id."""

    def begin() -> StripJob:
        if seeds is None or steps is None or guidance is None:
            raise SettingsError("Say how many seeds and steps, and how much guidance.")
        latest_job.cancel(inspector.strips.job, latest)  # nobody would see what becomes of it
        return inspector.strips.start(rows(), seeds_from(first, int(seeds)), int(steps), float(guidance), person)

    return latest_job.begun(begin, latest, lambda job: latest_job.place_of(job, "strip"))


def seeds_from(first: float | None, count: int) -> list[int]:
    """So many seeds from `first` on, or from another one each time where that is empty or negative."""
    start = secrets.randbelow(HIGHEST_SEED - MOST_SEEDS) if first is None or first < 0 else int(first)
    return list(range(start, start + count))


def cancelled(inspector: Inspector, latest: str | None) -> str:
    """Cancel the strip that is shown; returns what to tell."""
    return latest_job.cancelled(inspector.strips.job, latest, "No pictures are being made.")
