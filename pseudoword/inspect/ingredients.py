"""What expressions are made of: the embeddings and the words of the vocabulary that their names and phrases mean."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..diffusion import Tokenizer
from ..embedding import Embedding
from ..embedding.forms import named_tensors
from ..embedding.metadata import encodable
from ..embedding.safetensors_file import content_hash
from ..errors import SettingsError
from ..text import vocabulary_words
from .expression import Name, Phrase, expression_error
from .figures import widths_of

MAX_EMBEDDINGS = 50  # different ones in one expression

_ARCHITECTURES = {"sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2", "sdxl": "Stable Diffusion XL"}


class Lexicon(Protocol):
    """What expressions need of a text encoder; every `TextEncoder` is one."""

    @property
    def name(self) -> str:
        """What embedding files call the encoder."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        ...

    @property
    def vocabulary(self) -> Tensor:
        """Input vectors of all tokens, (V, D)."""
        ...


class WordSource(Protocol):
    """Embeddings by name, such as an `EmbeddingLibrary`."""

    def names(self) -> Sequence[str]:
        """All names."""
        ...

    def load(self, name: str) -> Embedding:
        """The embedding called `name`, one of `names()`."""
        ...


@dataclass(frozen=True)
class Ingredient:
    """An embedding that went into an expression; `sha256` is of its vectors, as in `modelspec.hash_sha256`."""

    name: str
    sha256: str
    clip_skip: int | None


class _Table:
    """A mapping as a WordSource."""

    def __init__(self, words: Mapping[str, Embedding]) -> None:
        self._words = words

    def names(self) -> Sequence[str]:
        return list(self._words)

    def load(self, name: str) -> Embedding:
        return self._words[name]


class Pantry:
    """What the names and phrases of one expression stand for; embeddings are loaded when they are first asked for."""

    def __init__(
        self, expression: str, encoders: Sequence[Lexicon], words: Mapping[str, Embedding] | WordSource
    ) -> None:
        self._expression = expression
        self._encoders = encoders
        self._source = source = _Table(words) if isinstance(words, Mapping) else words
        self._names: dict[str, str] = {}
        for name in source.names():
            self._names.setdefault(name.casefold(), name)
        self._loaded: dict[str, Embedding] = {}

    def ingredients(self) -> tuple[Ingredient, ...]:
        """The embeddings that were asked for, in this order."""
        return tuple(
            Ingredient(name, content_hash(named_tensors(word)).removeprefix("0x"), word.metadata.clip_skip)
            for name, word in self._loaded.items()
        )

    def count(self, leaf: Name | Phrase) -> int:
        """How many vectors it has."""
        embedding = self._embedding(leaf)
        if embedding is not None:
            return embedding.vector_count
        counts = {encoder.name: len(self._tokens(leaf, encoder)) for encoder in self._encoders}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{count} of {name}" for name, count in counts.items())
            raise self._error(leaf, f"This is a different number of tokens for each text encoder, {told}; use another.")
        return counts[self._encoders[0].name]

    def rows_for(self, encoder: Lexicon) -> Callable[[Name | Phrase], Tensor]:
        """Gives the vectors (n, D) of a leaf, float64."""

        def rows(leaf: Name | Phrase) -> Tensor:
            embedding = self._embedding(leaf)
            if embedding is not None:
                return embedding.vectors[encoder.name].double()
            vocabulary = encoder.vocabulary
            ids = torch.tensor(self._tokens(leaf, encoder), device=vocabulary.device)
            return vocabulary.detach()[ids].cpu().double()

        return rows

    def _embedding(self, leaf: Name | Phrase) -> Embedding | None:
        name = self._names.get(leaf.text.casefold()) if isinstance(leaf, Name) else None
        if name is None:
            return None
        if name not in self._loaded:
            if len(self._loaded) == MAX_EMBEDDINGS:
                raise self._error(
                    leaf, f"This is embedding {MAX_EMBEDDINGS + 1}; at most {MAX_EMBEDDINGS} are combined."
                )
            embedding = self._source.load(name)
            self._check_fits(leaf, embedding)
            self._loaded[name] = embedding
        return self._loaded[name]

    def _check_fits(self, leaf: Name | Phrase, embedding: Embedding) -> None:
        found = widths_of(embedding)
        wanted = {encoder.name: encoder.vocabulary.shape[1] for encoder in self._encoders}
        if found != wanted:
            told = " and ".join(f"{name} {width} wide" for name, width in found.items())
            needed = " and ".join(f"{name} {width} wide" for name, width in wanted.items())
            family = _ARCHITECTURES[embedding.architecture]
            raise self._error(leaf, f"{leaf.text!r} is for {family} ({told}), and this model wants {needed}.")

    def _tokens(self, leaf: Name | Phrase, encoder: Lexicon) -> list[int]:
        tokens = encoder.tokenizer.tokenize(leaf.text) if isinstance(leaf, Phrase) or not leaf.braced else []
        if isinstance(leaf, Phrase):
            if not tokens:
                raise self._error(leaf, "This phrase is empty; put words between the quotation marks.")
            return tokens
        if len(tokens) != 1:
            raise self._unknown(leaf)
        return tokens

    def _unknown(self, leaf: Name) -> SettingsError:
        known = [encodable(name) for name in self._names.values()]
        if not leaf.braced:
            known += [word for _, word in vocabulary_words(self._encoders[0].tokenizer)]
        spelled = {name.casefold(): name for name in reversed(known)}
        near = [spelled[name] for name in difflib.get_close_matches(leaf.text.casefold()[:100], spelled, 3)]
        what = "embedding" if leaf.braced else "embedding or word of the vocabulary"
        hints = [f"the nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}"] if near else []
        if "-" in leaf.text.strip("-") and not leaf.braced:
            hints.append("a minus wants spaces around it")
        if not leaf.braced:
            hints.append("text of several tokens wants quotation marks")
        return self._error(leaf, f"There is no {what} {leaf.text[:40]!r}; {'; '.join(hints) or 'look at its name'}.")

    def _error(self, leaf: Name | Phrase, sentence: str) -> SettingsError:
        return expression_error(self._expression, leaf.place, sentence)
