"""Changes to an embedding, and saving them so that they can be undone.

A file that is overwritten stays beside the new one, `moon.safetensors` as `moon.safetensors.former`, the next as
`moon.safetensors.2.former`. Neither the WebUI nor an `EmbeddingLibrary` takes such a file for a word, for the suffix
that each looks at is the last one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

from PIL import Image

from ..embedding import SUFFIXES, Embedding, EmbeddingMetadata, FileFormat, check_name, save_embedding
from ..embedding.files import KNOWN_SUFFIXES, read_limited
from ..embedding.whole_file import write_whole
from ..errors import EmbeddingFileError, SettingsError

FORMER = ".former"

_NUMBERS = ("steps", "clip_skip")
_TEXTS = tuple(field.name for field in fields(EmbeddingMetadata) if field.name not in (*_NUMBERS, "extra"))


def with_places(embedding: Embedding, places: Sequence[int]) -> Embedding:
    """`embedding` with those of its vectors that `places` name, in this order; 0 is the first, -1 the last.

    Raises SettingsError for a place that is not there or named twice, and if there is none.
    """
    count = embedding.vector_count
    wrong = next((place for place in places if not -count <= place < count), None)
    if wrong is not None:
        raise SettingsError(f"{embedding.name} has no vector {wrong}; its {count} are numbered 0 to {count - 1}.")
    kept = [place % count for place in places]
    twice = next((place for place in kept if kept.count(place) > 1), None)
    if twice is not None:
        raise SettingsError(f"Vector {twice} of {embedding.name} is named twice; name each that is kept once.")
    if not kept:
        raise SettingsError(f"No vector of {embedding.name} would be left; keep at least one.")
    return replace(embedding, vectors={encoder: rows[kept] for encoder, rows in embedding.vectors.items()})


def renamed(embedding: Embedding, name: str) -> Embedding:
    """`embedding` called `name`; title and trigger phrase follow where they were the former name.

    Raises SettingsError for a name that cannot be used.
    """
    name = check_name(name)
    metadata = embedding.metadata
    title = name if metadata.title == embedding.name else metadata.title
    phrase = name if metadata.trigger_phrase == embedding.name else metadata.trigger_phrase
    return replace(embedding, name=name, metadata=replace(metadata, title=title, trigger_phrase=phrase))


def with_metadata(embedding: Embedding, **facts: str | int | None) -> Embedding:
    """`embedding` with some facts replaced, named as in `EmbeddingMetadata`; "" and None say that one isn't known.

    Raises SettingsError for a fact that there is not, a number that is none, and a text where a number belongs.
    """
    for key, value in facts.items():
        if key not in (*_TEXTS, *_NUMBERS):
            known = ", ".join((*_TEXTS, *_NUMBERS))
            raise SettingsError(f"There is no fact {key[:40]!r} about an embedding; choose of {known}.")
        if key in _NUMBERS and not (value is None or (type(value) is int and value >= 0)):
            raise SettingsError(f"{key} is {str(value)[:40]!r}; give a whole number from 0 on, or none.")
        if key in _TEXTS and not isinstance(value, str):
            raise SettingsError(f"{key} is {str(value)[:40]!r}; give a text, or an empty one.")
    return replace(embedding, metadata=replace(embedding.metadata, **facts))  # type: ignore[arg-type]


def without_metadata(embedding: Embedding) -> Embedding:
    """`embedding` with nothing known about it but its name and vectors."""
    return replace(embedding, metadata=EmbeddingMetadata())


def save_edited(
    embedding: Embedding,
    path: Path,
    format: FileFormat = "safetensors",
    *,
    overwrite: bool = False,
    keep_former: bool = True,
    preview: Image.Image | None = None,
    half: bool = False,
) -> Path:
    """Write `embedding` and return the path of the file, as `save_embedding`; a file that was there stays beside it.

    With `overwrite`, `undo` brings back what was at `path`, unless `keep_former` is not set. Raises SettingsError and
    EmbeddingFileError; then everything is as before.
    """
    path = Path(path)
    if format in SUFFIXES and path.suffix.lower() not in KNOWN_SUFFIXES:
        path = path.with_name(path.name + SUFFIXES[format][0])  # as save_embedding will call it
    if not (overwrite and keep_former and path.exists()):
        return save_embedding(embedding, path, format, overwrite=overwrite, preview=preview, half=half)
    former = _keep(path)
    try:
        return save_embedding(embedding, path, format, overwrite=True, preview=preview, half=half)
    except BaseException:
        with suppress(OSError):
            former.unlink()
        raise


def undo(path: Path) -> Path:
    """Bring back what the last `save_edited` overwrote at `path`, in place of what is there now; the path of it.

    Calls go back one edit after another. Raises EmbeddingFileError if nothing was kept, or it cannot be moved.
    """
    path = Path(path)
    kept = former_files(path)
    if not kept:
        raise EmbeddingFileError(f"Nothing was kept of {path.name} that could be brought back.")
    try:
        kept[-1].replace(path)
    except OSError as error:
        raise EmbeddingFileError(f"{path.name} cannot be brought back ({error.strerror or error}).") from error
    return path


def former_files(path: Path) -> list[Path]:
    """The files that edits of `path` have kept, the oldest first."""
    pattern = re.compile(re.escape(path.name) + r"(?:\.([0-9]{1,9}))?" + re.escape(FORMER))
    try:
        matches = [(pattern.fullmatch(other.name), other) for other in path.parent.iterdir()]
    except OSError:
        return []
    return [other for _, other in sorted((int(match[1] or 1), other) for match, other in matches if match)]


def keep(path: Path, former: Path) -> None:
    """Copy the file at `path` to `former`, which must be free. Raises EmbeddingFileError; nothing is changed then."""
    try:
        # A copy and no move: at no moment is there no file of that name.
        write_whole(former, read_limited(path), overwrite=False)
    except EmbeddingFileError as error:
        reason = str(error).rstrip(".")
        raise EmbeddingFileError(
            f"{path.name} was not changed; it cannot be kept as {former.name}: {reason}."
        ) from error


def _keep(path: Path) -> Path:
    """A copy of the file at `path` with the next free number."""
    kept = former_files(path)
    last = re.search(r"\.([0-9]{1,9})" + re.escape(FORMER) + "$", kept[-1].name) if kept else None
    number = int(last[1]) + 1 if last else len(kept) + 1
    former = path.with_name(path.name + (f".{number}" if number > 1 else "") + FORMER)
    keep(path, former)
    return former
