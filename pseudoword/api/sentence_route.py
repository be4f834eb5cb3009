"""What the routes for programs have in common: refusals of one sentence, and how answers are described."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from .schemas import Problem

MOST_BYTES = 500_000_000  # of a request, all of which is in memory several times


class SentenceRoute(APIRoute):
    """A route that says in one sentence what a request lacks, as everything else is said, instead of in a list.

    `wanted` is the end of that sentence: what is to be sent.
    """

    wanted = "send application/json with the keys that the documentation names"

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler; raises HTTPException where that finds the request unfit."""
        handle = super().get_route_handler()

        async def handle_in_sentences(request: Request) -> Response:
            check_size(request)
            try:
                return await handle(request)
            except RequestValidationError as problem:
                raise HTTPException(422, what_does_not_fit(problem, self.wanted)) from problem

        return handle_in_sentences


def check_size(request: Request) -> None:
    """Raise HTTPException for a request that is too large to be held in memory, or does not say how large it is."""
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not length.isdecimal() or len(length) > 15:
        raise HTTPException(411, "The request does not say how long it is; send its Content-Length.")
    if int(length) > MOST_BYTES:
        raise HTTPException(413, f"The request has more than {MOST_BYTES // 1_000_000} MB; send fewer pictures.")


def what_does_not_fit(problem: RequestValidationError, wanted: str) -> str:
    """The first of what is wrong with a request, in one sentence that ends with what is `wanted`."""
    first = problem.errors()[0]
    place, reason = ".".join(str(part) for part in first["loc"][1:]), str(first["msg"]).rstrip(".")
    if "json" in first["type"]:
        return f"The request is not JSON (from character {place} on); send a JSON object."
    return f"The request does not fit at {place or 'its beginning'!r} ({reason}); {wanted}."


def refusals(meanings: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """How refusals, by their status, are described to readers of the schema."""
    return {status: {"model": Problem, "description": meaning} for status, meaning in meanings.items()}


def answered(status: int, example: Any) -> dict[str, Any]:
    """An example of an answer for the schema."""
    return {"responses": {str(status): {"content": {"application/json": {"example": example}}}}}
