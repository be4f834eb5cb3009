"""A prompt cut into chunks of 77 positions, the way AUTOMATIC1111 does it, with new words kept as what they are.

A chunk is the start token, up to 75 pieces, the end token, and padding. A piece is a token of the vocabulary or one
vector of a new word. Text longer than 75 goes on in the next chunk; a comma among the last 20 pieces is the preferred
place to cut. A new word is never cut in two, unless it alone has more than 75 vectors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ..diffusion import Tokenizer

CHUNK_TOKENS = 75  # pieces between start and end
COMMA_REACH = 20  # A1111's "comma_padding_backtrack" as it is by default

Piece: TypeAlias = "int | tuple[str, int]"
"""A token id, or (new word, index of one of its vectors)."""


@dataclass(frozen=True)
class Chunk:
    """77 positions of a prompt: `pieces` with start, end and padding."""

    pieces: tuple[Piece, ...]

    @property
    def token_ids(self) -> list[int]:
        """77 token ids; token 0 holds the place of a new word's vector."""
        return [piece if isinstance(piece, int) else 0 for piece in self.pieces]

    @property
    def word_vectors(self) -> list[tuple[int, str, int]]:
        """(position, new word, index of its vector) of each piece that is not a token."""
        return [(place, *piece) for place, piece in enumerate(self.pieces) if not isinstance(piece, int)]


def chunk_prompt(prompt: str, tokenizer: Tokenizer, words: Mapping[str, int]) -> list[Chunk]:
    """The chunks of `prompt`, at least one. `words` gives the number of vectors of each new word.

    A new word counts where it stands as a whole word, in upper or lower case; of two that fit, the longer one.
    """
    commas = tokenizer.tokenize(",")
    chunks: list[list[Piece]] = []
    current: list[Piece] = []
    for run in unbroken_runs(prompt, tokenizer, words):
        if len(current) == CHUNK_TOKENS and run != commas:
            kept, moved = cut_after_comma(current, commas)
            if moved:
                chunks.append(kept)
                current = moved
        if len(current) == CHUNK_TOKENS or len(current) + len(run) > CHUNK_TOKENS >= len(run):
            chunks.append(current)
            current = []
        current = current + run
        while len(current) > CHUNK_TOKENS:
            chunks.append(current[:CHUNK_TOKENS])
            current = current[CHUNK_TOKENS:]
    if current or not chunks:
        chunks.append(current)
    return [framed(pieces, tokenizer) for pieces in chunks]


def unbroken_runs(prompt: str, tokenizer: Tokenizer, words: Mapping[str, int]) -> Iterator[list[Piece]]:
    """The pieces of `prompt` in order; what must stay together is one list: a token, or all vectors of a word."""
    names = sorted(perhaps_said(prompt, words), key=len, reverse=True)
    rest = 0
    for match in word_pattern(names).finditer(prompt) if names else ():
        for token in tokenizer.tokenize(prompt[rest : match.start()]):
            yield [token]
        assert match.lastindex is not None
        name = names[match.lastindex - 1]
        yield [(name, index) for index in range(words[name])]
        rest = match.end()
    for token in tokenizer.tokenize(prompt[rest:]):
        yield [token]


def perhaps_said(prompt: str, names: Iterable[str]) -> list[str]:
    """Those of `names` whose letters are in `prompt`, in any case; `word_pattern` can find no others.

    A pattern of thousands of names takes seconds to be made, and all of them are tried at each letter.
    """
    letters = _without_case(prompt)
    return [name for name in names if _without_case(name) in letters]


def _without_case(text: str) -> str:
    """`text` with one spelling for all letters that a pattern takes for the same: also for i, I, ı and İ."""
    return text.upper().casefold().replace("\u0307", "")  # the dot that İ has in small letters, too


def word_pattern(names: list[str]) -> re.Pattern[str]:
    """Matches any of `names` as a whole word, one group for each: no letter, digit or underscore goes on beside it."""
    bounded = []
    for name in names:
        before = r"(?<!\w)" if re.match(r"\w", name) else ""
        after = r"(?!\w)" if re.search(r"\w\Z", name) else ""
        bounded.append(f"{before}({re.escape(name)}){after}")
    return re.compile("|".join(bounded), re.IGNORECASE)


def cut_after_comma(pieces: list[Piece], commas: list[int]) -> tuple[list[Piece], list[Piece]]:
    """`pieces` up to their last comma, and what follows it; nothing follows when no comma is near the end."""
    near = range(len(pieces) - 1, len(pieces) - 1 - COMMA_REACH, -1)
    place = next((place for place in near if pieces[place] in commas), len(pieces) - 1)
    return pieces[: place + 1], pieces[place + 1 :]


def framed(pieces: list[Piece], tokenizer: Tokenizer) -> Chunk:
    """`pieces` with start, end and padding around them."""
    padding = [tokenizer.pad_id] * (CHUNK_TOKENS - len(pieces))
    return Chunk((tokenizer.start_id, *pieces, tokenizer.end_id, *padding))
