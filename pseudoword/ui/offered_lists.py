"""Dropdowns of what there is just now, which the page's script has filled anew when that may have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import gradio as gr

Lists: TypeAlias = list[tuple[Any, Callable[[], list[str]]]]
"""Each dropdown with what tells its choices."""


def add_refreshing(lists: Lists, elem_id: str) -> Any:
    """A button that nobody sees, and that the page's script presses; returned for who has more to refresh with it."""
    refresh = gr.Button("Refresh", elem_id=elem_id, elem_classes="pseudoword-hidden")
    dropdowns = [dropdown for dropdown, _ in lists]
    # By dropdown: a list of a single update would be taken for its value.
    refresh.click(
        lambda: {dropdown: gr.update(choices=offered()) for dropdown, offered in lists}, None, dropdowns, queue=False
    )
    return refresh
