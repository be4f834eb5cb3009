"""Training pictures that a program sends along: base64 to files with safe names, their captions beside them."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..decoding import FOREIGN_SUFFIXES, SUFFIXES
from ..errors import DatasetError, TrainingError
from ..training.captions import MAX_TEXT_BYTES
from .schemas import UploadedPicture

MOST_PICTURES = 200  # a word is learned from 3 to 10, a style from some dozens; all of a request are in memory at once
MOST_BYTES = 50_000_000  # of one picture; cameras' files of the largest size that is read have about half of that
MOST_NAME_BYTES = 150  # file systems take 255, and the number, a suffix and a second number come to it


def store(pictures: Sequence[UploadedPicture], folder: Path) -> list[Path]:
    """Write `pictures` to `folder`, each caption in a text file beside its picture; returns all the files.

    Raises DatasetError for what is no base64, too large or too many, TrainingError where it cannot be written.
    """
    if len(pictures) > MOST_PICTURES:
        raise DatasetError(
            f"There are {len(pictures)} pictures, and at most {MOST_PICTURES} are taken; send fewer, or name a folder."
        )
    files = []
    try:
        for number, picture in enumerate(pictures, start=1):
            path = folder / file_name(number, picture.name)
            path.write_bytes(decode(picture))
            files.append(path)
            if picture.caption is not None:
                caption = path.with_suffix(".txt")
                caption.write_bytes(caption_text(picture))
                files.append(caption)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise TrainingError(
            f"The pictures could not be stored ({reason}); make room on the server, and send them again."
        ) from problem
    return files


def file_name(number: int, name: str) -> str:
    """A name for picture `number` that every file system takes, made of the last part of `name`.

    The number keeps apart what is called alike, and is left out where the name serves as a caption. A name that is no
    picture's gets a suffix: only files that are called like pictures are looked at in a folder.
    """
    last = re.split(r"[/\\]", name)[-1]
    stem, suffix = os.path.splitext(last)
    if suffix.lower() not in SUFFIXES | FOREIGN_SUFFIXES:
        stem, suffix = last, ".png"
    safe = "".join(letter if letter.isprintable() and letter not in '<>:"|?*' else "_" for letter in stem)
    short = safe.encode()[:MOST_NAME_BYTES].decode(errors="ignore")
    return f"{number:03d}-{short}{suffix.lower()}"


def decode(picture: UploadedPicture) -> bytes:
    """The bytes of `picture`. Raises DatasetError."""
    data = picture.data
    if data[:5].lower() == "data:":
        head, _, data = data.partition(",")
        if not head.lower().endswith(";base64"):
            raise DatasetError(f"The data: URL of {picture.name!r} is not in base64; send it with ';base64,'.")
    data = "".join(data.split())  # some encoders break it into lines
    if len(data) // 4 * 3 - data.endswith("=") - data.endswith("==") > MOST_BYTES:
        raise DatasetError(
            f"{picture.name!r} is larger than {MOST_BYTES // 1_000_000} MB; make the picture smaller, or name a folder."
        )
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError as problem:
        raise DatasetError(
            f"The data of {picture.name!r} is not base64 ({problem}); send the bytes of the file, encoded."
        ) from problem
    if not content:
        raise DatasetError(f"The data of {picture.name!r} is empty; send the bytes of the file, encoded.")
    return content


def caption_text(picture: UploadedPicture) -> bytes:
    """The caption as its file holds it. Raises DatasetError where it is too long for that."""
    text = (picture.caption or "").replace("\0", " ").encode("utf-8", "replace")  # JSON may hold half characters
    if len(text) > MAX_TEXT_BYTES:
        raise DatasetError(
            f"The caption of {picture.name!r} is longer than {MAX_TEXT_BYTES // 1024} KiB; a prompt holds some dozen "
            "words, so shorten it."
        )
    return text
