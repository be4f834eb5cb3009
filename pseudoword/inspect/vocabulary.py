"""The words that a model was born with, as vectors, and which of them are nearest to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..diffusion import TextEncoder, Tokenizer
from ..errors import ModelError, SettingsError
from ..text.tokenizer import WORD_END
from .nearest_rows import MEASURES, Measure, Rows


@dataclass(frozen=True)
class Neighbour:
    """A token near a vector: `text` is without `</w>`, which `ends_word` tells; `figure` is the measure's."""

    token_id: int
    text: str
    ends_word: bool
    figure: float


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The input vectors of one text encoder with what their tokens say.

    `vectors` is (V, D), float32, contiguous, on the CPU, and a copy: a host may load another checkpoint into the memory
    it came from. `texts` are the V tokens' texts, `</w>` kept where they end a word. `specials` are the ids of start
    and end token, which have vectors like all others. Raises ModelError where texts and vectors do not agree in number,
    or the vectors are not finite.
    """

    encoder: str
    vectors: Tensor
    texts: tuple[str, ...]
    specials: tuple[int, ...] = ()
    _rows: Rows = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or not self.vectors.numel() or len(self.vectors) != len(self.texts):
            raise ModelError(
                f"A vocabulary of shape {tuple(self.vectors.shape)} does not go with {len(self.texts)} tokens; "
                f"wanted is (tokens, width)."
            )
        vectors = self.vectors.detach().to("cpu", torch.float32, copy=True).contiguous()
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "_rows", Rows(vectors))
        if not self.norms.isfinite().all():
            raise ModelError(
                f"The vocabulary of {self.encoder} has vectors that are not finite: the checkpoint is broken; "
                f"load another one."
            )

    @classmethod
    def of_encoder(cls, encoder: TextEncoder) -> Vocabulary:
        """The vocabulary of a text encoder as it is now. Raises ModelError."""
        return cls.of_tensor(encoder.name, encoder.vocabulary, encoder.tokenizer)

    @classmethod
    def of_tensor(cls, encoder: str, vectors: Tensor, tokenizer: Tokenizer) -> Vocabulary:
        """`vectors` (V, D) of the text encoder called `encoder`. Raises ModelError.

        A token that the tokenizer has no text for, as programs append for words of their own, is called `<|its id|>`.
        """
        texts = tuple(token_text(tokenizer, token_id) for token_id in range(len(vectors)))
        specials = {tokenizer.start_id, tokenizer.end_id}
        return cls(encoder, vectors, texts, tuple(sorted(i for i in specials if i < len(vectors))))

    @property
    def width(self) -> int:
        """Numbers in one vector, D."""
        return self.vectors.shape[1]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def norms(self) -> Tensor:
        """Lengths of the vectors, (V,), float64."""
        return self._rows.norms

    @cached_property
    def sorted_norms(self) -> Tensor:
        """`norms` from the shortest to the longest, (V,), float64."""
        return self.norms.sort().values

    def norm_percentiles(self, norms: Tensor) -> Tensor:
        """How many per cent of the vocabulary are shorter than each of `norms` (n,), float64; equal ones count half."""
        norms = norms.to(torch.float64).contiguous()
        shorter = torch.searchsorted(self.sorted_norms, norms)
        not_longer = torch.searchsorted(self.sorted_norms, norms, right=True)
        return (shorter + not_longer) * (50 / len(self))

    def nearest(
        self, vectors: Tensor, count: int = 10, measure: Measure = "cosine", *, with_specials: bool = True
    ) -> list[tuple[Neighbour, ...]]:
        """The `count` tokens nearest to each of `vectors` (n, D), nearest first; of equals, the lower id.

        Cosine and dot product are the nearer the higher, the Euclidean distance the lower; figures are exact (float64).
        By cosine and dot product a vector of zeros has no neighbours: it has no direction. Raises SettingsError for a
        count below 1, an unknown measure or numbers that are not finite, ModelError for vectors of another width.
        """
        return self.nearest_by_each(vectors, count, (measure,), with_specials=with_specials)[measure]

    def nearest_by_each(
        self,
        vectors: Tensor,
        count: int = 10,
        measures: Sequence[Measure] = MEASURES,
        *,
        with_specials: bool = True,
    ) -> dict[Measure, list[tuple[Neighbour, ...]]]:
        """As `nearest`, by several measures that share one matrix product."""
        self._check(vectors, count, measures)
        left_out = () if with_specials else self.specials
        found = self._rows.nearest(vectors.detach().to("cpu", torch.float64), count, measures, left_out)
        return {
            measure: [tuple(map(self.neighbour, ids, figures)) for ids, figures in rows]
            for measure, rows in found.items()
        }

    def neighbour(self, token_id: int, figure: float) -> Neighbour:
        """The token `token_id` with a figure."""
        text = self.texts[token_id]
        ends_word = text.endswith(WORD_END) and text != WORD_END
        return Neighbour(token_id, text.removesuffix(WORD_END) if ends_word else text, ends_word, figure)

    def _check(self, vectors: Tensor, count: int, measures: Sequence[str]) -> None:
        unknown = [measure for measure in measures if measure not in MEASURES]
        if unknown:
            raise SettingsError(f"There is no measure {unknown[0]!r}; choose {', '.join(MEASURES)}.")
        if count < 1:
            raise SettingsError(f"{count} nearest tokens are asked for; ask for 1 or more.")
        if vectors.ndim != 2 or vectors.shape[1] != self.width:
            raise ModelError(
                f"The vectors have the shape {tuple(vectors.shape)}, but those of {self.encoder} are {self.width} "
                f"wide; load a model that they were made for."
            )
        if not vectors.isfinite().all():
            raise SettingsError("Vectors with numbers that are not finite have no nearest tokens; mend them first.")


def token_text(tokenizer: Tokenizer, token_id: int) -> str:
    """What a token says, `</w>` kept; `<|its id|>` where the tokenizer does not know it."""
    try:
        return tokenizer.token_text(token_id)
    except (KeyError, IndexError):
        return f"<|{token_id}|>"
