"""The search for programs, under `/pseudoword/v1/search`: what is asked for is sent as JSON.

How the index stands and the pictures themselves are read by the routes of `search_routes`. Whatever is refused is
answered with one sentence under "detail".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, params

from ..embedding.metadata import encodable
from ..errors import SettingsError
from ..jobs.search.picture_search import PictureSearch
from ..jobs.search.search_question import Question
from . import search_schemas as schemas
from .answers import refuse_other_sites, telling
from .schemas import UploadedPicture
from .search_routes import PREFIX, answer, index_json, who
from .sentence_route import SentenceRoute, answered, refusals
from .uploads import decode

PROBLEMS = {
    422: "The request, or the picture in it, cannot be used",
    501: "A package is missing that the server needs for this",
    503: "The index cannot be read just now; ask again in a moment",
}
FIELDS = ("text", "like", "model", "folder", "since", "until", "checkpoint", "least", "most", "words")


def add_search_program_routes(app: FastAPI, search: PictureSearch, dependencies: Sequence[params.Depends] = ()) -> None:
    """Add the routes to `app`. Every one of them asks `dependencies`, which raise HTTPException to refuse a caller."""
    router = APIRouter(
        prefix=PREFIX,
        dependencies=[Depends(refuse_other_sites), *dependencies],
        route_class=SentenceRoute,
        tags=["Pseudoword search"],
        responses=refusals(PROBLEMS),
    )

    def find_pictures(request: schemas.SearchRequest) -> dict[str, Any]:
        """Find pictures by what they show. Only those are found that were read; `search/index` has that done."""
        with telling(search.host):
            return answer(search, question_of(search, request), request.first, request.count)

    def order_index(request: schemas.IndexRequest, asked: Request) -> dict[str, Any]:
        """Bring an index up to date, in the background, or pause that. `GET` tells how it stands."""
        with telling(search.host):
            opened, roots = search.opened(encodable(request.model)), search.roots(encodable(request.folder))
            if request.order == "start":
                search.start(opened, roots, who(search, asked))
            else:
                search.pause(opened, who(search, asked))
            return index_json(search, opened, roots)

    router.add_api_route(
        "",
        find_pictures,
        methods=["POST"],
        response_model=schemas.SearchAnswer,
        openapi_extra={
            "requestBody": {"content": {"application/json": {"examples": schemas.REQUEST_EXAMPLES}}},
            **answered(200, schemas.SEARCH_EXAMPLE),
        },
    )
    router.add_api_route(
        "/index",
        order_index,
        methods=["POST"],
        response_model=schemas.IndexAnswer,
        openapi_extra=answered(200, schemas.INDEX_EXAMPLE),
    )
    app.include_router(router)


def question_of(search: PictureSearch, request: schemas.SearchRequest) -> Question:
    """What `request` looks for. Raises PseudowordError where it says so in two ways, and for what is no picture."""
    if sum(map(bool, (request.text.strip(), request.picture, request.like))) > 1:
        raise SettingsError("'text', 'picture' and 'like' are three ways to say what is looked for; send one of them.")
    given = {name: getattr(request, name) for name in FIELDS}
    given = {name: encodable(value) if isinstance(value, str) else value for name, value in given.items()}
    if request.picture:
        data = decode(UploadedPicture(name="picture", data=request.picture, caption=None))
        given["like"] = search.sample(search.opened(given["model"]), data)
    return Question(**given)
