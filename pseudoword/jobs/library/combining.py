"""Words made of others by an expression, in the vocabulary of the loaded model or in that of a checkpoint file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from ...diffusion import Tokenizer
from ...embedding import Embedding
from ...errors import ModelError
from ...inspect.arithmetic import Combination, evaluate
from ...inspect.expression import names_in
from ...inspect.expression_parser import parse
from ...inspect.vocabulary import Vocabulary
from ...text import BytePairTokenizer
from .inspector import Inspector, WordsOfLibrary
from .vocabularies import FAMILIES, Fitting


@dataclass(frozen=True, eq=False)
class Combined:
    """What an expression gives, and by encoder the vocabularies that it was made in."""

    combination: Combination
    vocabularies: Mapping[str, Vocabulary]


@dataclass(frozen=True, eq=False)
class StoredLexicon:
    """What expressions need of a text encoder, taken from a `Fitting`."""

    name: str
    tokenizer: Tokenizer
    vocabulary: Tensor


def combine(inspector: Inspector, expression: str) -> Combined:
    """What `expression` gives for the text encoders that the first embedding in it is for.

    Where it says none it is for the loaded model. Raises SettingsError as `evaluate`, EmbeddingFileError, and
    ModelError where there is no vocabulary to look words up in.
    """
    words = inspector.words()
    said = embeddings_in(expression, words)
    widths = dict(words.rows[said[0]].widths) if said else {}
    fitting = fitting_for(inspector, widths)
    # A Stable Diffusion 1 word has what it needs in SDXL's vocabularies, too.
    used = {name: found for name, found in fitting.vocabularies.items() if name in widths} or fitting.vocabularies
    lexicons = [StoredLexicon(name, tokenizer_of(fitting, name), found.vectors) for name, found in used.items()]
    return Combined(evaluate(expression, lexicons, words), used)


def ingredients_of(inspector: Inspector, combination: Combination) -> list[Embedding]:
    """The embeddings that a combination was made of. Raises EmbeddingFileError."""
    words = inspector.words()
    return [words.load(part.name) for part in combination.ingredients if part.name in words.rows]


def embeddings_in(expression: str, words: WordsOfLibrary) -> list[str]:
    """Those of `words` that an expression says, from left to right. Raises SettingsError where it is none."""
    names: dict[str, str] = {}
    for name in words.names():
        names.setdefault(name.casefold(), name)
    said = (names.get(name.casefold()) for name in names_in(parse(expression)))
    return [name for name in said if name is not None]


def fitting_for(inspector: Inspector, widths: Mapping[str, int]) -> Fitting:
    """Vocabularies for words of these `widths`, or for any; those of the loaded model where it has no such.

    Raises ModelError where there are none.
    """
    if inspector.host.encoders() is not None:
        with suppress(ModelError):
            return inspector.vocabularies.fitting(widths)
        return inspector.vocabularies.fitting({})  # what does not fit it is then told with its place
    for wanted in [widths] if widths else map(dict, FAMILIES):
        with suppress(ModelError):
            return inspector.vocabularies.fitting(wanted)
    family = FAMILIES.get(frozenset(widths.items()))
    what = f"{family} checkpoint" if family else "the checkpoint that the embedding was made for" if widths else "one"
    raise ModelError(
        "Expressions need the vocabulary of a model, and none is loaded, nor is there a checkpoint file here that has "
        f"it; load {what}."
    )


def tokenizer_of(fitting: Fitting, encoder: str) -> Tokenizer:
    """The tokenizer of the loaded text encoder called `encoder`, or CLIP's own."""
    loaded = fitting.encoder(encoder)
    return clip_tokenizer() if loaded is None else loaded.tokenizer


@lru_cache(maxsize=1)
def clip_tokenizer() -> Tokenizer:
    """CLIP's own tokenizer, that of all Stable Diffusion models. Raises MissingExtra."""
    return BytePairTokenizer.clip()
