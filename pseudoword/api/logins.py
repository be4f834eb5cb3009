"""Names and passwords that a server asks for before it answers anything (HTTP Basic)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Any

from ..jobs.server.people import credentials_in

REALM = "Pseudoword"


class Logins:
    """An ASGI application that lets in who gives one of `passwords`, by name, to `app` behind it.

    The paths that are `open_to_all` everybody may read.
    """

    def __init__(self, app: Any, passwords: Mapping[str, str], open_to_all: Collection[str] = ()) -> None:
        self._app = app
        self._passwords = dict(passwords)
        self._open_to_all = open_to_all

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or hand it on."""
        is_open = scope["type"] == "http" and scope["path"] in self._open_to_all and scope["method"] == "GET"
        if scope["type"] == "lifespan" or is_open or self._is_known(dict(scope.get("headers", []))):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refuse(send)

    def _is_known(self, headers: Mapping[bytes, bytes]) -> bool:
        name, password = credentials_in(headers.get(b"authorization", b"").decode("latin-1"))
        # As long for a name that is not there as for a wrong password.
        wanted = self._passwords.get(name, "")
        is_right = secrets.compare_digest(password.encode(), wanted.encode())
        return is_right and name in self._passwords


async def refuse(send: Any) -> None:
    """Ask for name and password."""
    headers = [(b"www-authenticate", f'Basic realm="{REALM}", charset="UTF-8"'.encode())]
    headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"detail": "Give a name and a password that are known here."}'})
