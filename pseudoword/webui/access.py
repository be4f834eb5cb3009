"""Who may call the routes: those whom the WebUI lets in."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import shared

basic = HTTPBasic(auto_error=False)


def guarding_page(app: FastAPI) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses who has not logged in to the page, where it has a login, and is no program either."""

    async def guard(request: Request) -> None:
        if getattr(app, "auth", None) is None and getattr(app, "auth_dependency", None) is None:
            return
        token = request.cookies.get("access-token") or request.cookies.get("access-token-unsecure")
        if token in getattr(app, "tokens", {}):
            return
        credentials = await basic(request)
        if not (shared.cmd_opts.api and shared.cmd_opts.api_auth and is_known(credentials)):
            raise HTTPException(401, "Log in to the WebUI first.")

    return guard


def guarding_programs() -> Callable[[Request], Awaitable[None]]:
    """A dependency that asks for what --api-auth names, where it is given, as the WebUI's own API does."""

    async def guard(request: Request) -> None:
        if shared.cmd_opts.api_auth and not is_known(await basic(request)):
            raise HTTPException(
                401, "The user or the password is wrong; give those of --api-auth.", {"WWW-Authenticate": "Basic"}
            )

    return guard


def is_known(credentials: HTTPBasicCredentials | None) -> bool:
    """Whether --api-auth names these. Takes as long for nearly right ones as for wrong ones."""
    if credentials is None:
        return False
    given = f"{credentials.username}:{credentials.password}".encode()
    pairs = [pair.encode() for pair in shared.cmd_opts.api_auth.split(",")]
    return sum(secrets.compare_digest(given, pair) for pair in pairs) > 0
