"""The scores of a folder as they come: into tables or on to the console, with the best of them kept for the end."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from ..embedding.metadata import encodable
from ..scoring import Portion, Unreadable
from ..scoring.comparison import Cell, Comparison
from .console import Console
from .score_tables import Table

SHOWN = 5  # pictures that fit best, at the end


class Sheet:
    """The scores as they come: on to the tables, or to the console where there is none, with the best kept."""

    def __init__(self, comparisons: Sequence[Comparison], model: str, console: Console) -> None:
        self.header = ["picture", *(name for comparison in comparisons for name in comparison.header), "model"]
        self.tables: list[Table] = []
        self.unreadable: list[Unreadable] = []
        self.done = self.remembered = 0
        self._comparisons = comparisons
        self._model = model
        self._console = console
        self._best: dict[str, list[tuple[float, str]]] = {name: [] for one in comparisons for name in one.ranked}

    def add(self, portion: Portion) -> None:
        """Score a portion."""
        self.unreadable += portion.unreadable
        if not portion.paths:
            return
        paths: list[Cell] = [encodable(path) for path in portion.paths]
        columns = [paths, *(column for one in self._comparisons for column in one.columns(portion))]
        rows = list(zip(*columns, [self._model] * len(paths), strict=True))
        self.done += len(rows)
        self.remembered += portion.remembered
        for name, best in self._best.items():
            values = columns[self.header.index(name)]
            pairs = [(value, str(path)) for value, path in zip(values, paths, strict=True) if isinstance(value, float)]
            best[:] = heapq.nlargest(SHOWN, [*best, *pairs])
        for table in self.tables:
            table.add(rows)
        if not self.tables:
            for row in rows:
                said = dict(zip(self.header, row, strict=True))
                figures = "  ".join(f"{said[name]:.4f}" for name in self._best if said[name] is not None)
                self._console.item(said, f"{figures}  {row[0]}")

    def values(self, unreadable: Sequence[Unreadable]) -> dict[str, Any]:
        """What a program reads at the end."""
        best = {
            name: [{"picture": path, "value": value} for value, path in pairs] for name, pairs in self._best.items()
        }
        named = [{"path": encodable(one.path), "reason": one.reason} for one in unreadable]
        counts = {"pictures": self.done, "remembered": self.remembered}
        return {"model": self._model, **counts, "best": best, "unreadable": named}

    def text(self, unreadable: Sequence[Unreadable]) -> str:
        """What a person reads at the end."""
        lines = [f"{self.done} pictures scored with {self._model}, {self.remembered} of them known before"]
        if unreadable:
            lines[0] += f"; {len(unreadable)} could not be read"
        for name, pairs in self._best.items():
            lines += [f"best by {name}:", *(f"  {value:.4f}  {path}" for value, path in pairs)]
        return "\n".join(lines)
