"""Who may call the routes: those whom the WebUI lets in."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from ..jobs.server.people import credentials_in

basic = HTTPBasic(auto_error=False)


def guarding_page(app: Any, api_auth: str | None) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses who has not logged in to `app`, Gradio's, where it has a login (--gradio-auth).

    Programs that `api_auth` names come in, too: "NAME:PASSWORD", several parted by commas, or None.
    """

    async def guard(request: Request) -> None:
        if getattr(app, "auth", None) is None:
            return
        token = request.cookies.get("access-token") or request.cookies.get("access-token-unsecure")
        if token not in app.tokens and not is_known(await basic(request), api_auth):
            raise HTTPException(401, "Log in to the WebUI first.")

    return guard


def guarding_programs(api_auth: str | None) -> Callable[[Request], Awaitable[None]]:
    """A dependency that asks for what --api-auth names, where it is given, as the WebUI's own API does."""

    async def guard(request: Request) -> None:
        if api_auth and not is_known(await basic(request), api_auth):
            message = "The user or the password is wrong; give those of --api-auth."
            raise HTTPException(401, message, {"WWW-Authenticate": "Basic"})

    return guard


def knowing_programs(api_auth: str | None) -> Callable[[Request], bool]:
    """Whether a request comes from a program that --api-auth names."""

    def is_program(request: Request) -> bool:
        name, password = credentials_in(request.headers.get("authorization", ""))
        return is_known(HTTPBasicCredentials(username=name, password=password), api_auth)

    return is_program


def user_known_to(api_auth: str | None) -> Callable[[Any], str | None]:
    """Who sent a request: the name logged in with at the page (--gradio-auth) or as a program, where there is one."""

    def user(request: Any) -> str | None:
        app = request.app
        token = request.cookies.get("access-token") or request.cookies.get("access-token-unsecure")
        if getattr(app, "auth", None) is not None and token in app.tokens:
            return str(app.tokens[token])
        name, password = credentials_in(request.headers.get("authorization", ""))
        return name if is_known(HTTPBasicCredentials(username=name, password=password), api_auth) else None

    return user


def is_known(credentials: HTTPBasicCredentials | None, api_auth: str | None) -> bool:
    """Whether `api_auth` names these. Takes as long for nearly right ones as for wrong ones."""
    if credentials is None or not api_auth:
        return False
    given = f"{credentials.username}:{credentials.password}".encode()
    return sum(secrets.compare_digest(given, pair.encode()) for pair in api_auth.split(",")) > 0
