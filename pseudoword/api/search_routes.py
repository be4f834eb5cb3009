"""What a page asks of the pictures that are found by what they show, under `/pseudoword/v1/search`."""

from __future__ import annotations

import io
import mimetypes
import os
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from ..decoding import load_picture
from ..embedding.metadata import encodable
from ..errors import DatasetError, SettingsError
from ..jobs.search.picture_index_job import UNDER_WAY
from ..jobs.search.picture_search import Asked, OpenIndex, PictureSearch, id_of
from ..jobs.search.search_question import Question
from ..jobs.server.people import Person
from ..scoring.index_table import Seen
from ..scoring.infotext import infotext_in
from ..scoring.picture_index import Found, Hit
from .answers import refuse_other_sites, telling, without_folders
from .uploads import MOST_BYTES

PREFIX = "/pseudoword/v1/search"
MOST_HITS = 200  # in one answer
MOST_PLACES = 5000  # to which one may go on
MOST_LETTERS = 2000  # of a text that is looked for
SHOWN_LETTERS = 600  # of a prompt
MOST_UNREADABLE = 50
THUMBNAIL, THUMBNAILS = 256, 1024  # pixels along the longer side; how many are kept, about 15 KB each
KEPT = {"Cache-Control": "private, max-age=86400"}

_shrinking = threading.Semaphore(2)  # a page asks for dozens at once, and others want the processor, too


QUESTION: Any = Depends(Question)  # each field is a parameter of the request


def add_search_routes(app: FastAPI, search: PictureSearch, dependencies: Sequence[Any] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI. Those that change something refuse other sites."""

    def find(question: Question = QUESTION, first: int = 0, count: int = 48) -> dict[str, Any]:
        """The pictures that fit best, from `first` on."""
        with telling(search.host):
            return answer(search, question, first, count)

    def index(model: str = "", folder: str = "") -> dict[str, Any]:
        """How the index of a model stands; new pictures are looked for, where somebody once asked for that."""
        with telling(search.host):
            opened, roots = search.opened(model), search.roots(folder)
            search.keep_up(opened, roots)
            return index_json(search, opened, roots)

    def start(request: Request, model: str = "", folder: str = "") -> dict[str, Any]:
        """Begin to bring it up to date, or go on."""
        with telling(search.host):
            opened, roots = search.opened(model), search.roots(folder)
            search.start(opened, roots, who(search, request))
            return index_json(search, opened, roots)

    def pause(request: Request, model: str = "", folder: str = "") -> dict[str, Any]:
        """Stop that, until somebody starts it again."""
        with telling(search.host):
            opened, roots = search.opened(model), search.roots(folder)
            search.pause(opened, who(search, request))
            return index_json(search, opened, roots)

    async def sample(request: Request, model: str = "") -> dict[str, Any]:
        """Take a picture, the body of the request, to look for others like it."""
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > MOST_BYTES:
                raise HTTPException(413, f"The picture is larger than {MOST_BYTES // 1_000_000} MB; make it smaller.")
        with telling(search.host):
            opened = await run_in_threadpool(search.opened, model)
            return {"like": await run_in_threadpool(search.sample, opened, bytes(data))}

    def small(id: str) -> Response:
        """A picture, small."""
        seen = file_of(search, id)
        try:
            return Response(thumbnail(seen), media_type="image/jpeg", headers=KEPT)
        except DatasetError as problem:
            raise HTTPException(404, f"The picture cannot be shown: {problem}.") from problem

    def whole(id: str) -> FileResponse:
        """The file of a picture."""
        seen = file_of(search, id)
        kind = mimetypes.guess_type(seen.name)[0] or "application/octet-stream"
        headers = {**KEPT, "X-Content-Type-Options": "nosniff"}
        return FileResponse(seen.path, media_type=kind, headers=headers)

    def infotext(id: str) -> dict[str, str]:
        """The text in a picture's file: prompt, negative prompt, and a line of facts."""
        return {"infotext": infotext_in(file_of(search, id).path)}

    routes: dict[str, Callable[..., Any]] = {
        "": find,
        "/index": index,
        "/pictures/{id}/small.jpg": small,
        "/pictures/{id}/file": whole,
        "/pictures/{id}/infotext": infotext,
    }
    for path, route in routes.items():
        app.add_api_route(PREFIX + path, route, methods=["GET"], response_model=None, dependencies=list(dependencies))
    guards = [Depends(refuse_other_sites), *dependencies]
    orders: dict[str, Callable[..., Any]] = {"/start": start, "/pause": pause, "/sample": sample}
    for path, route in orders.items():
        app.add_api_route(PREFIX + path, route, methods=["POST"], response_model=None, dependencies=guards)


def who(search: PictureSearch, request: Request) -> Person:
    """Who asks. Raises NotYours."""
    return search.host.people.of(request, is_program=True)


def answer(search: PictureSearch, question: Question, first: int, count: int) -> dict[str, Any]:
    """What a search finds, as plain JSON values. Raises PseudowordError."""
    if len(question.text) > MOST_LETTERS:
        raise SettingsError(f"The text has more than {MOST_LETTERS} letters; a model reads about 75 words.")
    opened, roots = search.opened(question.model), search.roots(question.folder)
    asked = Asked(encodable(question.text), question.like)
    first, count = min(max(first, 0), MOST_PLACES), min(max(count, 1), MOST_HITS)
    found = search.find(opened, asked, question.wanted(roots), count, first)
    return found_json(opened, roots, found, first)


def file_of(search: PictureSearch, id: str) -> Seen:
    """The file of a picture; 404 where it is gone, was changed, or may not be read."""
    with telling(search.host):
        try:
            return search.row(id)[1].file
        except SettingsError as problem:
            raise HTTPException(404, without_folders(search.host, str(problem))) from problem


@lru_cache(maxsize=THUMBNAILS)
def thumbnail(seen: Seen) -> bytes:
    """The picture in a file, small, as a JPEG. Raises DatasetError where it is broken."""
    with _shrinking:
        picture = load_picture(Path(seen.path))
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=85)
        return buffer.getvalue()


def found_json(opened: OpenIndex, roots: Sequence[str], found: Found, first: int) -> dict[str, Any]:
    """Hits, without the folders of this server."""
    return {
        "model": opened.title,
        "among": found.among,
        "note": found.note,
        "first": first,
        "hits": [hit_json(opened, roots, hit) for hit in found.hits],
    }


def hit_json(opened: OpenIndex, roots: Sequence[str], hit: Hit) -> dict[str, Any]:
    """One picture; `folder` is its place from the folder on that is searched."""
    file, facts = hit.row.file, hit.row.facts
    root = next((root for root in roots if file.folder == root or file.folder.startswith(os.path.join(root, ""))), "")
    folder = os.path.relpath(file.folder, os.path.dirname(root)) if root else os.path.basename(file.folder)
    return {
        "id": id_of(opened, hit.row),
        "name": encodable(file.name),
        "folder": encodable(folder.replace(os.sep, "/")),
        "changed_s": round(file.changed_s, 3),
        "checkpoint": facts.checkpoint,
        "score": facts.score,
        "prompt": facts.prompt[:SHOWN_LETTERS],
        "cosine": None if hit.cosine is None else round(hit.cosine, 6),
    }


def index_json(search: PictureSearch, opened: OpenIndex, roots: tuple[str, ...]) -> dict[str, Any]:
    """How an index stands, as plain JSON values."""
    job = search.job(opened)
    watched = None if job is None else job.watch()
    is_under_way = watched is not None and watched.state in UNDER_WAY
    state = "idle" if watched is None else watched.state
    if not is_under_way and search.is_paused(opened):
        state = "paused"
    unreadable = opened.index.unreadable(roots)
    return {
        "model": opened.model.name,
        "title": opened.title,
        "state": state,
        "message": "" if watched is None else without_folders(search.host, watched.message),
        "pictures": opened.index.count(roots),
        "done": watched.done if watched and is_under_way else 0,
        "total": watched.total if watched and is_under_way else 0,
        "seconds_left": watched.seconds_left if watched else None,
        "checkpoints": opened.index.checkpoints(roots),
        "unreadable": len(unreadable),
        "reasons": [
            {"name": encodable(name), "reason": without_folders(search.host, why)}
            for _, name, why in unreadable[:MOST_UNREADABLE]
        ],
    }
