"""What the score panel does when something in it is pressed, dropped or chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..embedding.metadata import encodable
from ..errors import PseudowordError, SettingsError
from ..jobs.copied_files import told_apart
from ..jobs.scoring.score_job import ScoreJob
from ..jobs.scoring.score_request import MOST_PICTURES, NamedPicture, ScoreRequest
from ..jobs.scoring.scorings import Scorings
from ..jobs.server.people import ALONE, Person
from ..scoring.infotext import prompt_in
from ..scoring.prompt_text import sentence_of
from ..scoring.score_panel import DEFAULT_MODEL
from ..scoring.zero_shot import TEMPLATES
from . import gradio_versions, latest_job
from .messages import says
from .picture_tiles import tiles

TEXTS, CLASSES = "Texts", "Classes"
TEMPLATE_CHOICES = {"plain": "a photo of a {}", "openai": "OpenAI's seven", "own": "your own"}
LONG_CHOICES = {"cut": "cut off", "mean": "mean of its parts"}
MOST_SHOWN = 40  # pictures of the tray, which the browser gets in full size
MOST_PROMPTS = 200  # files that are opened for their prompts while somebody waits


def dropped(tray: Sequence[str], files: Any) -> tuple[Any, Any, Any, Any]:
    """Put dropped files into the tray; returns it, its pictures, what says how many, and the emptied field."""
    paths = [str(path) for path in gradio_versions.uploaded_paths(files)]
    if not paths:  # the field was emptied
        return gr.update(), gr.update(), gr.update(), gr.update()
    kept = [*tray, *paths][:MOST_PICTURES]
    return kept, shown(kept), tray_says(kept), None


def emptied() -> tuple[list[str], Any, str]:
    """An empty tray, its pictures, and what says how many."""
    return [], shown([]), tray_says([])


def shown(tray: Sequence[str]) -> Any:
    """The tray's pictures."""
    return gr.update(value=tiles(tray[:MOST_SHOWN]), visible=bool(tray))


def tray_says(tray: Sequence[str]) -> str:
    """How many pictures are in the tray."""
    if not tray:
        return ""
    more = f", of which {MOST_SHOWN} are shown" if len(tray) > MOST_SHOWN else ""
    count = "1 picture" if len(tray) == 1 else f"{len(tray)} pictures"
    return f'<p class="pseudoword-small">{count}{more}</p>'


def own_prompts(tray: Sequence[str], texts: str | None) -> tuple[Any, str]:
    """The prompts in the tray's files, a line each in the order of the pictures, and what to tell."""
    if not tray:
        return gr.update(), says("There are no pictures yet whose prompts could be read.", "warning")
    if len(tray) > MOST_PROMPTS:
        return gr.update(), says(f"The prompts of at most {MOST_PROMPTS} pictures are read.", "warning")
    sentences = []
    for path in tray:
        try:
            sentences.append(sentence_of(prompt_in(Path(path).read_bytes())))
        except (OSError, PseudowordError):
            sentences.append("")
    found = [sentence.replace("\n", " ") for sentence in sentences if sentence]
    if not found:
        return gr.update(), says("None of the pictures holds a prompt.", "warning")
    if len(found) < len(tray):
        missing = len(tray) - len(found)
        return "\n".join(found), says(f"{missing} of {len(tray)} pictures hold no prompt.", "warning")
    return "\n".join(found), says("Each picture's own prompt stands on the line of its number.", "good")


def lines_of(text: str | None) -> tuple[str, ...]:
    """The lines of a field that are not empty."""
    return tuple(line for one in encodable(text or "").splitlines() if (line := one.strip()))


def started(
    scorings: Scorings,
    latest: str | None,
    tray: Sequence[str],
    folder: str | None,
    addresses: str | None,
    way: str | None,
    texts: str | None,
    templates: str | None,
    own_templates: str | None,
    long: str | None,
    model: str | None,
    head: str | None,
    person: Person = ALONE,
) -> tuple[str, Any, str | None]:
    """Score for `person`, in the place of the `latest`; returns what to tell, what shows it, and its id."""

    def begin() -> ScoreJob:
        request = ScoreRequest(
            pictures_in(tray),
            path_in(folder),
            lines_of(addresses),
            lines_of(texts),
            templates_of(templates, own_templates) if way == CLASSES else (),
            "mean" if long == LONG_CHOICES["mean"] else "cut",
            "" if model in (None, DEFAULT_MODEL) else str(model),
            path_in(head),
        )
        latest_job.cancel(scorings.job, latest)  # nobody would see what becomes of it
        return scorings.start(request, person=person)

    return latest_job.begun(begin, latest, lambda job: latest_job.place_of(job, "scores"))


def pictures_in(tray: Sequence[str]) -> tuple[NamedPicture, ...]:
    """The pictures of the tray, other files of the same name told apart by numbers."""
    files = [Path(path) for path in dict.fromkeys(tray)]
    names = dict(zip(files, told_apart([encodable(path.name) for path in files]), strict=True))
    return tuple(NamedPicture(names[Path(path)], Path(path)) for path in tray)


def path_in(text: str | None) -> Path | None:
    """The path in a field, None where it is empty."""
    return Path(text.strip()) if text and text.strip() else None


def templates_of(chosen: str | None, own: str | None) -> tuple[str, ...]:
    """The sentences that classes are put into. Raises SettingsError."""
    if chosen == TEMPLATE_CHOICES["own"]:
        found = lines_of(own)
        if not found:
            raise SettingsError("There is no template; write one on each line, with {} where the class stands.")
        return found
    return TEMPLATES["openai" if chosen == TEMPLATE_CHOICES["openai"] else "plain"]


def cancelled(scorings: Scorings, latest: str | None) -> str:
    """Cancel what is shown; returns what to tell."""
    return latest_job.cancelled(scorings.job, latest, "No pictures are being scored.")


def models_offered(scorings: Scorings) -> list[str]:
    """The models that can score now, after the choice of the default."""
    try:
        return [DEFAULT_MODEL, *(model.name for model in scorings.host.clips.here() if model.is_usable)]
    except PseudowordError:  # without open_clip; scoring says so
        return [DEFAULT_MODEL]


def models_elsewhere(scorings: Scorings) -> list[str]:
    """The models that could be downloaded."""
    try:
        return [model.name for model in scorings.host.clips.elsewhere()]
    except PseudowordError:
        return []


def downloading(scorings: Scorings, name: str | None, person: Person = ALONE) -> str:
    """Begin to download a model for `person`; returns what to tell."""
    try:
        scorings.downloads.start(name or "", person)
    except PseudowordError as problem:
        return says(str(problem), "warning")
    return ""  # the list of models tells how it goes on


def cancelling_download(scorings: Scorings, person: Person = ALONE) -> str:
    """End the download that is under way; returns what to tell."""
    try:
        scorings.downloads.cancel(person)
    except PseudowordError as problem:
        return says(str(problem), "warning")
    return ""
