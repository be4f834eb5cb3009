"""Handlers that change something, for the server's own page alone, and what they tell without the server's folders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ..errors import NotYours
from ..jobs.host import Host
from ..jobs.server.people import check_same_site
from ..jobs.server.shown_paths import for_page


def for_own_page(host: Host, handler: Callable[..., Any]) -> Callable[..., Any]:
    """`handler` as Gradio calls it, which refuses what a page of another site sends from somebody's browser.

    Gradio itself takes such a request, for the browser asks nobody first when it names no type.
    """

    def called(request: gr.Request, *values: Any) -> Any:
        try:
            check_same_site(request.request)
        except NotYours as problem:
            raise gr.Error(str(problem)) from problem
        return told(host, handler(*values))

    return called


def told(host: Host, answer: Any) -> Any:
    """What a handler returns, its sentences as this page may say them."""
    if isinstance(answer, str):
        return for_page(host, answer)
    if isinstance(answer, (list, tuple)):
        return type(answer)(for_page(host, one) if isinstance(one, str) else one for one in answer)
    return answer
