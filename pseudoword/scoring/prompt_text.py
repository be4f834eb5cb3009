"""A prompt as the sentence that a picture is to be compared with: its words without AUTOMATIC1111's syntax.

(word:1.2) [word]     word; left out where its weight is 0 or less
<lora:name:0.8>       nothing
[a:b:0.4] [b:0.4]     b, or what is there for longer: [a:b:0.6] is a; where steps are counted, [a:b:12], it is b
[a|b]                 a and b
a AND b :0.5          a, b; a part with a weight of 0 or less is left out
BREAK                 nothing
\\( \\)                 the character itself
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from ..errors import SettingsError
from ..text.attention import parse_attention

_NETWORK = re.compile(r"<\w+:[^<>]+>")
_AND = re.compile(r"\bAND\b")
_PART_WEIGHT = re.compile(r"\s*:\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*$")
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_BREAK = re.compile(r"\bBREAK\b")
_PIECE = re.compile(r"\\.|[\[\]():|]|[^\\\[\]():|]+|\\", re.DOTALL)
_UNKEPT = re.compile(r"\\(.)|[()\[\]]", re.DOTALL)


@lru_cache(maxsize=4096)
def sentence_of(prompt: str) -> str:
    """The words of `prompt`, which may be any text; "" where it has none."""
    prompt = _NETWORK.sub(" ", prompt)
    parts = [_unweighted(part) for part in _AND.split(prompt)] if _AND.search(prompt) else [prompt]
    sentences = (_tidied(_without_attention(_scheduled(part))) for part in parts)
    return ", ".join(sentence for sentence in sentences if sentence)


def _unweighted(part: str) -> str:
    """One side of an AND without its weight."""
    match = _PART_WEIGHT.search(part[-40:])
    if match is None:
        return part
    return part[: len(part) - len(match[0])] if float(match[1]) > 0 else ""


@dataclass
class _Bracket:
    """What was read since a bracket opened: texts, with the separators, ":" or "|", between them."""

    opening: str
    texts: list[list[str]] = field(default_factory=lambda: [[]])
    separators: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.texts[-1].append(text)

    def part(self, separator: str) -> None:
        self.separators.append(separator)
        self.texts.append([])

    def literal(self) -> str:
        """It as it was written, without its end."""
        texts = ["".join(text) for text in self.texts]
        return self.opening + "".join(map("".join, zip(texts, [*self.separators, ""], strict=True)))


def _scheduled(prompt: str) -> str:
    """`prompt` with one of the texts of each [a:b:0.5], and both of [a|b]."""
    open_brackets = [_Bracket("")]
    for piece in _PIECE.findall(prompt):
        inner = open_brackets[-1]
        if piece in ("[", "("):
            open_brackets.append(_Bracket(piece))
        elif piece in ("]", ")") and inner.opening == {"]": "[", ")": "("}[piece]:
            open_brackets.pop()
            open_brackets[-1].add(_chosen(inner) if piece == "]" else inner.literal() + ")")
        elif piece in (":", "|") and inner.opening == "[":
            inner.part(piece)
        else:
            inner.add(piece)
    return "".join(bracket.literal() for bracket in open_brackets)


def _chosen(bracket: _Bracket) -> str:
    """What a picture shows of one pair of square brackets."""
    texts = ["".join(text) for text in bracket.texts]
    if "|" in bracket.separators:
        alternatives = [""]
        for text, separator in zip(texts, [*bracket.separators, "|"], strict=True):
            alternatives[-1] += text + (separator if separator == ":" else "")
            alternatives += [""] if separator == "|" else []
        return " and ".join(text.strip() for text in alternatives if text.strip())
    if len(texts) > 1 and _NUMBER.fullmatch(texts[-1]):
        when = float(texts[-1])
        before, after = (texts[0], ":".join(texts[1:-1])) if len(texts) > 2 else ("", texts[0])
        return before if 0.5 < when < 1 or (when >= 1 and not after.strip()) else after
    return bracket.literal() + "]"


def _without_attention(prompt: str) -> str:
    try:
        parts = parse_attention(prompt)
        return "".join(" " if part.is_break else part.text for part in parts if part.weight > 0 or part.is_break)
    except SettingsError:  # a weight that is no number
        return _UNKEPT.sub(lambda match: match[1] or "", prompt)


def _tidied(text: str) -> str:
    """`text` without BREAK, and without the spaces and commas that were around what is gone."""
    text = " ".join(_BREAK.sub(" ", text).split())
    text = re.sub(r" ,", ",", text)
    return re.sub(r",(?: ?,)+", ",", text).strip(" ,")
