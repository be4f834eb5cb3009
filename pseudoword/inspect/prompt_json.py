"""What is read of a prompt as plain JSON values, for programs; chunks and vectors are numbered from 1."""

from __future__ import annotations

import math
from typing import Any

from .prompt_view import PieceView, PromptView


def prompt_json(view: PromptView) -> dict[str, Any]:
    """All that `view` holds; a weight that is too large for a number is null."""
    return {
        "prompt": view.prompt,
        "chunks": [
            {"used": chunk.used, "pieces": [piece_json(piece) for piece in chunk.pieces]} for chunk in view.chunks
        ],
        "words": [
            {
                "name": word.name,
                "chunk": word.chunk + 1,
                "position": word.position,
                "vectors": word.vectors,
                "weight": weight_json(word.weight),
                "replaces": word.replaces,
            }
            for word in view.words
        ],
        "webui_readings": [
            {"name": one.name, "expected": one.expected, "found": one.found, "places": list(one.places)}
            for one in view.webui_readings
        ],
        "cut": None
        if view.cut is None
        else {"lost": view.cut.lost, "lost_text": view.cut.lost_text, "torn": view.cut.torn},
    }


def piece_json(piece: PieceView) -> dict[str, Any]:
    """One position."""
    return {
        "kind": piece.kind,
        "position": piece.position,
        "text": piece.text,
        "id": piece.token_id,
        "ends_word": piece.ends_word,
        "vector": None if piece.vector is None else piece.vector + 1,
        "weight": weight_json(piece.weight),
    }


def weight_json(weight: float) -> float | None:
    """`weight`, where JSON has it."""
    return weight if math.isfinite(weight) else None
