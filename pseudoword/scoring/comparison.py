"""What is said of each picture of a folder: how well it fits some texts, or its own prompt, or what a head makes of it.

Each comparison gives columns of one value a picture, so that a hundred thousand pictures cost no more memory than one
portion of them. Cosines have six digits, the other figures four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .clip import ClipScorer, Using
from .feature_cache import FeatureCache, Remembered, content_of_text
from .folder import Portion, as_bytes, features_of
from .heads import Head
from .long_texts import LongTexts
from .matrix import clip_scores, probabilities
from .prompt_text import sentence_of

Cell = str | float | None
FEW_TEXTS = 8


class Comparison(Protocol):
    """Something that is said of pictures."""

    @property
    def header(self) -> tuple[str, ...]:
        """The names of its columns."""
        ...

    @property
    def ranked(self) -> tuple[str, ...]:
        """Those of its columns by which one would put pictures into an order."""
        ...

    def columns(self, portion: Portion) -> list[list[Cell]]:
        """Its columns for the pictures of `portion`; None where there is nothing to say of a picture."""
        ...


@dataclass(frozen=True, eq=False)
class TextComparison:
    """Pictures beside the same `labels`, texts or names of classes, of which `features` (T, D) have unit length."""

    labels: tuple[str, ...]
    features: Tensor
    logit_scale: float

    @property
    def header(self) -> tuple[str, ...]:
        """Of several texts also the probabilities and the best."""
        kinds = ("cosine", "clip score", "probability") if len(self.labels) > 1 else ("cosine", "clip score")
        best = ("best text",) if len(self.labels) > 1 else ()
        return (*best, *(f"{kind}: {label}" for kind in kinds for label in self.labels))

    @property
    def ranked(self) -> tuple[str, ...]:
        """The cosine of each text."""
        return tuple(f"cosine: {label}" for label in self.labels)

    def columns(self, portion: Portion) -> list[list[Cell]]:
        """See Comparison."""
        cosines = cosines_of(portion.features, self.features)  # (N, T)
        columns = [*_columns(cosines, 6), *_columns(clip_scores(cosines), 4)]
        if len(self.labels) == 1:
            return columns
        best: list[Cell] = [self.labels[place] for place in cosines.argmax(dim=1).tolist()]
        return [best, *columns, *_columns(probabilities(cosines, self.logit_scale), 4)]


@dataclass(eq=False)
class PromptComparison:
    """Each picture beside the prompt in its own file; `too_long` and `without` count what that met.

    Prompts are encoded within `using()`, where the model is lent to others meanwhile.
    """

    scorer: ClipScorer
    cache: FeatureCache
    long: LongTexts = "cut"
    using: Using | None = None
    too_long: int = 0
    without: int = 0
    header: tuple[str, ...] = field(default=("prompt", "cosine", "clip score"), init=False)
    ranked: tuple[str, ...] = field(default=("cosine",), init=False)

    def columns(self, portion: Portion) -> list[list[Cell]]:
        """See Comparison."""
        sentences = [sentence_of(prompt) for prompt in portion.prompts]
        named = [place for place, sentence in enumerate(sentences) if sentence]
        self.without += len(sentences) - len(named)
        cosines: list[Cell] = [None] * len(sentences)
        scores: list[Cell] = [None] * len(sentences)
        if named:
            known = self._features([sentences[place] for place in named])
            features = torch.stack([known[sentences[place]] for place in named])
            found = (portion.features[named] * features).sum(dim=1, keepdim=True)
            pairs = zip(named, _columns(found, 6)[0], _columns(clip_scores(found), 4)[0], strict=True)
            for place, cosine, score in pairs:
                cosines[place], scores[place] = cosine, score
        return [list(sentences), cosines, scores]

    def _features(self, sentences: Sequence[str]) -> dict[str, Tensor]:
        """The feature (D,) of each of `sentences`."""
        known: dict[str, bytes] = {}
        for sentence in dict.fromkeys(sentences):
            remembered = self.cache.of_content(content_of_text(sentence, self.long))
            if remembered is not None:
                known[sentence] = remembered.feature
        new = [sentence for sentence in dict.fromkeys(sentences) if sentence not in known]
        if new:
            with (self.using or self.scorer.alone)() as scorer:
                encoded = as_bytes(scorer.text_features(new, self.long, remember=False))
            for sentence, feature in zip(new, encoded, strict=True):
                self.cache.put(content_of_text(sentence, self.long), Remembered(feature))
                known[sentence] = feature
        long = self.scorer.too_long([sentence for sentence in known if len(sentence) > self.scorer.token_room])
        self.too_long += sum(sentence in long for sentence in sentences) if long else 0
        return dict(zip(known, features_of(list(known.values())), strict=True))


@dataclass(frozen=True, eq=False)
class HeadComparison:
    """What a head makes of each picture."""

    head: Head

    @property
    def header(self) -> tuple[str, ...]:
        """The head's name."""
        return (f"head: {self.head.name}",)

    @property
    def ranked(self) -> tuple[str, ...]:
        """The same."""
        return self.header

    def columns(self, portion: Portion) -> list[list[Cell]]:
        """See Comparison."""
        return _columns(self.head.scores(portion.features)[:, None], 4)


def cosines_of(pictures: Tensor, texts: Tensor) -> Tensor:
    """Cosines (N, T) of features (N, D) and (T, D) of unit length.

    For few texts in this thread alone: waking others costs twice what they save.
    """
    if len(texts) > FEW_TEXTS:
        return pictures @ texts.T
    return torch.from_numpy(np.einsum("nd,td->nt", pictures.numpy(), texts.numpy()))


def _columns(values: Tensor, digits: int) -> list[list[Cell]]:
    """The columns of `values` (N, C), rounded."""
    return np.round(values.numpy().astype(np.float64).T, digits).tolist()
