"""Saving words into a host's library: never over another one unasked, and so that it can be undone.

What is replaced stays beside the new file, which see in `inspect.editing`. A file that takes another's place under a
name of its own, as after a new name or format, keeps that one too: where `moon.pt` became `sun.safetensors`, it is
`sun.safetensors.moon.pt.former`. A preview picture that is replaced is kept beside the former file, with `.preview` at
its end, empty where there was none.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import replace as replaced
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from ...decoding import load_picture
from ...embedding import SUFFIXES, Embedding, FileFormat, check_name, load_embedding, save_embedding
from ...embedding.files import KNOWN_SUFFIXES, card_picture, read_limited
from ...embedding.library import embedding_files, word_in
from ...embedding.metadata import encodable
from ...embedding.whole_file import check_free, write_whole
from ...errors import DatasetError, EmbeddingFileError, SettingsError
from ...inspect.editing import FORMER, former_files, keep, save_edited
from ...inspect.editing import undo as undo_edit
from ...training.contact_sheet import png_bytes
from ..host import Host

PREVIEW = ".preview.png"
LARGEST_PREVIEW = 1024  # pixels along the longer side: the WebUI shows them the size of a card

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_BESIDE = tuple(middle + suffix for middle in (".preview", "") for suffix in _PICTURES)


def save_word(
    host: Host,
    embedding: Embedding,
    format: FileFormat,
    replace: Path | None = None,
    preview: Image.Image | None = None,
    half: bool = False,
) -> Path:
    """Write `embedding` where its name belongs, or in the place of the file `replace`; returns the path of the file.

    A `preview` is drawn on a card, and lies beside a file of another format; `half` is that of `save_embedding`. Raises
    SettingsError for a name that cannot be used or is taken, and for a file outside of the library, EmbeddingFileError
    where something is in the way or cannot be written.
    """
    if format not in SUFFIXES:
        raise SettingsError(f"{str(format)[:40]!r} is no format of embedding files; choose {', '.join(SUFFIXES)}.")
    if replace is None:
        embedding = replaced(embedding, name=check_name(embedding.name))
        target = host.word_place(embedding.name).with_name(embedding.name + SUFFIXES[format][0])
        check_is_new(host, embedding.name, target, None)
    else:
        check_is_ours(host, replace)
        embedding, target = _successor(host, embedding, format, replace)
    picture = None if preview is None or format == "card" else _beside(target, PREVIEW)
    if picture is not None and replace is None:
        check_free(picture, overwrite=False)
    try:
        former = _write(embedding, target, format, replace, preview, half)
        if picture is not None and preview is not None:
            _put_preview(picture, preview, former)
    finally:
        host.words_changed()
    return target


def undo_replace(host: Host, path: Path) -> Path:
    """Take back what was last saved in the place of another file at `path`; returns the path of what is there again.

    Raises EmbeddingFileError where nothing was kept or cannot be brought back, SettingsError outside of the library.
    """
    check_is_ours(host, path)
    kept = kept_files(path)
    if not kept:
        raise EmbeddingFileError(f"Nothing was kept of {path.name} that could be brought back.")
    former, was = kept[-1], _name_before(path, kept[-1])
    try:
        if was is None:
            before = undo_edit(path)
        else:
            before = path.with_name(was)
            if os.path.lexists(before):
                raise EmbeddingFileError(f"{was} is there again; give it another name first, then undo.")
            former.rename(before)
            path.unlink()
        _bring_back_preview(_beside(path, PREVIEW), former.with_name(former.name + ".preview"))
        _move_previews(path, before)
    except OSError as problem:
        raise EmbeddingFileError(f"{path.name} cannot be undone whole ({problem.strerror}).") from problem
    finally:
        host.words_changed()
    return before


def kept_files(path: Path) -> list[Path]:
    """What was kept of the file at `path` when it was replaced, the oldest first."""
    under_other_names = (other for other in _files_in(path.parent) if _name_before(path, other))
    return sorted([*under_other_names, *former_files(path)], key=_changed_ns)


def encoded_word(
    embedding: Embedding, format: FileFormat, preview: Image.Image | None = None, half: bool = False
) -> tuple[str, bytes]:
    """The name and the bytes of a file of `embedding`, which is kept nowhere. Raises SettingsError."""
    if format not in SUFFIXES:
        raise SettingsError(f"{str(format)[:40]!r} is no format of embedding files; choose {', '.join(SUFFIXES)}.")
    with TemporaryDirectory(prefix="pseudoword-", ignore_cleanup_errors=True) as folder:
        path = save_embedding(embedding, Path(folder) / "word", format, preview=preview, half=half)
        return embedding.name + path.suffix, path.read_bytes()


def preview_from(path: Path) -> Image.Image:
    """The picture at `path` as a preview. Raises SettingsError where it is none."""
    try:
        picture = load_picture(path)
    except DatasetError as problem:
        raise SettingsError(f"The preview {path.name} cannot be used: {problem}.") from problem
    picture.thumbnail((LARGEST_PREVIEW, LARGEST_PREVIEW))
    return picture


def picture_to_keep(file: Path, beside: Path | None) -> Image.Image | None:
    """What a new card of the embedding in `file` shows unasked: its own picture if it is a card, else what is `beside`.

    None where there is none, or none that can be used.
    """
    shown = file if file.suffix.lower() == ".png" else beside
    if shown is None:
        return None
    with suppress(EmbeddingFileError):  # what is beside it may be a card, too
        return card_picture(shown)
    with suppress(SettingsError):
        return preview_from(shown)
    return None


# ---- what may be written -------------------------------------------------------------------------------------------


def check_is_ours(host: Host, path: Path) -> None:
    """Raise SettingsError unless the file at `path` is one of the host's library, or where its new words belong."""
    places = [*host.library(), host.word_place("word").parent]
    spellings = (os.path.abspath, os.path.realpath)  # as it is called, also through a link in it; and where it leads
    for spell in spellings:
        file = Path(spell(path))
        if any(file.is_relative_to(spell(place)) for place in places):
            return
    raise SettingsError(
        f"{path.name} is not in the library and stays as it is; leave out 'replace' to save a copy in the library."
    )


def check_is_new(host: Host, name: str, target: Path, besides: Path | None) -> None:
    """Raise SettingsError where `name` is taken by another file than `besides`, in the library or beside `target`."""
    host.refuse_name(name)
    for place in (*host.library(), target.parent):
        for other in embedding_files(place) if place.is_dir() else [place]:
            is_word = other.suffix.lower() in KNOWN_SUFFIXES - {".png"}  # a card is called as it says inside
            if is_word and other.stem.casefold() == name.casefold() and not _is_same(other, besides):
                raise SettingsError(f"There is an embedding {name!r} already, {other.name}; choose another name.")


def _successor(host: Host, embedding: Embedding, format: FileFormat, file: Path) -> tuple[Embedding, Path]:
    """The embedding that takes the place of `file`, and its path."""
    known_as = encodable(word_in(file, load_embedding(file)))
    is_renamed = embedding.name != known_as
    if is_renamed:
        embedding = replaced(embedding, name=check_name(embedding.name))
    fits = file.suffix.lower() in SUFFIXES[format]
    stem, suffix = embedding.name if is_renamed else file.stem, file.suffix if fits else SUFFIXES[format][0]
    target = file.with_name(stem + suffix)
    if embedding.name.casefold() != known_as.casefold():
        check_is_new(host, embedding.name, target, file)
    return embedding, target


# ---- files ---------------------------------------------------------------------------------------------------------


def _write(
    embedding: Embedding,
    target: Path,
    format: FileFormat,
    replace: Path | None,
    preview: Image.Image | None,
    half: bool,
) -> Path | None:
    """Write the file and return what was kept of the one that it replaces."""
    picture = preview if format == "card" else None
    if replace is None or replace == target:
        save_edited(embedding, target, format, overwrite=replace is not None, preview=picture, half=half)
        return None if replace is None else former_files(target)[-1]
    check_free(target, overwrite=False)
    former = _free_former(target, replace)
    keep(replace, former)
    try:
        save_embedding(embedding, target, format, preview=picture, half=half)
        try:
            replace.unlink()
        except OSError as problem:
            target.unlink()
            reason = problem.strerror or problem
            raise EmbeddingFileError(f"{replace.name} cannot be replaced ({reason}); nothing was changed.") from problem
    except BaseException:
        with suppress(OSError):
            former.unlink()
        raise
    _move_previews(replace, target)
    return former


def _free_former(target: Path, file: Path) -> Path:
    """What `file` is kept as when `target` takes its place."""
    number = 1
    while True:
        middle = file.name + (f".{number}" if number > 1 else "")
        former = target.with_name(f"{target.name}.{middle}{FORMER}")
        if not os.path.lexists(former):
            return former
        number += 1


def _name_before(path: Path, former: Path) -> str | None:
    """What the file was called whose place the one at `path` took, if `former` is what was kept of it."""
    suffixes = "|".join(re.escape(suffix) for suffix in sorted(KNOWN_SUFFIXES))
    pattern = re.escape(path.name) + rf"\.(.*(?i:{suffixes}))(?:\.[0-9]{{1,9}})?" + re.escape(FORMER)
    match = re.fullmatch(pattern, former.name, re.DOTALL)
    return None if match is None else match[1]


def _is_same(file: Path, other: Path | None) -> bool:
    return other is not None and os.path.realpath(file) == os.path.realpath(other)


def _changed_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _files_in(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


# ---- preview pictures ----------------------------------------------------------------------------------------------


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.stem + ending)


def _put_preview(picture: Path, preview: Image.Image, former: Path | None) -> None:
    """Write a preview; what it takes the place of is kept beside `former`, where there is one."""
    if former is not None:
        before = read_limited(picture) if picture.exists() else b""
        write_whole(former.with_name(former.name + ".preview"), before, overwrite=True)
    write_whole(picture, png_bytes(preview), overwrite=former is not None)


def _bring_back_preview(picture: Path, kept: Path) -> None:
    """Put back the preview that is `kept`, if one is. Raises OSError."""
    if not kept.exists():
        return
    if kept.stat().st_size:
        kept.replace(picture)
    else:
        picture.unlink(missing_ok=True)
        kept.unlink()


def _move_previews(file: Path, target: Path) -> None:
    """Let the previews of `file` go with it to its new name, unless another embedding is called as it was."""
    words = [other for other in _files_in(file.parent) if other.suffix.lower() in KNOWN_SUFFIXES - {".png"}]
    if any(file.stem == other.stem for other in (target, *words)):
        return
    for ending in _BESIDE:
        picture, place = _beside(file, ending), _beside(target, ending)
        with suppress(OSError):  # without its picture a word is as good
            if picture.is_file() and not os.path.lexists(place):
                picture.rename(place)
