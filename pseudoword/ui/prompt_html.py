"""The view of a prompt as HTML: chunks, token pieces, embeddings, weights, and what is worth knowing."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

from ..inspect.prompt_view import ChunkView, PieceView, PromptView
from ..text import CHUNK_TOKENS
from .messages import says

MOST_CHUNKS = 12  # that are drawn: a hostile prompt has hundreds
MOST_NOTES = 8  # of one kind
MOST_LETTERS = 200  # of a text in a note
HUES = 6  # of embeddings, then they begin again

LEGEND = (
    "Each box is a token, a piece of text that has a vector of its own; the small number is its id. Boxes that touch "
    "are one word: it ends where a gap is, and there CLIP writes &lt;/w&gt;. Coloured runs are embeddings."
)

Drawn: TypeAlias = "tuple[float, str]"
"""A box with its weight."""


def prompt_html(view: PromptView, padding: Mapping[str, str], unread: Sequence[str] = ()) -> str:
    """`view` as HTML; `padding` tells what each text encoder fills its chunks up with.

    `unread` are embeddings that the prompt says, and that are for other models than the loaded one.
    """
    hues = {name: place % HUES for place, name in enumerate(dict.fromkeys(word.name for word in view.words))}
    chunks = [chunk_html(chunk, number, len(view.chunks), hues) for number, chunk in enumerate(view.chunks, 1)]
    parts = [*unread_notes(unread), *notes(view), *chunks[:MOST_CHUNKS]]
    if len(chunks) > MOST_CHUNKS:
        parts.append(f"<p>{len(chunks) - MOST_CHUNKS} more chunks are not drawn.</p>")
    legend = f'<p class="pseudoword-small">{LEGEND} {padding_html(padding)}</p>'
    return f'<div class="pseudoword-prompt">{"".join(parts)}{legend}</div>'


def chunk_html(chunk: ChunkView, number: int, count: int, hues: Mapping[str, int]) -> str:
    """One chunk: how full it is, and its boxes."""
    title = f"<b>Chunk {number} of {count}</b>, " if count > 1 else ""
    taken = f"{chunk.used} of {CHUNK_TOKENS} places taken"
    bar = f'<progress class="pseudoword-bar" max="{CHUNK_TOKENS}" value="{min(chunk.used, CHUNK_TOKENS)}"></progress>'
    by_weight = groupby(drawn(chunk, hues), itemgetter(0))
    boxes = "".join(weighted(weight, [box for _, box in some]) for weight, some in by_weight)
    return (
        f'<section class="pseudoword-prompt-chunk"><p>{title}{taken}</p>{bar}'
        f'<div class="pseudoword-prompt-boxes">{boxes}</div></section>'
    )


def drawn(chunk: ChunkView, hues: Mapping[str, int]) -> Iterator[Drawn]:
    """The boxes of a chunk with their weights."""
    for run in runs(chunk.pieces):
        piece = run[0]
        if piece.number == CHUNK_TOKENS:
            yield piece.weight, '<span class="pseudoword-prompt-cut">tools that read one chunk only stop here</span>'
        if piece.kind == "token":
            yield piece.weight, token_html(piece)
        elif piece.kind == "word":
            yield piece.weight, word_html(run, hues[piece.text])
        else:
            yield 1.0, frame_html(run)


def runs(pieces: Sequence[PieceView]) -> Iterator[list[PieceView]]:
    """The pieces that share a box: all padding, and the vectors of a word, up to where one chunk would be full."""
    run: list[PieceView] = []
    for piece in pieces:
        goes_on = piece.kind == "padding" or (bool(piece.vector) and piece.number != CHUNK_TOKENS)
        if run and not (goes_on and piece.kind == run[-1].kind):
            yield run
            run = []
        run.append(piece)
    yield run


def token_html(piece: PieceView) -> str:
    """The box of a token."""
    ends = " pseudoword-prompt-ends" if piece.ends_word else ""
    title = f"token {piece.token_id}, place {piece.position}"
    return (
        f'<span class="pseudoword-prompt-token{ends}{lost(piece)}" title="{title}"><bdi>{readable(piece.text)}</bdi>'
        f"<small>{piece.token_id}</small></span>"
    )


def word_html(run: Sequence[PieceView], hue: int) -> str:
    """The box of an embedding, or of those of its vectors that are together."""
    first, last = run[0], run[-1]
    places = f"{len(run)} place{'s' * (len(run) > 1)}"
    if first.vector:  # it began in the chunk before, or before the cut
        places = f"vectors {first.vector + 1} to {(last.vector or 0) + 1}"
    title = f"place {first.position}" + (f" to {last.position}" if len(run) > 1 else "")
    return (
        f'<span class="pseudoword-prompt-word pseudoword-prompt-hue-{hue}{lost(first)}" title="{title}">'
        f"<bdi>{readable(first.text)}</bdi><small>{places}</small></span>"
    )


def frame_html(run: Sequence[PieceView]) -> str:
    """The mark of a chunk's start, its end, or all of its padding."""
    count = f" × {len(run)}" if run[0].kind == "padding" else ""
    return (
        f'<span class="pseudoword-prompt-frame" title="{readable(run[0].text)}, token {run[0].token_id}">'
        f"{run[0].kind}{count}</span>"
    )


def weighted(weight: float, boxes: Sequence[str]) -> str:
    """Boxes of one weight, with a tint and the weight unless that is 1."""
    if weight == 1:
        return "".join(boxes)
    kinds = f"pseudoword-prompt-weight pseudoword-prompt-{'up' if weight > 1 else 'down'}"
    return (
        f'<span class="{kinds}" style="--strength: {strength(weight):.2f}">'
        f'<span class="pseudoword-prompt-together"><small>×{weight:.3g}</small>{boxes[0]}</span>'
        f"{''.join(boxes[1:])}</span>"
    )


def strength(weight: float) -> float:
    """How strong the tint of a weight is, 0.1 to 1; half the weight is as strong as twice the weight."""
    if math.isnan(weight):
        return 1.0
    return min(1.0, max(0.1, abs(math.log2(weight)))) if 0 < weight < math.inf else 1.0


def lost(piece: PieceView) -> str:
    """A class for what a tool that reads one chunk only does not get."""
    return " pseudoword-prompt-lost" if piece.number is not None and piece.number >= CHUNK_TOKENS else ""


def unread_notes(names: Sequence[str]) -> Iterator[str]:
    """That embeddings are read as text."""
    for name in names[:MOST_NOTES]:
        yield says(
            f"The embedding {shortened(name)} is for another kind of model than the one that is loaded, which reads "
            "its name as ordinary text.",
            "warning",
        )


def notes(view: PromptView) -> Iterator[str]:
    """What is worth knowing about a prompt, a paragraph each."""
    replaced = dict.fromkeys((word.name, word.replaces) for word in view.words if word.replaces)
    for name, ordinary in list(replaced)[:MOST_NOTES]:
        yield says(
            f"The embedding {shortened(name)} takes the place of the ordinary word {shortened(ordinary)} wherever a "
            "prompt says it; a name that is no word would leave it alone.",
            "warning",
        )
    for reading in view.webui_readings[:MOST_NOTES]:
        places = "; ".join(map(shortened, reading.places[:MOST_NOTES]))
        yield says(
            f"The WebUI, which compares tokens, finds the embedding {shortened(reading.name)} {times(reading.found)}, "
            f"where it is meant {times(reading.expected)}" + (f": {places}." if places else "."),
            "warning",
        )
    if view.cut is not None:
        torn = f" and cuts {shortened(view.cut.torn)} in two" if view.cut.torn else ""
        places = "place" if view.cut.lost == 1 else f"{view.cut.lost} places"
        yield says(
            f"A tool that reads one chunk only loses the last {places}{torn}: {shortened(view.cut.lost_text)}",
            "note",
        )


def times(count: int) -> str:
    """How often, in words."""
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")


def padding_html(padding: Mapping[str, str]) -> str:
    """What the rest of a chunk is filled up with."""
    kinds = {escape(text) for text in padding.values()}
    if len(kinds) == 1:
        return f"The rest of a chunk is padding: {kinds.pop()}."
    told = ", ".join(f"{escape(encoder)} {escape(text)}" for encoder, text in padding.items())
    return f"Both text encoders read the same tokens; only the padding differs: {told}."


def readable(text: str) -> str:
    """`text` as HTML in which nothing is invisible, and nothing turns or covers what is around it."""
    shown = "".join(letter if letter.isprintable() else named(letter) for letter in text)
    if not shown.strip():
        shown = "␣"
    elif unicodedata.combining(shown[0]):
        shown = "◌" + shown
    return escape(shown)


def named(letter: str) -> str:
    """What stands for a letter that cannot be seen."""
    return chr(0x2400 + ord(letter)) if ord(letter) < 0x20 else f"U+{ord(letter):04X}"


def shortened(text: str) -> str:
    """`text` for a note, whose HTML is made later."""
    shown = "".join(letter if letter.isprintable() else named(letter) for letter in text[:MOST_LETTERS])
    return shown if len(text) <= MOST_LETTERS else shown + "…"
