"""Below the form that trains: a check of its pictures, and which of them are left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ..decoding import SUFFIXES
from ..errors import PseudowordError, SettingsError
from ..jobs.set_check.set_check_job import SetCheckJob
from ..jobs.set_check.set_check_request import CheckRequest
from ..jobs.set_check.set_checks import left_out
from ..jobs.training.trainings import Trainings
from . import gradio_versions, latest_job
from .messages import says
from .own_page import for_own_page
from .setting_fields import settings_of

ANY_NAME = "new-word"  # what a check is made for needs no name yet
MOST_NAMED = 5


def build(trainings: Trainings, files: Any, folder: Any, gallery: Any, expert: Sequence[Any]) -> tuple[Any, Any]:
    """Put its buttons where Gradio builds now.

    `files` and `folder` hold the pictures, `gallery` shows those that were uploaded, `expert` are the settings.
    Returns the state with the paths that are left out, and what shows the findings, to be rendered where there is room.
    """
    with gr.Row():
        check = gr.Button("Check pictures", min_width=140, elem_id="pseudoword_check")
        cancel = gr.Button(
            "Cancel check", min_width=110, elem_id="pseudoword_check_cancel", elem_classes="pseudoword-idle"
        )
    message = gr.HTML(elem_id="pseudoword_check_message")
    place = gr.HTML(elem_id="pseudoword_check_place", render=False)
    # Filled by the page's script with the numbers of the pictures to leave out, and emptied again.
    order: Any = gr.Textbox("", label="Leave out", elem_id="pseudoword_check_order", elem_classes="pseudoword-hidden")
    order.do_not_save_to_config = True
    latest, without = gr.State(None), gr.State([])
    check.click(
        for_own_page(trainings.host, lambda *values: started(trainings, *values)),
        [latest, files, folder, *expert],
        [message, place, latest, without],
        queue=False,
    )
    cancel.click(lambda id: cancelled(trainings, id), latest, message, queue=False)
    order.change(
        lambda *values: ordered(trainings, *values),
        [order, latest, files],
        [order, message, place, without, gallery],
        queue=False,
    )
    for given in (files, folder):
        given.change(lambda id: forgotten(trainings, id), latest, [message, place, latest, without], queue=False)
    return without, place


def started(trainings: Trainings, latest: str | None, files: Any, folder: str, *expert: Any) -> tuple[Any, ...]:
    """Check the pictures; returns what to tell, what shows it, the id of the check, and that nothing is left out."""

    def begin() -> SetCheckJob:
        uploaded = gradio_versions.uploaded_paths(files)
        if uploaded and folder.strip():
            raise SettingsError("There are pictures and a folder; give one of the two.")
        if not uploaded and not folder.strip():
            raise SettingsError("There are no pictures yet; drop some, or name a folder.")
        settings = settings_of(ANY_NAME, "auto", expert, trainings.host.templates())
        latest_job.cancel(trainings.checks.job, latest)  # nobody would see what becomes of it
        given = tuple(uploaded) or (Path(folder.strip()),)
        return trainings.checks.start(CheckRequest(given, settings, bool(uploaded)))

    said, place, id = latest_job.begun(begin, latest, lambda job: shown(job, ()))
    return said, place, id, gr.update() if said else []


def shown(job: SetCheckJob, numbers: Sequence[int]) -> str:
    """The place that the page's script fills with `job`, where the pictures with those `numbers` are left out."""
    left = escape(json.dumps(list(numbers)))
    return f'<div class="pseudoword-set-check" data-check="{escape(job.id)}" data-left-out="{left}"></div>'


def ordered(trainings: Trainings, order: str, latest: str | None, files: Any) -> tuple[Any, ...]:
    """Leave out what `order` says, a JSON list of numbers, and nothing else.

    Returns the emptied order, what to tell, what shows it, the paths that are left out, and the pictures that are left.
    """
    if not order:  # it was emptied
        return tuple(gr.update() for _ in range(5))
    try:
        numbers = numbers_in(order)
        job = trainings.checks.job(latest or "")
        paths = left_out(job, numbers)
    except PseudowordError as problem:
        return "", says(str(problem), "warning"), gr.update(), gr.update(), gr.update()
    left = [path for path in gradio_versions.uploaded_paths(files) if path not in paths]
    pictures = [str(path) for path in left if path.suffix.lower() in SUFFIXES]
    gallery = gr.update(value=pictures, visible=bool(pictures)) if job.request.uploaded else gr.update()
    return "", told(sorted(path.name for path in paths)), shown(job, numbers), sorted(map(str, paths)), gallery


def numbers_in(order: str) -> list[int]:
    """The numbers in a JSON list. Raises SettingsError for anything else."""
    try:
        found = json.loads(order)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(type(number) is int for number in found):
        raise SettingsError("Which pictures are to be left out could not be read; reload the page.")
    return sorted(set(found))


def told(names: Sequence[str]) -> str:
    """What is left out, in a line of HTML."""
    if not names:
        return says("No picture is left out.", "good")
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    verb = "is" if len(names) == 1 else "are"
    return says(f"{', '.join(names[:MOST_NAMED])}{more} {verb} left out of the training; the files stay.", "good")


def cancelled(trainings: Trainings, latest: str | None) -> str:
    """Cancel the check; returns what to tell."""
    return latest_job.cancelled(trainings.checks.job, latest, "No pictures are being checked.")


def forgotten(trainings: Trainings, latest: str | None) -> tuple[Any, ...]:
    """What is shown after other pictures were given: nothing of the last check."""
    if latest is None:
        return tuple(gr.update() for _ in range(4))
    latest_job.cancel(trainings.checks.job, latest)
    return "", "", None, []
