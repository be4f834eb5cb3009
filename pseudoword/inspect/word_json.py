"""A word's figures as plain JSON values, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .figures import Relations, WordFigures
from .health import Finding


def vectors_json(figures: WordFigures) -> list[dict[str, Any]]:
    """Every vector of every encoder, numbered from 1, with its length and nearest tokens by each measure."""
    return [
        {
            "encoder": encoder.encoder,
            "vector": vector.number,
            "norm": vector.norm,
            "norm_percentile": vector.norm_percentile,
            "nearest": {
                measure: [
                    {"token": one.text, "ends_word": one.ends_word, "id": one.token_id, "figure": one.figure}
                    for one in nearest
                ]
                for measure, nearest in vector.nearest.items()
            },
        }
        for encoder in figures.encoders.values()
        for vector in encoder.vectors
    ]


def findings_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """What is wrong or odd; encoder and vector are null where it is about the whole word."""
    return [
        {"level": one.level, "kind": one.kind, "encoder": one.encoder, "vector": one.vector, "says": one.sentence}
        for one in findings
    ]


def relations_json(relations: Relations) -> dict[str, Any]:
    """Other words by encoder, nearest first."""
    return {
        encoder: [{"name": one.name, "cosine": one.mean_cosine, "best_cosine": one.best_cosine} for one in nearest]
        for encoder, nearest in relations.by_encoder.items()
    }
