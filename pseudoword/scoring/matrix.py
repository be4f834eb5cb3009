"""How well pictures fit texts, as figures: cosines, CLIPScores, probabilities, and what fits best.

cosine        the product of two features of unit length, -1 … 1; 0.2 to 0.35 is usual for what fits
CLIPScore     100 · max(cosine, 0), after Hessel et al., "CLIPScore", 2021, which has 2.5 for 100
probability   softmax of a picture's cosines times the model's own logit scale: which of these texts it would choose
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

_ROUNDING = 1e-6  # of equal texts' cosines


@dataclass(frozen=True, eq=False)
class Scores:
    """Cosines (P, T) of P pictures and T texts, of the model whose title is `model`; P ≥ 1 and T ≥ 1."""

    cosines: Tensor
    logit_scale: float
    model: str

    @classmethod
    def of(cls, pictures: Tensor, texts: Tensor, logit_scale: float, model: str) -> Scores:
        """From features (P, D) and (T, D) of unit length, which must be of the same model."""
        return cls(pictures @ texts.T, logit_scale, model)

    @property
    def clip_scores(self) -> Tensor:
        """CLIPScores (P, T)."""
        return clip_scores(self.cosines)

    @property
    def probabilities(self) -> Tensor:
        """Of each text for each picture (P, T); each row sums to 1."""
        return probabilities(self.cosines, self.logit_scale)

    @property
    def best_texts(self) -> list[int]:
        """For each picture the text that fits it best; the first of equals."""
        return self.cosines.argmax(dim=1).tolist()

    @property
    def best_pictures(self) -> list[int]:
        """For each text the picture that fits it best; the first of equals."""
        return self.cosines.argmax(dim=0).tolist()

    @property
    def is_square(self) -> bool:
        """Whether there are as many pictures as texts, so that each picture may have its own text on the diagonal."""
        return self.cosines.shape[0] == self.cosines.shape[1]

    @property
    def found_texts(self) -> float | None:
        """Where it is square, the share of pictures that no text fits better than their own, that on the diagonal."""
        if not self.is_square:
            return None
        best = self.cosines.max(dim=1).values
        return (self.cosines.diagonal() >= best - _ROUNDING).float().mean().item()


def clip_scores(cosines: Tensor) -> Tensor:
    """CLIPScores of `cosines` of any shape."""
    return 100 * cosines.clamp(min=0)


def probabilities(cosines: Tensor, logit_scale: float) -> Tensor:
    """Softmax of `cosines` (…, T) over the texts, in double precision: scales of 100 leave few digits in single."""
    logits = logit_scale * cosines.double()
    shares = (logits - logits.amax(dim=-1, keepdim=True)).exp()  # torch's own softmax wakes threads even for a few rows
    return (shares / shares.sum(dim=-1, keepdim=True)).to(cosines.dtype)


def matrix_rows(scores: Scores, pictures: Sequence[str], texts: Sequence[str]) -> Iterator[list[str | float | bool]]:
    """A table's header, then one row for each pair of picture and text, with what marks it."""
    yield ["picture", "text", "cosine", "clip score", "probability", "best text", "best picture", "diagonal", "model"]
    figures = [values.tolist() for values in (scores.cosines, scores.clip_scores, scores.probabilities)]
    best_texts, best_pictures, is_square = scores.best_texts, scores.best_pictures, scores.is_square
    for row, picture in enumerate(pictures):
        for column, text in enumerate(texts):
            marks = [best_texts[row] == column, best_pictures[column] == row, is_square and row == column]
            yield [picture, text, *(round(values[row][column], 6) for values in figures), *marks, scores.model]
