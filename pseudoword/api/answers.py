"""What all routes do alike when they answer."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from ..errors import MissingExtra, PseudowordError, TrainingError
from ..inspect.canvas import ThemeName
from ..jobs.host import Host

STATUS: Mapping[type[PseudowordError], int] = {TrainingError: 409, MissingExtra: 501}  # of others: 422

drawing = threading.Lock()  # matplotlib's caches of fonts are not made for several threads


@contextmanager
def telling(host: Host) -> Iterator[None]:
    """Turn an error that is meant for the user into an answer with its message."""
    try:
        yield
    except PseudowordError as problem:
        status = STATUS.get(type(problem), 422)
        raise HTTPException(status, without_folders(host, str(problem))) from problem


def without_folders(host: Host, text: str) -> str:
    """`text` with the paths of runs and embeddings as they are called in their folder, and those at home from `~` on.

    Messages are made for who sits at the computer; over the network it is nobody's business where things lie.
    """
    libraries = [str(place) for place in host.library() if place.is_dir()]
    home = os.path.expanduser("~")
    for folder, short in [(str(host.runs), ""), *((place, "") for place in libraries), (home, f"~{os.sep}")]:
        path = os.path.join(folder, "")
        if path != os.sep:  # some servers' home is the root, which everything is below
            spellings = {re.escape(path), re.escape(repr(path)[1:-1])}  # where quoted, backslashes stand twice
            text = short.join(re.split(rf"(?<![\w.-])(?:{'|'.join(spellings)})", text))
    return text


def shade_of(theme: str) -> ThemeName:
    """The theme of a plot as a request names it: "dark", and light for everything else."""
    return "dark" if theme == "dark" else "light"


def refuse_other_sites(request: Request) -> None:
    """Raise HTTPException for what a page of another site sends from somebody's browser: it asks without his knowing.

    Programs say no Origin. Behind a proxy the page's own address is the one it was asked for.
    """
    origin = request.headers.get("origin")
    own = {request.headers.get("host"), request.headers.get("x-forwarded-host")}
    if origin is not None and urlsplit(origin).netloc not in own:
        raise HTTPException(403, f"Pages of {origin} may not ask for this; use the page of this server.")
