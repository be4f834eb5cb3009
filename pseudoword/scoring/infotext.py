"""The prompt that a picture was made from, where AUTOMATIC1111 and programs like it put it into the file."""

from __future__ import annotations

import io
import re
from contextlib import suppress

from PIL import Image

from ..decoding import FORMATS

MAX_LETTERS = 20_000  # a prompt has hundreds; a file may hold anything
# A name is tried from its first letter alone: who tries all others, too, is kept busy for hours by a line without any.
_FACT = re.compile(r"(?<![\w .\-/])[\w .\-/]+:\s*(?:\"(?:\\.|[^\\\"])*\"|[^,]*)(?:,|$)")
_FEWEST_FACTS = 3  # as in A1111: a last line with fewer is part of the prompt
_EXIF, _USER_COMMENT = 0x8769, 0x9286


def prompt_in(data: bytes) -> str:
    """The prompt in a PNG, JPEG or WebP file; "" where there is none, or the file is broken."""
    return prompt_of(infotext_in(data))


def infotext_in(source: bytes | str) -> str:
    """The whole text: prompt, negative prompt, and a line of facts; of a file's bytes, or of the file at a path."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with suppress(Exception), Image.open(file, formats=FORMATS) as picture:
        text = picture.info.get("parameters")
        if isinstance(text, str):
            return text[:MAX_LETTERS]
        if picture.format == "PNG" and "exif" not in picture.info:
            return ""  # Pillow would decode all pixels to see whether something follows them
        comment = picture.getexif().get_ifd(_EXIF).get(_USER_COMMENT)
        if isinstance(comment, str):
            return comment[:MAX_LETTERS]
        if isinstance(comment, bytes):
            return _decoded(comment[: 2 * MAX_LETTERS])
    return ""


def facts_of(infotext: str) -> dict[str, str]:
    """What the line of facts says, such as {"Steps": "20", "Model": "v1-5"}; nothing where there is no such line."""
    found = _FACT.findall(infotext.strip().split("\n")[-1])
    if len(found) < _FEWEST_FACTS:
        return {}
    pairs = (fact.rstrip(",").partition(":") for fact in found)
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def prompt_of(infotext: str) -> str:
    """What stands before the negative prompt and the line of facts."""
    lines = infotext.strip().split("\n")
    if len(_FACT.findall(lines[-1])) >= _FEWEST_FACTS:
        lines.pop()
    end = next((place for place, line in enumerate(lines) if line.startswith("Negative prompt:")), len(lines))
    return "\n".join(lines[:end]).strip()


def _decoded(comment: bytes) -> str:
    """The text of EXIF's UserComment, whose first eight bytes say how it is written; A1111's is big-endian UTF-16."""
    kind, text = comment[:8], comment[8:]
    if kind.startswith(b"UNICODE"):
        little = text[1::2].count(0) > text[::2].count(0)  # other programs write the bytes in this order
        return text.decode("utf-16-le" if little else "utf-16-be", "replace")
    return (text if kind.startswith((b"ASCII", b"\0\0\0\0")) else comment).decode("utf-8", "replace").strip("\0")
