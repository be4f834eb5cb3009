"""Figures as CSV text, a header row first, for spreadsheets and programs."""

from __future__ import annotations

from collections.abc import Sequence

from .csv_text import Cell, csv_text
from .figures import EncoderFigures, Relations, WordFigures
from .health import Finding
from .layers import LayerFigures
from .maps import WordMap


def norms_table(figures: WordFigures) -> str:
    """A row for each encoder and vector: its length, where that is in the vocabulary, and the vocabulary's range."""
    header = ["encoder", "vector", "norm", "norm_percentile"]
    header += ["vocabulary_mean", "vocabulary_deviation", "vocabulary_shortest", "vocabulary_longest"]
    rows: list[Sequence[Cell]] = []
    for encoder, found in figures.encoders.items():
        usual = found.vocabulary_norms
        limits = [usual.mean, usual.deviation, usual.shortest, usual.longest]
        rows += [[encoder, one.number, one.norm, one.norm_percentile, *limits] for one in found.vectors]
    return csv_text(header, rows)


def nearest_table(figures: WordFigures) -> str:
    """A row for each encoder, vector, measure and near token, nearest first (`rank` from 1)."""
    header = ["encoder", "vector", "measure", "rank", "token_id", "token", "ends_word", "figure"]
    return csv_text(
        header,
        (
            [encoder, vector.number, measure, rank, one.token_id, one.text, int(one.ends_word), one.figure]
            for encoder, found in figures.encoders.items()
            for vector in found.vectors
            for measure, nearest in vector.nearest.items()
            for rank, one in enumerate(nearest, start=1)
        ),
    )


def similarity_table(figures: EncoderFigures) -> str:
    """The cosines of the vectors with each other: a row and a column for each vector."""
    numbers = [vector.number for vector in figures.vectors]
    rows = zip(numbers, figures.similarity.tolist(), strict=True)
    return csv_text(["vector", *map(str, numbers)], ([number, *row] for number, row in rows))


def relations_table(relations: Relations) -> str:
    """A row for each encoder and other word, nearest first; words that cannot be compared stand last, empty."""
    header = ["encoder", "rank", "name", "mean_cosine", "best_cosine", "own_vector", "its_vector"]
    rows: list[Sequence[Cell]] = [
        [encoder, rank, one.name, one.mean_cosine, one.best_cosine, one.own_vector, one.its_vector]
        for encoder, found in relations.by_encoder.items()
        for rank, one in enumerate(found, start=1)
    ]
    rows += [[None, None, name, None, None, None, None] for name in relations.left_out]
    return csv_text(header, rows)


def findings_table(findings: Sequence[Finding]) -> str:
    """A row for each finding; encoder and vector are empty where it is about the whole word."""
    header = ["level", "kind", "encoder", "vector", "sentence"]
    return csv_text(header, ([one.level, one.kind, one.encoder, one.vector, one.sentence] for one in findings))


def map_table(found: WordMap) -> str:
    """A row for each labelled point of the map: "vector", "token" or "other"."""
    kinds = [("vector", found.vectors), ("token", found.tokens), ("other", found.others)]
    rows: list[Sequence[Cell]] = [[kind, place.label, place.x, place.y] for kind, places in kinds for place in places]
    return csv_text(["kind", "label", "x", "y"], rows)


def layers_table(found: LayerFigures) -> str:
    """A row for each layer and vector, from the first layer to the last."""
    header = ["layer", "clip_skip", "vector", "norm", "known_norm", "cosine_to_last", "cosine_to_known"]
    norms, known, to_last, to_known = (
        values.tolist() for values in (found.norms, found.known_norms, found.to_last, found.to_known)
    )
    return csv_text(
        header,
        (
            [layer + 1, skip, vector + 1, norm, known[layer], to_last[layer][vector], to_known[layer][vector]]
            for layer, skip in enumerate(found.clip_skips)
            for vector, norm in enumerate(norms[layer])
        ),
    )
