"""What the CLIP skip panel says: whether it is on, where the layers come from, and those that are written in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .layer_choice import PLACES, Told, said_in_fields

WRITTEN, OF_CHECKPOINT, OF_WORDS = (
    "The layers below",
    "As the checkpoint wants",
    "As the embeddings in the prompt were trained",
)
SOURCES = (WRITTEN, OF_CHECKPOINT, OF_WORDS)
LABELS = {
    "prompt": "Layer for the prompt",
    "negative": "Layer for the negative prompt",
    "hires": "Layer for the hires pass",
    "hires_negative": "Layer for the negative prompt in the hires pass",
}


@dataclass(frozen=True)
class PanelSays:
    """The panel as somebody left it, or a program filled it in; `fields` are texts by place."""

    is_on: bool = False
    source: str = WRITTEN
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def written(self) -> Told:
        """What its fields say."""
        return said_in_fields(self.fields, LABELS)

    def with_field(self, place: str, text: str) -> PanelSays:
        """The panel on, with `text` written in one field; the others only where it was on before, and they count."""
        before = self.fields if self.is_on and self.source == WRITTEN else {}
        return PanelSays(True, WRITTEN, before | {place: text})


def panel_says(values: Sequence[Any]) -> PanelSays:
    """The panel whose values these are: on or off, the source, and the fields in the order of `PLACES`.

    Programs may give fewer, numbers for texts, and sources by their number; what cannot be understood is written in
    the fields' way, and complained of there.
    """
    given: list[Any] = [False, WRITTEN]
    given[: len(values)] = values
    is_on, source, *fields = given
    if isinstance(source, int) and 0 <= source < len(SOURCES):
        source = SOURCES[source]
    texts = {place: "" if text is None else str(text) for place, text in zip(PLACES, fields, strict=False)}
    return PanelSays(is_on in (True, "true", "True"), str(source), texts)
