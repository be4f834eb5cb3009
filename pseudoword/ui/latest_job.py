"""The job that a form shows: the latest that was asked for there, which a new one takes the place of."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, Protocol, TypeVar

import gradio as gr

from ..errors import PseudowordError, SettingsError
from .messages import says


class Job(Protocol):
    """What a form needs to know of a job."""

    id: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        ...

    def cancel(self) -> None:
        """End soon."""


AnyJob = TypeVar("AnyJob", bound=Job)


def begun(
    begin: Callable[[], AnyJob], latest: str | None, show: Callable[[AnyJob], str]
) -> tuple[str, Any, str | None]:
    """What to tell of the job that `begin` starts, what shows it, and its id; of the `latest` where none begins."""
    try:
        job = begin()
    except PseudowordError as problem:
        return says(str(problem), "warning"), gr.update(), latest
    return "", show(job), job.id


def place_of(job: Job, kind: str) -> str:
    """The place that the page's script fills with a job of that kind."""
    return f'<div class="pseudoword-{kind}" data-{kind}="{escape(job.id)}"></div>'


def cancel(find: Callable[[str], Job], latest: str | None) -> bool:
    """Cancel the job that `find` knows as `latest`; whether there was something to cancel."""
    try:
        job = None if latest is None else find(latest)
    except SettingsError:  # forgotten, so long ended
        job = None
    if job is None or job.has_ended:
        return False
    job.cancel()
    return True


def cancelled(find: Callable[[str], Job], latest: str | None, nothing: str) -> str:
    """Cancel it; returns what to tell, which is `nothing` where there was nothing to cancel."""
    return "" if cancel(find, latest) else says(nothing, "warning")
