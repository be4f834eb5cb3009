"""Who may call the extension's routes, as the WebUI's --gradio-auth and --api-auth say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from pseudoword.webui.access import guarding_page, guarding_programs

PAGE = SimpleNamespace(auth={"ann": "secret"}, tokens={"a-token": "ann"})  # what Gradio's app has with a login
KNOWN, WRONG = ("bob", "pass:word"), ("bob", "pass")


def asking(guard: Any) -> TestClient:
    app = FastAPI()
    app.add_api_route("/", lambda: "in", dependencies=[Depends(guard)])
    return TestClient(app)


@pytest.mark.parametrize("app", [SimpleNamespace(), SimpleNamespace(auth=None)])
def test_a_page_without_login_lets_everybody_in(app: Any) -> None:
    assert asking(guarding_page(app, None)).get("/").status_code == 200


def test_a_page_with_login_lets_in_who_logged_in() -> None:
    for cookie in ("access-token", "access-token-unsecure"):
        client = asking(guarding_page(PAGE, None))
        assert client.get("/").status_code == 401
        client.cookies.set(cookie, "another")
        assert client.get("/").status_code == 401
        client.cookies.set(cookie, "a-token")
        assert client.get("/").status_code == 200


def test_a_page_with_login_lets_in_programs_that_the_api_knows() -> None:
    client = asking(guarding_page(PAGE, "ann:x,bob:pass:word"))
    assert client.get("/", auth=KNOWN).status_code == 200
    assert client.get("/", auth=WRONG).status_code == 401
    assert asking(guarding_page(PAGE, None)).get("/", auth=KNOWN).status_code == 401


def test_programs_need_what_api_auth_says() -> None:
    client = asking(guarding_programs("ann:x,bob:pass:word"))
    assert client.get("/", auth=KNOWN).status_code == 200
    for wrong in (None, WRONG, ("", ""), ("bob", ""), ("ann:x,bob", "pass:word")):
        answer = client.get("/", auth=wrong)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Basic"


def test_programs_need_nothing_where_there_is_no_api_auth() -> None:
    assert asking(guarding_programs(None)).get("/").status_code == 200
