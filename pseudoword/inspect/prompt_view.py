"""What the model reads of a prompt: tokens, words and their places, chunks, weights, and what is taken for a word.

The chunks are those of `pseudoword.text.chunk_prompt`; nothing is cut here a second time. Attention is A1111's syntax,
see `attention`.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Literal

from ..diffusion import Tokenizer
from ..embedding.metadata import encodable
from ..errors import SettingsError
from ..text import CHUNK_TOKENS, chunk_prompt
from ..text.attention import WeightedText, parse_attention
from ..text.chunks import Piece, perhaps_said, unbroken_runs
from ..text.tokenizer import WORD_END

MAX_CHARACTERS = 20_000
Kind = Literal["start", "token", "word", "end", "padding"]


@dataclass(frozen=True)
class PieceView:
    """One of the 77 positions of a chunk.

    `token_id` and `text` (without `</w>`, which `ends_word` tells) are a token's. A new word has its name for a text,
    no token, and `vector` says which of its vectors is here. `number` counts tokens and vectors through the prompt.
    """

    kind: Kind
    position: int
    text: str = ""
    token_id: int | None = None
    ends_word: bool = False
    vector: int | None = None
    weight: float = 1.0
    number: int | None = None


@dataclass(frozen=True)
class ChunkView:
    """77 positions; `used` is how many of the 75 between start and end are taken."""

    pieces: tuple[PieceView, ...]
    used: int


@dataclass(frozen=True)
class WordView:
    """A new word in the prompt: `vectors` places from `position` of the chunk `chunk` on.

    `replaces` is the ordinary word that can no longer be said while there is a new word of that name; else empty.
    """

    name: str
    chunk: int
    position: int
    vectors: int
    weight: float
    replaces: str = ""


@dataclass(frozen=True)
class WebuiReading:
    """A new word that the WebUI finds `found` times where here it is found `expected` times.

    The WebUI compares tokens, wherever they stand: a word called 2 is in 2021, and `art3` is in `art 3`. `places` are
    the texts around its finds, the word's own tokens in guillemets.
    """

    name: str
    expected: int
    found: int
    places: tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """What a tool that reads only 77 tokens loses: all after the first 75. `torn` is the word that it cuts in two."""

    lost: int
    lost_text: str
    torn: str = ""


@dataclass(frozen=True)
class PromptView:
    """What a model reads of `prompt`."""

    prompt: str
    chunks: tuple[ChunkView, ...]
    words: tuple[WordView, ...]
    webui_readings: tuple[WebuiReading, ...] = ()
    cut: Cut | None = None


def view_prompt(prompt: str, tokenizer: Tokenizer, words: Mapping[str, int], *, attention: bool = True) -> PromptView:
    """What is read of `prompt` where there are `words`, with the number of vectors of each.

    Without `attention` brackets and BREAK are text, as Pseudoword's own panel and command line read them; how the WebUI
    would find words is then left out. Raises SettingsError for more than 20,000 characters, and for weights that are no
    numbers.
    """
    if len(prompt) > MAX_CHARACTERS:
        raise SettingsError(f"The prompt has {len(prompt):,} characters; at most {MAX_CHARACTERS:,} are looked into.")
    prompt = encodable(prompt)
    texts = parse_attention(prompt) if attention else [WeightedText(prompt, 1.0)]
    words = _perhaps_said(texts, words)
    sections: list[list[WeightedText]] = [[]]
    for text in texts:
        if text.is_break:
            sections.append([])
        else:
            sections[-1].append(text)
    found = [chunk for section in sections for chunk in _chunks(section, tokenizer, words)]
    if len(sections) > 1 and not any(piece.number is not None for piece in found[-1]):
        found.pop()  # nothing follows the last BREAK
    chunks = _numbered(found)
    uses = _words(chunks, tokenizer)
    readings = _webui_readings(list(chain.from_iterable(sections)), uses, tokenizer, words) if attention else ()
    return PromptView(prompt, chunks, uses, readings, _cut(chunks))


def view_as_text(view: PromptView) -> str:
    """`view` for the command line: a line for each position that is not padding, then what is worth knowing."""
    lines = []
    for number, chunk in enumerate(view.chunks, 1):
        lines.append(f"Chunk {number} of {len(view.chunks)}: {chunk.used} of {CHUNK_TOKENS} places taken")
        lines += [_piece_line(piece) for piece in chunk.pieces if piece.kind != "padding"]
        if chunk.used < CHUNK_TOKENS:
            lines.append(f"  {chunk.used + 2:2} to 76  padding")
    for word in view.words:
        places = "1 place" if word.vectors == 1 else f"{word.vectors} places"
        lines.append(f"{word.name} takes {places} from place {word.position} of chunk {word.chunk + 1} on.")
    for name, ordinary in dict.fromkeys((word.name, word.replaces) for word in view.words if word.replaces):
        lines.append(f"The new word {name} replaces the ordinary word {ordinary!r} wherever a prompt says it.")
    for reading in view.webui_readings:
        lines.append(
            f"The WebUI, which compares tokens, finds {reading.name!r} {reading.found} times where {reading.expected} "
            f"are meant" + (f": {'; '.join(reading.places)}." if reading.places else ".")
        )
    if view.cut is not None:
        torn = f", and cuts {view.cut.torn} in two" if view.cut.torn else ""
        lines.append(f"A tool that reads one chunk only loses the last {view.cut.lost}{torn}: {view.cut.lost_text}")
    return "\n".join(lines)


def _perhaps_said(texts: Sequence[WeightedText], words: Mapping[str, int]) -> dict[str, int]:
    """Those of `words` whose letters are in `texts`, spaces aside as for the WebUI, which reads tokens.

    No reading finds another, and there may be 5,000: to find the tokens of all names would take seconds.
    """
    text = "".join(part.text for part in texts)
    said, letters = set(perhaps_said(text, words)), _letters(text)
    return {name: count for name, count in words.items() if name in said or _letters(name) in letters}


def _letters(text: str) -> str:
    return "".join(unicodedata.normalize("NFD", encodable(text)).casefold().split())


class _PartsTokenizer:
    """`tokenizer` for texts that `separator` parts: each is read alone, as A1111 reads stretches of different weight.

    Its start, end and padding are no tokens, so that they are told from "<|endoftext|>" in a prompt.
    """

    start_id, end_id, pad_id = -1, -2, -3

    def __init__(self, tokenizer: Tokenizer, separator: str) -> None:
        self._tokenizer = tokenizer
        self._separator = separator

    def tokenize(self, text: str) -> list[int]:
        return [token for part in text.split(self._separator) for token in self._tokenizer.tokenize(part)]

    def token_text(self, token_id: int) -> str:
        return self._tokenizer.token_text(token_id)


def _chunks(texts: Sequence[WeightedText], tokenizer: Tokenizer, words: Mapping[str, int]) -> list[list[PieceView]]:
    """The chunks of what stands between two BREAKs; pieces of the prompt have the number 0."""
    used = {letter for text in (*words, *(part.text for part in texts)) for letter in text}
    separator = next(letter for letter in map(chr, range(0xF0000, 0xFFFFE)) if letter not in used)  # private use
    parts = _PartsTokenizer(tokenizer, separator)
    weights = iter(
        [part.weight for part in texts for run in unbroken_runs(part.text, tokenizer, words) for _ in run],
    )
    chunks = chunk_prompt(separator.join(part.text for part in texts), parts, words)
    return [[_piece(p, i, tokenizer, weights) for i, p in enumerate(chunk.pieces)] for chunk in chunks]


def _piece(piece: Piece, position: int, tokenizer: Tokenizer, weights: Iterator[float]) -> PieceView:
    if not isinstance(piece, int):
        return PieceView("word", position, piece[0], vector=piece[1], weight=next(weights), number=0)
    ids = {-1: tokenizer.start_id, -2: tokenizer.end_id, -3: tokenizer.pad_id}
    kinds: dict[int, Kind] = {-1: "start", -2: "end", -3: "padding"}
    if piece in ids:
        return PieceView(kinds[piece], position, tokenizer.token_text(ids[piece]), ids[piece])
    text = tokenizer.token_text(piece)
    bare = text.removesuffix(WORD_END) or text  # the text "</w>" can be a token itself
    return PieceView("token", position, bare, piece, bare != text, weight=next(weights), number=0)


def _numbered(chunks: Sequence[Sequence[PieceView]]) -> tuple[ChunkView, ...]:
    numbers = count()
    counted = [[p if p.number is None else replace(p, number=next(numbers)) for p in chunk] for chunk in chunks]
    return tuple(ChunkView(tuple(chunk), sum(p.number is not None for p in chunk)) for chunk in counted)


def _words(chunks: Sequence[ChunkView], tokenizer: Tokenizer) -> tuple[WordView, ...]:
    words: list[WordView] = []
    for place, chunk in enumerate(chunks):
        for piece in chunk.pieces:
            if piece.vector == 0:
                tokens = tokenizer.tokenize(piece.text)
                ordinary = tokenizer.token_text(tokens[0]).removesuffix(WORD_END) if len(tokens) == 1 else ""
                words.append(WordView(piece.text, place, piece.position, 1, piece.weight, ordinary))
            elif piece.vector is not None:
                words[-1] = replace(words[-1], vectors=piece.vector + 1)
    return tuple(words)


def _webui_readings(
    texts: Sequence[WeightedText], uses: Sequence[WordView], tokenizer: Tokenizer, words: Mapping[str, int]
) -> tuple[WebuiReading, ...]:
    by_tokens = sorted(((tokenizer.tokenize(encodable(name)), name) for name in words), key=lambda pair: -len(pair[0]))
    starting = {tokens[0]: [p for p in by_tokens if p[0][:1] == tokens[:1]] for tokens, _ in by_tokens if tokens}
    finds: dict[str, list[str]] = {name: [] for name in words}
    for text in texts:
        tokens = tokenizer.tokenize(text.text)
        place = 0
        while place < len(tokens):
            fits = (p for p in starting.get(tokens[place], ()) if tokens[place : place + len(p[0])] == p[0])
            own, name = next(fits, (tokens[place : place + 1], ""))
            if name:
                finds[name].append(_surroundings(tokens, place, len(own), tokenizer))
            place += len(own)
    expected = Counter(use.name for use in uses)
    return tuple(
        WebuiReading(name, expected[name], len(places), tuple(dict.fromkeys(places)))
        for name, places in finds.items()
        if len(places) != expected[name]
    )


def _surroundings(tokens: Sequence[int], place: int, length: int, tokenizer: Tokenizer) -> str:
    before, own, after = (
        "".join(tokenizer.token_text(token) for token in part).replace(WORD_END, " ").strip()
        for part in (tokens[max(0, place - 3) : place], tokens[place : place + length], tokens[place + length :][:3])
    )
    return f"{before} «{own}» {after}".strip()


def _cut(chunks: Sequence[ChunkView]) -> Cut | None:
    pieces = [piece for chunk in chunks for piece in chunk.pieces if piece.number is not None]
    lost = pieces[CHUNK_TOKENS:]
    if not lost:
        return None
    texts = [
        piece.text + (" " if piece.ends_word or piece.vector is not None else "")
        for piece in lost
        if not piece.vector or piece is lost[0]
    ]
    return Cut(len(lost), "".join(texts).strip(), lost[0].text if lost[0].vector else "")


def _piece_line(piece: PieceView) -> str:
    text = f"{piece.text}, vector {piece.vector + 1}" if piece.vector is not None else piece.text
    token = "" if piece.token_id is None else str(piece.token_id)
    weight = "" if piece.weight == 1 else f"  × {piece.weight:.4g}"
    return f"  {piece.position:2}  {piece.kind:5}  {token:>6}  {text}{weight}"
