"""What the training panel does when something in it is pressed, chosen or typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from ..decoding import SUFFIXES
from ..errors import PseudowordError, SettingsError
from ..jobs.saved_settings import forget_settings, save_settings, saved_settings
from ..jobs.training_job import TrainingJob
from ..jobs.trainings import Trainings
from ..training.settings import FILE_PREFIX
from . import gradio_versions
from .messages import says
from .presets import PRESETS
from .setting_fields import settings_of, shown

NEW_WORD = "a new one"  # the choice beside the embeddings that can be gone on from


def started(
    trainings: Trainings, files: Any, folder: str, name: str, start: str, continued_word: str, *expert: Any
) -> str:
    """Start a training; returns what to tell."""

    def begin() -> TrainingJob:
        uploaded = gradio_versions.uploaded_paths(files)
        if uploaded and folder.strip():
            raise SettingsError("There are pictures and a folder; give one of the two.")
        if not uploaded and not folder.strip():
            raise SettingsError("There are no pictures yet; drop 3 to 10 of what the word is to mean.")
        begins = start_of(trainings, start, continued_word)
        settings = settings_of(name, begins, expert, trainings.host.templates())
        return trainings.start(settings, uploaded or [Path(folder.strip())], uploaded=bool(uploaded))

    return told(begin)


def start_of(trainings: Trainings, start: str, continued_word: str | None) -> str:
    """The setting `start`: the file of the embedding that was chosen, else what was written."""
    if continued_word in (None, "", NEW_WORD):
        return start
    words = trainings.host.words()
    if continued_word not in words:
        raise SettingsError(f"The embedding {continued_word!r} is gone; reload the page and choose another.")
    return f"{FILE_PREFIX}{words[continued_word]}"


def words_offered(trainings: Trainings) -> list[str]:
    """The embeddings that can be gone on from, by name, after the choice of a new word."""
    return [NEW_WORD, *trainings.host.words()]


def first_values(trainings: Trainings) -> list[Any]:
    """What the expert fields show at first."""
    first = trainings.host.first_preset()
    chosen = PRESETS.get(first) or saved_settings(trainings.host.runs).get(first, {})
    return shown({**trainings.host.defaults(), **chosen}, trainings.host.templates())


def preset_values(trainings: Trainings, preset: str) -> list[Any]:
    """What the expert fields show after `preset` was chosen."""
    return shown({**trainings.host.defaults(), **PRESETS[preset]}, trainings.host.templates())


def saved(trainings: Trainings, name: str | None, *expert: Any) -> tuple[Any, str]:
    """Save the expert fields as `name`, or forget what is called so where none are given; the choices, what to tell."""
    runs, name = trainings.host.runs, (name or "").strip()
    try:
        if expert:
            save_settings(runs, name, settings_of("new-word", "auto", expert, trainings.host.templates()))
        else:
            forget_settings(runs, name)
    except PseudowordError as problem:
        return gr.update(), says(str(problem), "warning")
    said = f"{name} is saved." if expert else f"{name} is forgotten."
    return gr.update(choices=list(saved_settings(runs)), value=name if expert else None), says(said, "good")


def recalled(trainings: Trainings, name: str | None) -> list[Any]:
    """What the expert fields show of the settings saved as `name`, and what to tell."""
    found = saved_settings(trainings.host.runs).get((name or "").strip())
    values = shown(found or {}, trainings.host.templates())
    if found is None:
        return [*(gr.update() for _ in values), says("Choose saved settings first.", "warning")]
    return [*values, says(f"These are the settings of {name}.", "good")]


def thumbnails(files: Any) -> Any:
    """The pictures that were uploaded."""
    pictures = [str(path) for path in gradio_versions.uploaded_paths(files) if path.suffix.lower() in SUFFIXES]
    return gr.update(value=pictures, visible=bool(pictures))


def name_says(trainings: Trainings, name: str) -> str:
    """Whether a word can be called so, in one line of HTML."""
    if not name.strip():
        return ""
    try:
        trainings.check_name(name.strip())
    except PseudowordError as problem:
        return says(str(problem), "warning")
    return says(f"{name.strip()} is free.", "good")


def continued(trainings: Trainings, chosen: str | None) -> str:
    """Go on with an interrupted run; returns what to tell."""

    def begin() -> TrainingJob:
        if not chosen:
            raise SettingsError("Choose a run first.")
        return trainings.go_on(chosen)

    return told(begin)


def removed(trainings: Trainings, chosen: str | None) -> tuple[Any, str]:
    """Remove an earlier run; returns the choices there are now, and what to tell."""
    try:
        if not chosen:
            raise SettingsError("Choose a run first.")
        trainings.remove(chosen)
    except PseudowordError as problem:
        return gr.update(choices=trainings.earlier()), says(str(problem), "warning")
    return gr.update(choices=trainings.earlier(), value=None), says(f"The run {chosen} is removed.", "good")


def told(begin: Callable[[], TrainingJob]) -> str:
    """What to tell of a training that `begin` starts, or of why it cannot."""
    try:
        job = begin()
    except PseudowordError as problem:
        return says(str(problem), "warning")
    return says(f"Learning {job.settings.name}.", "good")


def give(trainings: Trainings, order: str) -> Callable[[], str]:
    """A handler that gives `order` to the training under way."""

    def handler() -> str:
        job = trainings.latest
        if job is None or job.has_ended:
            return says("No training is under way.", "warning")
        getattr(job, order)()
        return ""

    return handler
