"""Which rows of a large matrix are nearest to vectors, fast and exact.

One matrix product in float32 ranks all rows for all vectors and all measures; the rows that rank highest are computed
again, exactly, in float64. Rounding blurs the first ranking by no more than a known bound: where the candidates do not
reach beyond it, all rows within it become candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

Measure = Literal["cosine", "dot", "distance"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
Found: TypeAlias = "list[tuple[list[int], list[float]]]"
"""For each vector the numbers of its rows, nearest first, and their figures."""

SPARE = 8  # candidates beyond those that are asked for
QUERIES = 128  # vectors that are looked up at once: 25 MB of products with CLIP's vocabulary
COMPUTED = 8192  # rows that are computed exactly at once: 50 MB at 768 numbers each
BLOCK = 128  # numbers in a row of the ranking of which the highest is looked for first
BLOCKS = 128  # of them ranked at once: 5 MB for 75 vectors, which a processor's cache holds
ROUNDING = 2.0**-24  # the largest relative error of one float32 operation


@dataclass(frozen=True, eq=False)
class Rows:
    """A matrix `vectors` (V, D), float32 on the CPU and finite, with what is computed once for all searches."""

    vectors: Tensor
    norms: Tensor = field(init=False)  # (V,), float64
    longest: float = field(init=False)
    inverse_norms: Tensor = field(init=False)  # (V,), float32
    squared_norms: Tensor = field(init=False)  # (V,), float32

    def __post_init__(self) -> None:
        norms = torch.linalg.vector_norm(self.vectors, dim=1, dtype=torch.float64)
        object.__setattr__(self, "norms", norms)
        object.__setattr__(self, "longest", float(norms.max()))
        # All products with zeros are 0, whatever they are divided by.
        object.__setattr__(self, "inverse_norms", torch.where(norms > 0, 1 / norms, 1.0).float())
        object.__setattr__(self, "squared_norms", norms.square().float())

    @torch.no_grad()
    def nearest(
        self, queries: Tensor, count: int, measures: Sequence[Measure], left_out: Sequence[int] = ()
    ) -> dict[Measure, Found]:
        """The `count` rows nearest to each of `queries` (n, D), float64 and finite, by each of `measures`.

        Nearest first; of equals the lower number. Rows `left_out` are as if they were not there. By cosine and dot
        product a query of zeros has none: all rows are alike to it.
        """
        found: dict[Measure, Found] = {measure: [] for measure in measures}
        most = min(count, len(self.vectors) - len(left_out))
        for some in queries.split(QUERIES):
            lengths = some.norm(dim=1, keepdim=True)
            product = torch.where(lengths > 0, some / lengths, 0.0).float() @ self.vectors.T  # (n, V)
            product[:, list(left_out)] = -torch.inf
            for measure in measures:
                found[measure] += self._found(some, Ranking(self, product, lengths, measure), most)
        return found

    def _found(self, queries: Tensor, ranking: Ranking, count: int) -> Found:
        ids, clear = ranking.candidates(count)
        found = self._best(queries, ids, ranking, count)
        blank = ranking.lengths[:, 0] == 0 if ranking.measure != "distance" else torch.zeros_like(clear)
        for place in (~clear & ~blank).nonzero()[:, 0].tolist():
            one = ranking.of_one(place)
            found[place] = self._best(queries[place : place + 1], one.within_reach(count), one, count)[0]
        return [([], []) if is_blank else row for row, is_blank in zip(found, blank.tolist(), strict=True)]

    def _best(self, queries: Tensor, ids: Tensor, ranking: Ranking, count: int) -> Found:
        """The `count` best of the rows `ids` (n, k), which rise, by exact figures."""
        figures = torch.cat(
            [
                torch.cat([self._exact(some, rows, ranking.measure) for rows in pieces], dim=1)
                for some, pieces in bounded(queries, ids)
            ]
        )
        is_there = ranking.at(ids) > -torch.inf
        nearness = torch.where(is_there, -figures if ranking.measure == "distance" else figures, -torch.inf)
        # Stable: of equals, the lower number stays first.
        order = nearness.sort(dim=1, descending=True, stable=True).indices[:, :count]
        return list(zip(ids.gather(1, order).tolist(), figures.gather(1, order).tolist(), strict=True))

    def _exact(self, queries: Tensor, ids: Tensor, measure: Measure) -> Tensor:
        """Figures (n, k), float64, of each of `queries` (n, D), float64, with its rows `ids` (n, k)."""
        rows, queries = self.vectors[ids].double(), queries[:, None]  # (n, k, D), (n, 1, D)
        if measure == "distance":
            return rows.sub_(queries).norm(dim=2)
        # Not as a matrix product: that may sum equal rows in different orders, and ties would be none.
        dots = rows.mul_(queries).sum(dim=2)
        if measure == "dot":
            return dots
        lengths = self.norms[ids] * queries.norm(dim=2)
        return torch.where(lengths > 0, dots / lengths, 0.0).clamp(-1, 1)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Numbers (n, V) that rank `rows` for n vectors, the higher the nearer; made of them is what is asked for.

    `product` (n, V), float32, is of the vectors at length 1 with the rows, and minus infinity where a row is left out;
    `lengths` (n, 1), float64, are the vectors' own.
    """

    rows: Rows
    product: Tensor
    lengths: Tensor
    measure: Measure

    def of_one(self, place: int) -> Ranking:
        """The ranking for the vector at `place` alone."""
        one = slice(place, place + 1)
        return Ranking(self.rows, self.product[one], self.lengths[one], self.measure)

    def at(self, ids: Tensor) -> Tensor:
        """The numbers of the rows `ids` (n, k), of the same shape."""
        return self._ranked(self.product.gather(1, ids), ids)

    def _ranked(self, product: Tensor, ids: Tensor | slice) -> Tensor:
        if self.measure == "dot":
            return product
        if self.measure == "cosine":
            return product * self.rows.inverse_norms[ids]
        # |v - w|² = |v|² - 2 v·w + |w|². The first term is the same for all rows and would drown the others in its
        # rounding; without it, and divided by -2 |v|, this is the product less a share of |w|².
        return torch.addcmul(product, self._share.float(), self.rows.squared_norms[ids], value=-1)

    @property
    def _share(self) -> Tensor:
        return 0.5 / self.lengths.clamp(min=1e-20)  # (n, 1), float64; float32 has no room for shorter ones

    @property
    def blur(self) -> Tensor:
        """How far off a number may be by rounding, (n, 1), float64: the worst that a sum of D products can do."""
        longest, relative = self.rows.longest, (self.rows.vectors.shape[1] + 8) * ROUNDING
        if self.measure == "distance":
            return relative * longest + 4 * ROUNDING * (longest + self._share * longest**2)
        return torch.full_like(self.lengths, relative * (longest if self.measure == "dot" else 1))

    def candidates(self, count: int) -> tuple[Tensor, Tensor]:
        """The rows that rank highest, (n, k), rising, a few more than `count`.

        The second answer (n,) is whether they hold the `count` best for certain.
        """
        in_all = self.product.shape[1]
        values, ids = self.highest(min(count + SPARE, in_all))
        beyond = values[:, -1:] < values[:, count - 1 : count] - 2 * self.blur
        clear = beyond[:, 0] if ids.shape[1] < in_all else torch.ones(len(ids), dtype=torch.bool)
        return ids.sort(dim=1).values, clear

    def highest(self, count: int) -> tuple[Tensor, Tensor]:
        """The `count` highest numbers of each vector, falling, and their rows; both (n, count).

        As `torch.topk`, several times as fast: only the blocks with the highest maxima can hold the highest numbers.
        """
        in_all = self.product.shape[1]
        if in_all // BLOCK <= count:
            values, ids = self._ranked(self.product, slice(None)).topk(count, dim=1)
            return values, ids
        whole = in_all // BLOCK * BLOCK
        pieces = [slice(start, min(start + BLOCK * BLOCKS, whole)) for start in range(0, whole, BLOCK * BLOCKS)]
        tops = [self._ranked(self.product[:, p], p).unflatten(1, (-1, BLOCK)).amax(dim=2) for p in pieces]
        starts = torch.cat(tops, dim=1).topk(count, dim=1).indices * BLOCK
        inside = (starts[:, :, None] + torch.arange(BLOCK)).flatten(1)  # (n, count · BLOCK)
        rest = torch.arange(whole, in_all).expand(len(inside), -1)
        ids = torch.cat([inside, rest], dim=1)
        values, chosen = self.at(ids).topk(count, dim=1)
        return values, ids.gather(1, chosen)

    def within_reach(self, count: int) -> Tensor:
        """All rows that can be among the `count` best, (1, k), rising; for the ranking of one vector."""
        numbers = self._ranked(self.product, slice(None))[0]
        limit = numbers.topk(count).values[-1] - 2 * self.blur[0]
        return (numbers >= limit).nonzero().T


def bounded(queries: Tensor, ids: Tensor) -> Iterator[tuple[Tensor, Sequence[Tensor]]]:
    """`queries` (n, D) with their `ids` (n, k), in pieces of `ids` that are at most `COMPUTED` in number."""
    together = max(1, COMPUTED // ids.shape[1])
    for some, rows in zip(queries.split(together), ids.split(together), strict=True):
        yield some, rows.split(COMPUTED, dim=1)
