"""Which files of a library hold the same vectors, or nearly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .library_row import LibraryRow

NEAR_COSINE = 0.999
"""Words whose mean vectors have a larger cosine, and as many vectors of the same widths, are near duplicates."""

_BLOCK = 512  # files compared at once with as many others: at 2,048 numbers 4 MB each
_NAMED = 4  # files that a sentence names

Directions = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DuplicateGroup:
    """Files with nearly the same vectors; `exact` if all have the same to the bit. `lowest_cosine` is to the first.

    `number` counts from 1 in the order of the table, `sentence` says it to people.
    """

    number: int
    files: tuple[Path, ...]
    exact: bool
    lowest_cosine: float
    sentence: str


def grouped(
    rows: Sequence[LibraryRow], should_stop: Callable[[], bool] = lambda: False
) -> tuple[tuple[LibraryRow, ...], tuple[DuplicateGroup, ...]]:
    """`rows` with their groups, and the groups. Near is transitive: of a long row of small steps all are one group.

    Where `should_stop` ends it early, near duplicates may be missing; exact ones never are.
    """
    places = [index for index, row in enumerate(rows) if row.fingerprint]
    firsts: dict[str, int] = {}  # the first row of each fingerprint
    first_of = {index: firsts.setdefault(rows[index].fingerprint, index) for index in places}
    leader = _near(rows, list(firsts.values()), should_stop)
    members: dict[int, list[int]] = defaultdict(list)
    for index in places:
        members[leader[first_of[index]]].append(index)
    groups: list[DuplicateGroup] = []
    marked = list(rows)
    for indices in sorted((found for found in members.values() if len(found) > 1), key=min):
        group = _group(len(groups) + 1, [rows[index] for index in indices])
        groups.append(group)
        for index in indices:
            alike = sum(first_of[other] == first_of[index] for other in indices)
            marked[index] = replace(rows[index], group=group.number, duplicate="exact" if alike > 1 else "near")
    return tuple(marked), tuple(groups)


def _near(rows: Sequence[LibraryRow], indices: Sequence[int], should_stop: Callable[[], bool]) -> dict[int, int]:
    """For each of `indices` one that stands for all that are near to it, directly or over others."""
    leader: dict[int, int] = {}
    kinds: dict[object, list[int]] = defaultdict(list)
    for index in indices:
        kinds[rows[index].vector_count, rows[index].widths].append(index)
    for alike in kinds.values():
        labels = np.arange(len(alike))
        for first, near in _near_pairs([rows[index].signature for index in alike], should_stop):
            met = np.unique(labels[near])
            if len(met) > 1 or met[0] != labels[first]:
                met = np.append(met, labels[first])
                labels[np.isin(labels, met)] = met.min()
        leader.update({index: alike[label] for index, label in zip(alike, labels.tolist(), strict=True)})
    return leader


def _near_pairs(
    signatures: Sequence[bytes], should_stop: Callable[[], bool]
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """The place of each signature that is near to others, and theirs; products of two blocks at a time."""
    starts = range(0, len(signatures), _BLOCK)
    for start in starts:
        block = signature_directions(signatures[start : start + _BLOCK])  # (b, D)
        for other in starts[start // _BLOCK :]:
            if should_stop():
                return
            others = block if other == start else signature_directions(signatures[other : other + _BLOCK])
            near = block @ others.T > NEAR_COSINE  # (b, b')
            if other == start:
                np.fill_diagonal(near, False)
            for row in np.flatnonzero(near.any(axis=1)).tolist():
                yield start + row, other + np.flatnonzero(near[row])


def signature_directions(signatures: Sequence[bytes]) -> Directions:
    """The signatures as vectors of length 1, (n, D); those of 0 stay 0 and are near to nothing."""
    table = np.frombuffer(b"".join(signatures), "<f2").reshape(len(signatures), -1).astype(np.float32)
    norms: Directions = np.linalg.norm(table, axis=1, keepdims=True)  # float16 has rounded them a little
    norms[norms == 0] = 1
    return table / norms


def _group(number: int, rows: Sequence[LibraryRow]) -> DuplicateGroup:
    exact = len({row.fingerprint for row in rows}) == 1
    directions = signature_directions([row.signature for row in rows])
    lowest = 1.0 if exact else float((directions @ directions[0]).min())
    shown = [row.path for row in rows[:_NAMED]]
    rest = len(rows) - len(shown)
    listed = ", ".join(shown[:-1] if not rest else shown) + (f" and {rest} more" if rest else f" and {shown[-1]}")
    said = "the same vectors" if exact else f"nearly the same vectors (cosine {lowest:.4f} or more)"
    sentence = f"Group {number}: {listed} hold {said}; one of them is enough."
    return DuplicateGroup(number, tuple(row.file for row in rows), exact, lowest, sentence)
