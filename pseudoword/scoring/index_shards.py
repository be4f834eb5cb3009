"""Features of very many pictures in files of 65,536 rows each, which are mapped into memory and not read into it.

A file has a page that says what it is, then all codes, then the sizes of their steps, then the features themselves as
float16. It is written with ordinary writes and only read through the map: where the disk is full, a write says so,
while a map would end the process.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import RawIOBase
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .index_codes import ZERO, codes_of, query_of
from .index_products import products

ROWS = 65_536
_PAGE = 4096
_VERSION = 1


@dataclass(frozen=True)
class Shards:
    """The rows in `folder`, of features (N, `width`) of the model `identity`."""

    folder: Path
    identity: str
    width: int

    def opened(self) -> list[Shard]:
        """Those there are, in the order of their rows. Raises ValueError or OSError where one is damaged."""
        found: list[Shard] = []
        while self.path(len(found)).exists():
            found.append(Shard.opened(self.path(len(found)), self.heading))
        return found

    def added(self, number: int) -> Shard:
        """A new one, with no row written. Raises OSError."""
        return Shard.made(self.path(number), self.heading)

    def path(self, number: int) -> Path:
        """Where the rows from `number` times ROWS on are."""
        return self.folder / f"rows-{number:04d}.bin"

    @property
    def heading(self) -> Heading:
        """What the first page of each says."""
        return Heading(self.identity, self.width)


@dataclass(frozen=True)
class Heading:
    """What stands at the beginning of a file of rows."""

    identity: str
    width: int

    @property
    def page(self) -> bytes:
        """The first page."""
        said = {"pseudoword": "rows", "version": _VERSION, "rows": ROWS, "width": self.width, "model": self.identity}
        return json.dumps(said).encode().ljust(_PAGE)

    @property
    def places(self) -> tuple[int, int, int, int]:
        """Where the codes begin, the sizes, the features, and where the file ends."""
        sizes = _PAGE + ROWS * self.width
        features = sizes + ROWS * 4
        return _PAGE, sizes, features, features + ROWS * self.width * 2


class Shard:
    """The rows in one file: `codes` (ROWS, D) as int8, `sizes` (ROWS,) as float32, `features` (ROWS, D) as float16."""

    def __init__(self, path: Path, heading: Heading) -> None:
        self._path, self._heading = path, heading
        codes, sizes, features, end = heading.places
        with open(path, "r+b") as file:
            # Writable, because torch warns of what is not; nothing is ever written through it.
            self._map = mmap.mmap(file.fileno(), end)
        count, width = ROWS * heading.width, heading.width
        self.codes = torch.frombuffer(self._map, dtype=torch.int8, offset=codes, count=count).view(ROWS, width)
        self.sizes = torch.frombuffer(self._map, dtype=torch.float32, offset=sizes, count=ROWS)
        self.features = torch.frombuffer(self._map, dtype=torch.float16, offset=features, count=count).view(ROWS, width)

    @classmethod
    def opened(cls, path: Path, heading: Heading) -> Shard:
        """The file at `path`. Raises ValueError where it is not what `heading` says, OSError."""
        with open(path, "rb") as file:
            page = file.read(_PAGE)
        if page != heading.page or path.stat().st_size != heading.places[-1]:
            raise ValueError(f"{path.name} is damaged or of another version")
        return cls(path, heading)

    @classmethod
    def made(cls, path: Path, heading: Heading) -> Shard:
        """A new file at `path`; it is whole when it gets its name. Raises OSError."""
        unfinished = path.with_suffix(".new")
        with open(unfinished, "wb") as file:
            file.write(heading.page)
            file.truncate(heading.places[-1])  # takes no room on the disk before rows are written, on most systems
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        return cls(path, heading)

    def write(self, rows: Sequence[int], features: Tensor) -> None:
        """Put `features` (N, D) into the ascending `rows`. They are on the disk on return. Raises OSError."""
        codes, sizes = codes_of(features)
        starts = self._heading.places
        with open(self._path, "r+b", buffering=0) as file:
            for kind, values in enumerate((codes, sizes, features.half())):
                data = values.contiguous().numpy()
                for first, places in _runs(rows):
                    file.seek(starts[kind] + first * data[0].nbytes)
                    _write_all(file, data[places].tobytes())
            os.fsync(file.fileno())


def _write_all(file: RawIOBase, data: bytes) -> None:
    while data:  # a disk that is nearly full may take a part
        data = data[file.write(data) or 0 :]


def _runs(rows: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """The parts of ascending `rows` without a gap: the first row, and where they stand in `rows`."""
    for _, run in groupby(enumerate(rows), key=lambda pair: pair[1] - pair[0]):
        places = list(run)
        yield places[0][1], slice(places[0][0], places[-1][0] + 1)


def rough_scores(shards: Sequence[Shard], query: Tensor, count: int) -> np.ndarray:
    """About the cosines (count,) of the first `count` rows of all `shards` with `query` (D,)."""
    code, size = query_of(query)
    found, sizes = np.empty(count, np.float32), np.empty(count, np.float32)
    for number, shard in enumerate(shards):
        rows = slice(number * ROWS, min((number + 1) * ROWS, count))
        if rows.start < count:
            found[rows] = products(shard.codes[: rows.stop - rows.start], code).numpy()
            sizes[rows] = shard.sizes[: rows.stop - rows.start].numpy()
    # In this thread alone: to wake others costs more than it saves, where the processor has other work.
    found -= ZERO * int(code.sum())
    found *= sizes
    found *= size
    return found


def exact_scores(shards: Sequence[Shard], query: Tensor, rows: np.ndarray) -> np.ndarray:
    """The cosines (N,) of `rows` (N,) with `query` (D,), of features as they are kept."""
    found = np.empty(len(rows), np.float32)
    numbers = rows // ROWS
    for number in np.unique(numbers).tolist():
        places = np.flatnonzero(numbers == number)
        chosen = shards[number].features.numpy()[rows[places] % ROWS]
        found[places] = np.einsum("nd,d->n", chosen.astype(np.float32), query.numpy())
    return found
