"""What a form asks to be changed of an embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...embedding import Embedding, rounded_to_fp16
from ...errors import SettingsError
from ...inspect.editing import renamed, with_metadata, with_places, without_metadata
from ...inspect.vector_list import vector_places

NUMBERS = ("steps", "clip_skip")


@dataclass(frozen=True)
class Changes:
    """`vectors` lists those that are kept, numbered from 1, empty for all; an empty `name` is the former one.

    `is_half` rounds the values to fp16, in which the file is then to be stored. `facts` are texts by the fields of
    `EmbeddingMetadata`, empty where one is unknown; the others stay. With `is_bare` nothing is known about the word
    afterwards.
    """

    vectors: str = ""
    name: str = ""
    is_half: bool = False
    is_bare: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)

    def apply(self, embedding: Embedding) -> Embedding:
        """`embedding` with the changes. Raises SettingsError for what cannot be."""
        changed = with_places(embedding, vector_places(self.vectors, embedding.vector_count))
        if self.is_bare:
            changed = without_metadata(changed)
        else:
            changed = with_metadata(changed, **{name: _fact(name, text) for name, text in self.facts.items()})
        name = self.name.strip()
        if name and name != embedding.name:
            changed = renamed(changed, name)
        return rounded_to_fp16(changed) if self.is_half else changed


def _fact(name: str, text: str) -> str | int | None:
    text = text.strip()
    if name not in NUMBERS:
        return text
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise SettingsError(f"{name.replace('_', ' ')} is {text[:40]!r}; give a whole number from 0 on, or nothing.")
    return int(text)
