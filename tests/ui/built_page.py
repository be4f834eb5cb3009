"""A page that tabs are built in, as Gradio sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import gradio as gr


def built(build: Callable[[], Any]) -> dict[str, Any]:
    """The configuration of a page with what `build` puts into it."""

    async def make() -> gr.Blocks:  # outside a running loop Gradio opens loops of its own, and never closes them
        with gr.Blocks() as page:
            build()
        return page

    return dict(asyncio.run(make()).config)


def ids_in(config: dict[str, Any]) -> list[str]:
    """The ids that the page's components have in HTML."""
    return [part["props"]["elem_id"] for part in config["components"] if part["props"].get("elem_id")]


def buttons_in(config: dict[str, Any]) -> list[str]:
    """What the page's buttons say."""
    return [part["props"]["value"] for part in config["components"] if part["type"] == "button"]
