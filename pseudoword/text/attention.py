"""A1111's attention syntax, `(word:1.2)`, as its version 1.10 reads it.

    (text)         1.1 times the weight of `text`; brackets multiply, and one that is never closed reaches to the end
    [text]         1/1.1 times
    (text:1.3)     1.3 times; a number only round brackets have
    \\( \\) \\[ \\] \\\\    the character itself
    BREAK          begins a new chunk; inside weights it is text

What A1111 reads before that, `<lora:…>`, `[a:b:0.5]`, `[a|b]` and AND, is left as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from ..errors import SettingsError

ROUND, SQUARE = 1.1, 1 / 1.1

_ATTENTION = re.compile(
    r"\\(?P<escaped>[()\[\]\\]?)"
    r"|(?P<opening>[(\[])"
    r"|:\s*(?P<weight>[+-]?[.\d]+)\s*\)"
    r"|(?P<closing>[)\]])"
    r"|(?P<text>[^\\()\[\]:]+|:)"
)
_BREAK = re.compile(r"\bBREAK\b")


@dataclass(frozen=True)
class WeightedText:
    """A stretch of a prompt with one weight; A1111 marks BREAK by the weight -1."""

    text: str
    weight: float

    @property
    def is_break(self) -> bool:
        """Whether a new chunk begins here."""
        return self.text == "BREAK" and self.weight == -1


def parse_attention(prompt: str) -> list[WeightedText]:
    """`prompt` in stretches of one weight, at least one, as A1111 1.10 reads it; the backslashes are gone.

    Raises SettingsError for a weight such as 1.2.3, with which A1111 fails.
    """
    texts: list[tuple[str, float]] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}
    factors: list[tuple[int, int, float]] = []  # first and last + 1 of the texts that each closed bracket multiplies
    for match in _ATTENTION.finditer(prompt):
        kind, text, weight = match.lastgroup, match.group(), match["weight"]
        bracket = "[" if text == "]" else "("
        if kind == "escaped":
            texts.append((match["escaped"], 1.0))
        elif kind == "opening":
            opened[text].append(len(texts))
        elif kind != "text" and opened[bracket]:
            factor = (ROUND if bracket == "(" else SQUARE) if weight is None else _weight(weight)
            factors.append((opened[bracket].pop(), len(texts), factor))
        else:
            texts += _broken(text)
    factors += [(first, len(texts), ROUND) for first in opened["("]]
    factors += [(first, len(texts), SQUARE) for first in opened["["]]
    weights = np.array([weight for _, weight in texts], np.float64)
    with np.errstate(all="ignore"):  # too large becomes inf, as in Python
        for first, end, factor in factors:
            weights[first:end] *= factor
    pairs = zip(weights.tolist(), (text for text, _ in texts), strict=True)
    runs = [WeightedText("".join(t for _, t in run), weight) for weight, run in groupby(pairs, itemgetter(0))]
    return runs or [WeightedText("", 1.0)]


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise SettingsError(f"The weight {text[:40]!r} in the prompt is no number; write one such as 1.2.") from error


def _broken(text: str) -> list[tuple[str, float]]:
    """`text` cut at each BREAK, which takes the spaces around it with it, with weights."""
    parts = _BREAK.split(text)
    found: list[tuple[str, float]] = []
    for place, part in enumerate(parts):
        if place:
            found.append(("BREAK", -1.0))
            part = part.lstrip()
        found.append((part if place == len(parts) - 1 else part.rstrip(), 1.0))
    return found
