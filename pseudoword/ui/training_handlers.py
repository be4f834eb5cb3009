"""What the training panel does when something in it is pressed, chosen or typed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import gradio as gr

from ..decoding import SUFFIXES
from ..errors import PseudowordError, SettingsError
from ..jobs.job_view import cloned_settings
from ..jobs.server.people import ALONE, Person
from ..jobs.server.shown_paths import for_page
from ..jobs.training.saved_settings import forget_settings, save_settings, saved_settings
from ..jobs.training.training_job import TrainingJob
from ..jobs.training.trainings import Trainings
from ..training.settings import FILE_PREFIX
from . import gradio_versions
from .messages import says
from .presets import PRESETS
from .setting_fields import settings_of, shown

NEW_WORD = "a new one"  # the choice beside the embeddings that can be gone on from


def started(
    trainings: Trainings,
    files: Any,
    folder: str,
    name: str,
    start: str,
    continued_word: str,
    *expert: Any,
    person: Person = ALONE,
    left_out: Collection[str] = (),
) -> str:
    """Start a training for `person` on the pictures that are not `left_out`; returns what to tell."""

    def begin() -> TrainingJob:
        uploaded = gradio_versions.uploaded_paths(files)
        if uploaded and folder.strip():
            raise SettingsError("There are pictures and a folder; give one of the two.")
        if not uploaded and not folder.strip():
            raise SettingsError("There are no pictures yet; drop 3 to 10 of what the word is to mean.")
        begins = start_of(trainings, start, continued_word)
        settings = settings_of(name, begins, expert, trainings.host.templates())
        given, without = uploaded or [Path(folder.strip())], {Path(path) for path in left_out}
        return trainings.start(settings, given, bool(uploaded), person, without)

    return told(trainings, begin)


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


def cloned(trainings: Trainings, id: str, person: Person = ALONE) -> list[Any]:
    """What start, continued word and expert fields show of a job's settings, for a new word, and what to tell."""
    templates, words = trainings.host.templates(), trainings.host.words()
    try:
        title, settings = cloned_settings(trainings.board, person, id)
    except PseudowordError as problem:
        nothing = [gr.update() for _ in shown({}, templates)]
        return [gr.update(), gr.update(), *nothing, says(str(problem), "warning") if id else gr.update()]
    start = settings.get("start", "auto")
    of_word = {f"{FILE_PREFIX}{path}": name for name, path in words.items()}.get(start)
    told = says(f"These are the settings of {title}; give the new word a name and pictures.", "good")
    expert = shown(settings, templates)
    return ["auto" if of_word else start, of_word or NEW_WORD, *expert, told]


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


def continued(trainings: Trainings, chosen: str | None, person: Person = ALONE) -> str:
    """Go on with an interrupted run; returns what to tell."""

    def begin() -> TrainingJob:
        if not chosen:
            raise SettingsError("Choose a run first.")
        return trainings.go_on(chosen, person)

    return told(trainings, begin)


def removed(trainings: Trainings, chosen: str | None, person: Person = ALONE) -> tuple[Any, str]:
    """Remove an earlier run; returns the choices there are now, and what to tell."""
    try:
        if not chosen:
            raise SettingsError("Choose a run first.")
        trainings.remove(chosen, person)
    except PseudowordError as problem:
        return gr.update(choices=trainings.earlier(person)), says(for_page(trainings.host, str(problem)), "warning")
    return gr.update(choices=trainings.earlier(person), value=None), says(f"The run {chosen} is removed.", "good")


def told(trainings: Trainings, begin: Callable[[], TrainingJob]) -> str:
    """What to tell of a training that `begin` starts, or of why it cannot."""
    try:
        job = begin()
    except PseudowordError as problem:
        return says(for_page(trainings.host, str(problem)), "warning")
    if job.watch().state == "waiting":
        return says(f"{job.settings.name} waits for its turn; Jobs shows when that will be.", "good")
    return says(f"Learning {job.settings.name}.", "good")


def given(trainings: Trainings, order: str, person: Person = ALONE) -> str:
    """Give `order` to the training that `person` follows; returns what to tell."""
    job = trainings.followed_by(person)
    if job is None or job.has_ended:
        return says("No training is under way.", "warning")
    getattr(job, order)()
    return ""
