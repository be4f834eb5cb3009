"""Who asks for something: somebody with a login, a browser, a program, or whoever has the computer to himself."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ...errors import NotYours, SettingsError
from ..store.job_store import Job

COOKIE = "pseudoword-session"
SESSION = re.compile(r"[\w-]{43}")
KEPT_S = 365 * 24 * 3600


@dataclass(frozen=True)
class Person:
    """`owner` is what is written beside the jobs of this person, `name` what pages call him."""

    owner: str
    name: str
    is_admin: bool = False

    def may(self, job: Job) -> bool:
        """Whether he may steer, change and delete `job`."""
        return self.is_admin or job.owner == self.owner

    def may_look_into(self, job: Job) -> bool:
        """Whether he may see more of `job` than that it is there, whose it is, and how far: pictures, settings, log."""
        return job.shared or self.may(job)

    def check_may(self, job: Job) -> None:
        """Raise NotYours unless `may`."""
        if not self.may(job):
            raise NotYours(f"This job is {of_owner(job.owner)}; ask there, or an admin.")

    def check_may_look_into(self, job: Job) -> None:
        """Raise NotYours unless `may_look_into`."""
        if not self.may_look_into(job):
            raise NotYours(f"This job is {of_owner(job.owner)} and is not shared; ask there, or an admin.")


ALONE = Person("", "you", is_admin=True)
"""Whoever has the computer to himself."""
PROGRAM = Person("programs", "programs without a login")


@dataclass(frozen=True)
class People:
    """How the people of a server are told apart.

    `user_of` tells the name that a request logged in with, None without one. Those without are told apart by their
    browsers' cookies where `by_browser`; else they are all whoever has the computer to himself. `admins` are names.
    """

    user_of: Callable[[Any], str | None] = lambda request: None
    by_browser: Callable[[], bool] = lambda: False
    admins: Callable[[], Collection[str]] = tuple

    def of(self, request: Any, is_program: bool = False) -> Person:
        """Who sent `request`, which has `cookies` and `headers`.

        Raises NotYours for a page whose browser keeps no cookie, and for what a page of another site sends.
        """
        check_same_site(request)
        user = self.user_of(request)
        if user is not None:
            return Person(f"name:{user}", user, user in self.admins())
        if not self.by_browser():
            return ALONE
        session = request.cookies.get(COOKIE, "")
        if SESSION.fullmatch(session):
            # The cookie itself is a key, and stays out of the store and of every page.
            short = hashlib.sha256(session.encode()).hexdigest()[:16]
            return Person(f"browser:{short}", "you")
        if is_program:
            return PROGRAM
        raise NotYours("This page does not know your browser yet; allow its cookie, and reload the page.")

    def needs_cookie(self, request: Any) -> bool:
        """Whether the browser that sent `request` is to be given a cookie, to be known again."""
        known = SESSION.fullmatch(request.cookies.get(COOKIE, ""))
        return self.user_of(request) is None and self.by_browser() and not known


def check_same_site(request: Any) -> None:
    """Raise NotYours for what a page of another site sends from somebody's browser: it asks without his knowing.

    Programs say no Origin. Behind a proxy the page's own address is the one it was asked for.
    """
    origin = request.headers.get("origin")
    own = {request.headers.get("host"), request.headers.get("x-forwarded-host")}
    if origin is not None and origin.partition("://")[2] not in own:
        raise NotYours(
            f"Pages of {origin} may not ask for this; use the page of this server. A proxy in front of it has to pass "
            "on the Host header."
        )


def credentials_in(header: str) -> tuple[str, str]:
    """Name and password in an Authorization header (HTTP Basic); both empty where it holds none."""
    kind, _, encoded = header.partition(" ")
    try:
        name, _, password = base64.b64decode(encoded if kind.lower() == "basic" else "").decode().partition(":")
    except ValueError:
        return "", ""
    return name, password


def user_let_in(request: Any) -> str | None:
    """The name that a request gave to a server which asks for one, and has let it in."""
    return credentials_in(request.headers.get("authorization", ""))[0] or None


def new_session() -> str:
    """What the cookie of a new browser says."""
    return secrets.token_urlsafe(32)


def shown_owner(owner: str) -> str:
    """What pages call the owner of a job."""
    kind, _, name = owner.partition(":")
    if kind == "name":
        return name
    return f"browser {name[:4]}" if kind == "browser" else owner


def of_owner(owner: str) -> str:
    """Whose a job is, in a sentence."""
    shown = shown_owner(owner)
    return f"that of {shown}" if shown else "from before people were told apart"


def check_login(pair: str) -> tuple[str, str]:
    """Name and password of a flag's NAME:PASSWORD. Raises SettingsError."""
    name, _, password = pair.partition(":")
    if not name or not password:
        raise SettingsError("A login is given as NAME:PASSWORD, both at least one letter long.")
    return name, password
