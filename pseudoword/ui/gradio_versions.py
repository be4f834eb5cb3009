"""Where the Gradio that the WebUI pins (3.41) and today's differ. Nothing else in the project asks for the version."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

IS_OLD = int(gr.__version__.split(".")[0]) < 4


def uploads(label: str, file_types: list[str], elem_id: str, several: bool = True) -> Any:
    """A field for several files, or one, dropped or chosen."""
    kind = _checking_uploads() if IS_OLD else gr.File
    return kind(label=label, file_count="multiple" if several else "single", file_types=file_types, elem_id=elem_id)


@lru_cache(maxsize=1)
def _checking_uploads() -> Any:
    """The old version's field for files, without what lets a request name any file of the server as uploaded."""

    class Uploads(gr.File):  # made here: of components that a module defines, today's version writes a file beside it
        def get_block_name(self) -> str:
            """What the page's script knows it as."""
            return "file"

        def preprocess(self, x: Any) -> Any:
            """The files that were uploaded. Raises gr.Error for others."""
            place = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio").resolve()
            for one in x if isinstance(x, list) else [x] if x else []:
                if one.get("is_file") and not Path(str(one.get("name"))).resolve().is_relative_to(place):
                    raise gr.Error("This file was not uploaded; drop it once more.")
            return super().preprocess(x)

    return Uploads


def uploaded_paths(value: Any) -> list[Path]:
    """The files in an `uploads` field as a handler gets them: wrappers in the old version, paths in today's."""
    files: list[Any] = value if isinstance(value, list) else [] if value is None else [value]
    return [Path(getattr(file, "name", file)) for file in files]


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


def in_browser(code: str) -> dict[str, Any]:
    """What an event is given so that the page runs `code` first, a function in JavaScript whose value goes on."""
    return {"_js" if IS_OLD else "js": code, "queue": False}


def on_click(button: Any, handler: Callable[..., Any], output: Any, asks: str | None, inputs: Any = None) -> None:
    """Call `handler` with `inputs` when `button` is pressed, if `asks` is answered with yes first."""
    if asks is None:
        button.click(handler, inputs, output, queue=False)
        return
    # An error in the browser's part keeps the server's from being called, in both versions.
    script = f"(...given) => {{ if (!window.confirm({json.dumps(asks)})) throw new Error('kept'); return given; }}"
    button.click(handler, inputs, output, **in_browser(script))


def on_typing(fields: Sequence[Any], handler: Callable[..., Any], inputs: Sequence[Any], output: Any) -> None:
    """Call `handler` with `inputs` whenever one of `fields` changed; in the end always with what was typed last."""
    told: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
    for field in fields:
        if not IS_OLD:
            field.change(handler, inputs, output, trigger_mode="always_last", **told)
            continue
        # The old version drops what is typed while an answer is awaited. So it is asked when typing rests, and once
        # more after each answer, if there is something new by then.
        key, count = json.dumps(f"pseudoword-{field._id}"), len(inputs)
        given = f"const given = JSON.stringify(all.slice(0, {count})), asked = window.pseudowordAsked ??= {{}};"
        resting = (
            f"(...all) => new Promise((go) => {{ {given} const mine = asked[{key}] ??= {{}}; "
            "window.clearTimeout(mine.timer); "
            "mine.timer = window.setTimeout(() => { mine.given = given; go(all); }, 150); })"
        )
        anew = (
            f"(...all) => new Promise((go) => {{ {given} const mine = asked[{key}]; "
            "if (mine.given !== given) { mine.given = given; go(all); } })"
        )
        first = field.change(handler, inputs, output, _js=resting, **told)
        first.then(handler, inputs, output, _js=anew, **told)
