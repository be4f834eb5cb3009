"""What a picture's infotext says of its CLIP score, and what the panel reads from it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SCORE_KEY = "CLIP score"
MODEL_KEY = "CLIP model"
HASH_KEY = "CLIP model hash"
TEXT_KEY = "CLIP score text"
LONG_KEY = "CLIP score long text"
NOTE_KEY = "CLIP score note"
KEYS = (SCORE_KEY, MODEL_KEY, HASH_KEY, TEXT_KEY, LONG_KEY, NOTE_KEY)
LEFT_OUT_KEY = "CLIP pictures left out"  # a number in the answer to programs; no picture has it
HASH_DIGITS = 10


def shown_model(name: str) -> str:
    """A model's name without the colon, which infotexts would put into quotes: "ViT-L-14 openai"."""
    return name.replace(":", " ")


def has_score(infotext: Mapping[str, str]) -> bool:
    """Whether an infotext that was taken apart is that of a picture, or a sheet of pictures, that was scored."""
    return MODEL_KEY in infotext


def model_of(infotext: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Which of the models called so an infotext names, None where it is none of them."""
    told = shown_model(str(infotext.get(MODEL_KEY, ""))).lower()
    return next((name for name in names if shown_model(name).lower() == told), None)
