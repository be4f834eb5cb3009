"""What the tabs that save words into the library have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from ..embedding import FileFormat
from ..jobs.library.combining import clip_tokenizer
from ..jobs.library.inspector import Inspector
from ..training.naming import is_ordinary_word
from .messages import says

FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
FORMATS_EXPLAINED = "safetensors loads everywhere; pt is A1111's own; diffusers for Python; card is a PNG picture"


def format_field(id: str) -> Any:
    """A choice of file formats."""
    return gr.Dropdown(
        list(FORMATS), value=FORMATS[0], label="Format", info=FORMATS_EXPLAINED, min_width=200, elem_id=id
    )


def label_after(inspector: Inspector, path: Path) -> str | None:
    """Read the library again, now that `path` was written, and return its label; None where that takes too long."""
    inspector.reader().read_anew()
    file = Path(os.path.abspath(path))
    return next((label for label, row in inspector.labelled().items() if row.file == file), None)


def saved_says(sentence: str, name: str) -> str:
    """What to tell after the word `name` was saved, in HTML: with a warning where it takes an ordinary word's place."""
    if not is_ordinary_word(name, clip_tokenizer()):
        return says(sentence, "good")
    warning = f"Prompts that say {name} get this word from now on; give it a name of its own, such as my-{name}."
    return says(sentence, "good") + says(warning, "warning")


def choosing(inspector: Inspector, chosen: Any, label: str | None) -> Any:
    """An update of the component `chosen` so that the embedding called `label` is looked at."""
    if isinstance(chosen, gr.Dropdown):
        return gr.update(choices=inspector.labels(), value=label)
    return gr.update(value=label)
