"""What the tab that changes embeddings does when something in it is chosen, typed or pressed."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ..embedding import SUFFIXES, Embedding, FileFormat
from ..errors import PseudowordError, SettingsError
from ..inspect.library_row import LibraryRow
from ..jobs.library.inspector import Inspector
from ..jobs.library.word_changes import Changes
from ..jobs.library.word_saving import encoded_word, kept_files, picture_to_keep, preview_from, save_word, undo_replace
from . import gradio_versions
from .messages import says
from .recipe_html import recipe_html
from .saved_word import choosing, label_after, saved_says
from .word_html import FAMILIES

NONE_CHOSEN = '<p class="pseudoword-small">Choose an embedding to change or convert.</p>'
FACTS: Mapping[str, tuple[str, str]] = {
    "title": ("Title", ""),
    "author": ("Author", ""),
    "description": ("Description", ""),
    "trigger_phrase": ("Trigger phrase", "what a prompt says to use it"),
    "date": ("Date", "2026-11-20"),
    "resolution": ("Resolution", "512x512"),
    "trained_on": ("Trained on", "the checkpoint's title"),
    "trained_on_sha256": ("SHA-256 of the checkpoint", ""),
    "steps": ("Steps", ""),
    "clip_skip": ("CLIP skip", "1 is the last layer"),
}
"""The facts that can be set, by the field of `EmbeddingMetadata`: label, and an example or explanation."""
LARGEST_DOWNLOAD = 16_000_000  # bytes; as text in the page it is a third more
MOST_SHOWN = 300  # characters of what a file says besides


def shown(inspector: Inspector, label: str | None) -> list[Any]:
    """What the fields show of the embedding called `label`: its facts, and no changes."""
    row, embedding, problem = None, None, NONE_CHOSEN
    if label:
        try:
            row, embedding = inspector.row(label), inspector.load(label)
        except PseudowordError as error:
            problem = says(str(error), "warning")
    if row is None or embedding is None:
        return [problem, "", "", gr.update(), False, False, False, None, *("" for _ in FACTS)]
    metadata = embedding.metadata
    facts = ["" if (value := getattr(metadata, fact)) is None else str(value) for fact in FACTS]
    return [about_html(row, embedding), "", embedding.name, format_of(row.file), False, False, False, None, *facts]


def format_of(file: Path) -> FileFormat:
    """The format that a file's suffix is the usual one of."""
    return next((format for format, suffixes in SUFFIXES.items() if suffixes[0] == file.suffix.lower()), "safetensors")


def about_html(row: LibraryRow, embedding: Embedding) -> str:
    """What the file is, and what it says that has no field."""
    widths = " + ".join(f"{encoder} {rows.shape[1]}" for encoder, rows in embedding.vectors.items())
    kept = len(kept_files(row.file))
    facts = {
        "embedding": embedding.name,
        "file": f"{row.path}, {row.kind}, {size(row.size_bytes or 0)}",
        "for": f"{FAMILIES[embedding.architecture]}, {widths}",
        "vectors": str(embedding.vector_count),
        "earlier versions kept": str(kept) if kept else "",
        **embedding.metadata.extra,
    }
    pairs = [(escape(name[:MOST_SHOWN]), escape(value[:MOST_SHOWN])) for name, value in facts.items() if value]
    if recipe := recipe_html(embedding.metadata.recipe):
        pairs.append(("recipe", recipe))
    told = "".join(f'<div class="pseudoword-figure"><dt>{name}</dt><dd>{value}</dd></div>' for name, value in pairs)
    return f'<dl class="pseudoword-figures pseudoword-edit-facts">{told}</dl>'


def outcome(inspector: Inspector, label: str | None, vectors: str, name: str, is_half: bool) -> str:
    """What becomes of the vectors, while it is typed, in one line of HTML; nothing where nothing changes."""
    try:
        if not label:
            return ""
        before = inspector.load(label)
        after = Changes(vectors or "", name or "", bool(is_half)).apply(before)
    except PseudowordError as problem:
        return says(str(problem), "warning")
    is_same = after.name == before.name and not vectors and not is_half
    return "" if is_same else says(f"{change_in_words(before, after, is_half)}.", "good")


def saved(inspector: Inspector, chosen: Any, format: Any, preview: Any, may_replace: bool, *changes: Any) -> list[Any]:
    """Save the embedding with its changes; returns what to tell, the choice after that, and what the fields show."""
    try:
        row, before, after, is_half = changed(inspector, *changes)
        picture = picture_for(format, preview, row)
        path = save_word(inspector.host, after, format, row.file if may_replace else None, picture, is_half)
        sizes = f"{size(row.size_bytes or 0)} → {size(path.stat().st_size)}"
    except PseudowordError as problem:
        return told_only(str(problem))
    where = f"{path.name} is replaced" if may_replace else f"{path.name} is saved"
    if may_replace and path.name != row.file.name:
        where = f"{path.name} has taken the place of {row.file.name}"
    said = saved_says(f"{where}: {change_in_words(before, after, is_half)}; {sizes}.", after.name)
    return looking_at(inspector, chosen, path, said)


def undone(inspector: Inspector, chosen: Any, label: str | None) -> list[Any]:
    """Take back the last replacement of the embedding called `label`; returns the same as `saved`."""
    try:
        if not label:
            raise SettingsError("Choose an embedding first.")
        path = undo_replace(inspector.host, inspector.row(label).file)
    except PseudowordError as problem:
        return told_only(str(problem))
    return looking_at(inspector, chosen, path, says(f"{path.name} is back as it was.", "good"))


def downloaded(inspector: Inspector, format: Any, preview: Any, *changes: Any) -> str:
    """A link to a file of the embedding with its changes, which the page itself holds."""
    try:
        row, before, after, is_half = changed(inspector, *changes)
        name, content = encoded_word(after, format, picture_for(format, preview, row), is_half)
        if len(content) > LARGEST_DOWNLOAD:
            raise SettingsError(f"{name} has {size(len(content))}, too much for the page; save it in the library.")
    except PseudowordError as problem:
        return says(str(problem), "warning")
    address = f"data:application/octet-stream;base64,{base64.b64encode(content).decode('ascii')}"
    said = f"{change_in_words(before, after, is_half)}; {size(row.size_bytes or 0)} → {size(len(content))}."
    return (
        f'<p class="pseudoword-good" role="status"><a class="pseudoword-link" href="{address}" '
        f'download="{escape(name)}">Download {escape(name)}</a> {escape(said)}</p>'
    )


def changed(
    inspector: Inspector, label: str | None, vectors: str, name: str, is_half: bool, is_bare: bool, *facts: str
) -> tuple[LibraryRow, Embedding, Embedding, bool]:
    """The file that is chosen, its embedding before and after the changes, and whether that is stored in 16 bits.

    Raises PseudowordError.
    """
    if not label:
        raise SettingsError("Choose an embedding first.")
    row, before = inspector.row(label), inspector.load(label)
    given = {fact: text or "" for fact, text in zip(FACTS, facts, strict=True)}
    changes = Changes(vectors or "", name or "", bool(is_half), bool(is_bare), given)
    return row, before, changes.apply(before), changes.is_half


def picture_for(format: Any, preview: Any, row: LibraryRow) -> Image.Image | None:
    """The picture that was uploaded; without one a card shows what there is already. Raises SettingsError."""
    uploaded = gradio_versions.uploaded_paths(preview)
    if uploaded:
        return preview_from(uploaded[0])
    return picture_to_keep(row.file, row.preview) if format == "card" else None


def change_in_words(before: Embedding, after: Embedding, is_half: bool) -> str:
    """The difference in numbers and name: "4 vectors → 3, clip_l, rounded to fp16"."""
    count = f"{before.vector_count} vector{'s' * (before.vector_count > 1)}"
    if after.vector_count != before.vector_count:
        count += f" → {after.vector_count}"
    name = f"{before.name} → {after.name}, " if after.name != before.name else ""
    return f"{name}{count}, {' + '.join(after.vectors)}{', rounded to fp16' if is_half else ''}"


def looking_at(inspector: Inspector, chosen: Any, path: Path, said: str) -> list[Any]:
    """What to tell, the choice of the file at `path`, and what the fields show of it."""
    label = label_after(inspector, path)
    if label is None:
        return told_only(f"{path.name} is written; read the library again to see it.")
    return [said, choosing(inspector, chosen, label), *shown(inspector, label)]


def told_only(sentence: str) -> list[Any]:
    """What to tell, and nothing else changes."""
    return [says(sentence, "warning"), *(gr.update() for _ in range(9 + len(FACTS)))]


def size(count: int) -> str:
    """So many bytes, for people."""
    if count >= 1_000_000:
        return f"{count / 1_000_000:.1f} MB"
    return f"{count / 1000:.1f} KB" if count < 10_000 else f"{count / 1000:.0f} KB"
