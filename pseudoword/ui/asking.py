"""Who pressed a button: handlers that need to know are called with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ..errors import PseudowordError
from ..jobs.server.people import People


def asking(people: People, handler: Callable[..., Any]) -> Callable[..., Any]:
    """`handler` as Gradio calls it: with who asks as its first argument, and then the values of the fields."""

    def called(request: gr.Request, *values: Any) -> Any:
        try:
            person = people.of(request.request)
        except PseudowordError as problem:
            raise gr.Error(str(problem)) from problem
        return handler(person, *values)

    return called
