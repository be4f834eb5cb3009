"""Where the Gradio that the WebUI pins (3.41) and today's differ. Nothing else in the project asks for the version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

IS_OLD = int(gr.__version__.split(".")[0]) < 4


def uploads(label: str, file_types: list[str], elem_id: str) -> Any:
    """A field for several files, dropped or chosen."""
    return gr.File(label=label, file_count="multiple", file_types=file_types, elem_id=elem_id)


def uploaded_paths(value: Any) -> list[Path]:
    """The files in an `uploads` field as a handler gets them: wrappers in the old version, paths in today's."""
    return [Path(getattr(file, "name", file)) for file in value or ()]


def gallery(label: str, elem_id: str, columns: int, visible: bool = True) -> Any:
    """A gallery of pictures that are looked at whole."""
    return gr.Gallery(
        label=label,
        elem_id=elem_id,
        columns=columns,
        object_fit="contain",
        height="auto",
        visible=visible,
        show_label=visible,  # one that appears later says by its pictures what it is
    )


def on_click(button: Any, handler: Callable[..., Any], output: Any, asks: str | None, inputs: Any = None) -> None:
    """Call `handler` with `inputs` when `button` is pressed, if `asks` is answered with yes first."""
    if asks is None:
        button.click(handler, inputs, output, queue=False)
        return
    # An error in the browser's part keeps the server's from being called, in both versions.
    script = f"(...given) => {{ if (!window.confirm({json.dumps(asks)})) throw new Error('kept'); return given; }}"
    button.click(handler, inputs, output, queue=False, **{"_js" if IS_OLD else "js": script})
