"""Texts that are longer than a text tower reads, in parts that it reads whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

LongTexts = Literal["cut", "mean"]
EMPTY_TEXT = "A text is empty; how well pictures fit it says little."


def parts_of(text: str, count: Callable[[str], int], room: int) -> list[str]:
    """`text` cut between words, as late as possible, so that `count` of each part is at most `room`; at least one part.

    A word that is too long alone is cut inside; a single letter stays whole in any case.
    """
    if count(text) <= room:
        return [text]
    parts: list[str] = []
    words = text.split()
    while words:
        taken = _fitting(words, " ", count, room)
        parts.append(" ".join(words[:taken]))
        del words[:taken]
        if not taken:
            letters = max(_fitting(words[0], "", count, room), 1)
            parts[-1] = words[0][:letters]
            words[0] = words[0][letters:]
            if not words[0]:
                del words[0]
    return parts or [""]


def told_of(text: str, count: int, room: int, long: LongTexts) -> str:
    """What to say of a text that has `count` tokens, more than the `room` there is."""
    done = "the rest is cut off" if long == "cut" else "it is read in parts, whose mean counts"
    return f"The text {text[:40]!r} … has {count} tokens, and the model reads {room}: {done}."


def _fitting(pieces: Sequence[str], glue: str, count: Callable[[str], int], room: int) -> int:
    """How many of `pieces`, from the first on, have at most `room` tokens together."""
    fits, ends = 0, 1
    while ends <= len(pieces) and count(glue.join(pieces[:ends])) <= room:  # a part is short beside the whole text
        fits, ends = ends, 2 * ends
    ends = min(ends, len(pieces) + 1)  # fewer than these fit
    while ends - fits > 1:
        middle = (fits + ends) // 2
        fits, ends = (middle, ends) if count(glue.join(pieces[:middle])) <= room else (fits, middle)
    return fits
