"""The prompts of training: templates, what a picture's caption adds to them, and the small changes made to captions."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..errors import DatasetError

if TYPE_CHECKING:
    from .settings import TrainSettings

NAME = "[name]"
FILEWORDS = "[filewords]"
MAX_TEXT_BYTES = 64 * 1024  # a caption or a file of templates; a prompt holds a few hundred

# After the idea of the textual-inversion paper (Gal et al., 2023): many plain ways to say that the word is shown.
OBJECT_TEMPLATES = (
    "a photo of [name]",
    "a photo of a [name]",
    "a photo of the [name]",
    "a photo of one [name]",
    "a picture of a [name]",
    "an image of a [name]",
    "a close-up photo of a [name]",
    "a clear photo of the [name]",
    "a bright photo of a [name]",
    "a good photo of the [name]",
    "a simple picture of the [name]",
    "a detailed picture of a [name]",
    "a rendition of a [name]",
    "a depiction of the [name]",
    "this is a [name]",
    "here is the [name]",
)
STYLE_TEMPLATES = (
    "a picture in the style of [name]",
    "an image in the style of [name]",
    "a painting in the style of [name]",
    "a drawing in the style of [name]",
    "an illustration in the style of [name]",
    "a rendering in the style of [name]",
    "a work of art in the style of [name]",
    "a detailed picture in the style of [name]",
    "a simple picture in the style of [name]",
    "a small picture in the style of [name]",
    "a bright picture in the style of [name]",
    "a close-up in the style of [name]",
)
BUILT_IN_TEMPLATES = {
    "object": tuple(f"{line}, {FILEWORDS}" for line in OBJECT_TEMPLATES),
    "style": tuple(f"{line}, {FILEWORDS}" for line in STYLE_TEMPLATES),
}


def prompts_for(settings: TrainSettings, name: str, filewords: str, generator: torch.Generator) -> str:
    """One training prompt for a picture: a template that `generator` chooses, with `name` and `filewords` put in.

    The tags of `filewords`, which commas part, are left out and shuffled as `settings` say, by the same generator.
    Raises DatasetError for a template file that cannot be used.
    """
    templates = load_templates(settings.templates)
    template = templates[_below(len(templates), generator)]
    tags = [tag for tag in (tag.strip() for tag in filewords.split(",")) if tag]
    # Drawn even where nothing comes of it, so that the next prompts are the same with and without captions.
    kept = torch.rand(len(tags), generator=generator) >= settings.drop_tags
    order = torch.randperm(len(tags), generator=generator) if settings.shuffle_tags else torch.arange(len(tags))
    caption = ", ".join(tags[place] for place in order.tolist() if kept[place])
    return fill(template, name, caption)


def fill(template: str, name: str, caption: str) -> str:
    """`template` with `caption` for [filewords] and `name` for [name], also where the caption says [name].

    Where there is no caption, the comma that would have parted it goes, too.
    """
    if caption:
        text = template.replace(FILEWORDS, caption)
    else:
        text = re.sub(
            rf"\s*,\s*{re.escape(FILEWORDS)}|{re.escape(FILEWORDS)}\s*,\s*|{re.escape(FILEWORDS)}", "", template
        )
    return " ".join(text.replace(NAME, name).split())


def load_templates(choice: str) -> Sequence[str]:
    """The templates called `choice`: "object", "style", or the lines of the file at that path.

    Raises DatasetError for a file that is not there, is not text, is empty, or has a line without [name].
    """
    if choice in BUILT_IN_TEMPLATES:
        return BUILT_IN_TEMPLATES[choice]
    path = Path(os.path.expanduser(choice))  # Path.expanduser fails for ~nobody
    try:
        changed = path.stat().st_mtime_ns
    except (OSError, ValueError) as problem:  # such as a null character
        reason = getattr(problem, "strerror", None) or problem
        raise DatasetError(
            f"The template file {choice[:300]!r} cannot be read ({reason}); "
            "give the path of a text file, 'object' or 'style'."
        ) from problem
    return _templates_of_file(path, changed)


@lru_cache(maxsize=16)
def _templates_of_file(path: Path, changed: int) -> tuple[str, ...]:
    """The lines of `path` that say something; `changed` is its time, so that an edited file is read anew."""
    lines = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        if NAME not in line:
            raise DatasetError(
                f"Line {number} of the template file {path.name} is {line.strip()[:60]!r}, but every template "
                f"needs {NAME} where the new word goes; write for example 'a photo of {NAME}, {FILEWORDS}'."
            )
        lines.append(line.strip())
    if not lines:
        raise DatasetError(
            f"The template file {path.name} is empty; write one template a line such as 'a photo of {NAME}'."
        )
    return tuple(lines)


def filewords_of(picture: Path, settings: TrainSettings) -> str:
    """What stands for [filewords] at `picture`: the `.txt` beside it, else with the user's own templates its file name.

    Built-in templates take no words from file names: `IMG_1234` says nothing. Raises DatasetError for a caption that
    cannot be read.
    """
    caption = picture.with_suffix(".txt")
    if caption.is_file():
        return " ".join(read_text(caption).split())
    return "" if settings.templates in BUILT_IN_TEMPLATES else words_of_file_name(picture.stem)


def words_of_file_name(stem: str) -> str:
    """The words of a file name: `0012_red-hat_on table` is "red-hat on table". Numbers in front go, as in A1111."""
    return " ".join(re.sub(r"^[\d\s_-]+", "", stem).replace("_", " ").split())


def read_text(path: Path) -> str:
    """The text of a small file in UTF-8, or in UTF-16 with its mark. Raises DatasetError for anything else."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
    except OSError as problem:
        raise DatasetError(
            f"{path.name} cannot be read ({problem.strerror}); check that it is a text file you may read."
        ) from problem
    if len(data) > MAX_TEXT_BYTES:
        raise DatasetError(
            f"{path.name} is longer than {MAX_TEXT_BYTES // 1024} KiB, too long for captions or templates; shorten it."
        )
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DatasetError(f"{path.name} is not text in UTF-8; save it with that encoding.") from problem
    if "\0" in text:
        raise DatasetError(f"{path.name} is not text; save it as plain text in UTF-8.")
    return text


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))
