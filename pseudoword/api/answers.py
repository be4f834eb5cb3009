"""What all routes do alike when they answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from fastapi import HTTPException, Request

from ..errors import (
    IndexUnreadable,
    JobError,
    LimitReached,
    MissingExtra,
    NoSuchJob,
    NotYours,
    PseudowordError,
    SettingsError,
    TrainingError,
)
from ..inspect.canvas import ThemeName
from ..jobs.host import Host
from ..jobs.server.people import check_same_site
from ..jobs.server.shown_paths import hiding_folders as hiding_folders
from ..jobs.server.shown_paths import shortened
from ..jobs.server.shown_paths import without_folders as without_folders  # which most routes take from here

STATUS: Mapping[type[PseudowordError], int] = {
    TrainingError: 409,
    JobError: 409,
    NoSuchJob: 404,
    NotYours: 403,
    LimitReached: 429,
    MissingExtra: 501,
    IndexUnreadable: 503,  # a page asks again
}  # of others: 422

READING = ("GET", "HEAD", "OPTIONS")

AnyJob = TypeVar("AnyJob")

drawing = threading.Lock()  # matplotlib's caches of fonts are not made for several threads


@contextmanager
def telling(host: Host) -> Iterator[None]:
    """Turn an error that is meant for the user into an answer with its message."""
    try:
        yield
    except PseudowordError as problem:
        status = STATUS.get(type(problem), 422)
        raise HTTPException(status, shortened(without_folders(host, str(problem)))) from problem


def job_called(find: Callable[[str], AnyJob], id: str) -> AnyJob:
    """What `find` knows as `id`; 404 where there is none, or none any more."""
    try:
        return find(id)
    except SettingsError as problem:
        raise HTTPException(404, str(problem)) from problem


def shade_of(theme: str) -> ThemeName:
    """The theme of a plot as a request names it: "dark", and light for everything else."""
    return "dark" if theme == "dark" else "light"


def refuse_other_sites(request: Request) -> None:
    """Raise HTTPException for what a page of another site sends from somebody's browser."""
    try:
        check_same_site(request)
    except NotYours as problem:
        raise HTTPException(403, str(problem)) from problem
    if request.method not in READING and is_from_elsewhere(request.headers):
        raise HTTPException(403, "Pages of other sites may not ask for this; use the page of this server.")


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a page of another site asks; older browsers say nothing of it."""
    return headers.get("sec-fetch-site", "") in ("cross-site", "same-site")
