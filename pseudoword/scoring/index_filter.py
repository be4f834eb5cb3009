"""Which pictures of an index come into question, by where they are, when they were changed, and how they were made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..embedding.metadata import encodable
from .index_table import Columns


@dataclass(frozen=True)
class Wanted:
    """Which pictures come into question: those below `roots`, changed at the times and scored as said, and so on.

    Times are seconds since 1970. `words` must all stand in the prompt, `checkpoint` is named as in the list of them.
    """

    roots: tuple[str, ...]
    since: float | None = None
    until: float | None = None
    checkpoint: str = ""
    least_score: float | None = None
    most_score: float | None = None
    words: tuple[str, ...] = ()

    def among(self, every: Columns, folders: Mapping[str, int], checkpoints: Mapping[str, int]) -> np.ndarray:
        """Which of `every` slot (N,) it is, apart from the words; by the numbers of folders and checkpoints."""
        inside = np.zeros(max(folders.values(), default=0) + 1, bool)
        inside[[number for path, number in folders.items() if is_below(path, self.roots)]] = True
        allowed: np.ndarray = every.taken & inside[np.minimum(every.folder, len(inside) - 1)]
        if self.since is not None:
            allowed &= every.changed_s >= self.since
        if self.until is not None:
            allowed &= every.changed_s < self.until
        if self.least_score is not None:
            allowed &= every.score >= self.least_score  # what has no score is no number, and never above anything
        if self.most_score is not None:
            allowed &= every.score <= self.most_score
        if self.checkpoint:
            allowed &= every.checkpoint == checkpoints.get(encodable(self.checkpoint), -1)
        return allowed


def is_below(path: str, roots: Sequence[str]) -> bool:
    """Whether the folder `path` is one of `roots`, or lies in one."""
    return any(path == root or path.startswith(os.path.join(root, "")) for root in roots)
