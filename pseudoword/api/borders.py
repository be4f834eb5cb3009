"""What the studio's server refuses before anything looks at it: other sites' pages, other names, requests too large."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .answers import READING, is_from_elsewhere

MOST_BYTES = 1_000_000_000  # of one request: a set of pictures, of which each is measured again
MOST_LETTERS, MOST_IN_A_NAME = 4000, 255  # of an address; no file is called longer, and Gradio breaks where one asks
ITSELF = ("127.0.0.1", "localhost", "[::1]")
# Texts and pictures are what they are said to be, no other site frames the page, and none learns what was looked at.
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"referrer-policy", b"same-origin"),
)


class Borders:
    """An ASGI application that stands before `app`.

    A server that is for this computer alone answers only to its own names: another one, which somebody lets lead here,
    would make his page one of this server's to the browser.
    """

    def __init__(self, app: Any, is_alone: bool) -> None:
        self._app, self._is_alone = app, is_alone

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refused(scope.get("method", ""), scope["path"], headers)
        if refused is None:
            await self._app(scope, receive, adding_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await answer(send, *refused)

    def _refused(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and sentence, where a request is refused."""
        if self._is_alone and without_port(headers.get("host", ITSELF[0])) not in ITSELF:
            return 403, "This server is for its own computer alone; use the address that it told at its start."
        origin = headers.get("origin")
        own = (headers.get("host"), headers.get("x-forwarded-host"))
        is_other = origin is not None and origin.partition("://")[2] not in own
        if method not in READING and (is_other or is_from_elsewhere(headers)):
            return 403, "Pages of other sites may not ask for this; use the page of this server."
        if len(path) > MOST_LETTERS or max(len(name.encode()) for name in path.split("/")) > MOST_IN_A_NAME:
            return 414, "The address is too long; there is nothing of that name."
        if any(letter < " " or letter == "\x7f" for letter in path):
            return 400, "The address holds characters that no address has; write it anew."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > MOST_BYTES:
            return 413, f"A request may have {MOST_BYTES // 1_000_000} MB; send less at a time."
        return None


def without_port(host: str) -> str:
    """The name in a Host header."""
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdecimal() else host.lower()


def adding_headers(send: Any) -> Any:
    """`send`, which adds `HEADERS` to every answer."""

    async def send_with_headers(message: Any) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message.get("headers", ())}
            more = [pair for pair in HEADERS if pair[0] not in there]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return send_with_headers


async def answer(send: Any, status: int, sentence: str) -> None:
    """Answer with a sentence."""
    headers = [(b"content-type", b"application/json"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": sentence}).encode()})
