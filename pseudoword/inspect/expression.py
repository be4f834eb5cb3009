"""The language of word arithmetic: its grammar, the trees that expressions become, and the way back to text.

    expression = term (("+" | "-") term)*
    term       = factor (("*" | "/") factor)*
    factor     = "-" factor | piece ("[" part "]")*
    piece      = number | "phrase" | name | {name} | "(" expression ")"
               | function "(" expression ("," expression)* ")"
    part       = integer | integer? ":" integer? (":" integer?)?        as in Python, also counted from the end

A name goes on up to a space or one of + * / ( ) [ ] { } , : " and \\: so a hyphen belongs to the name on its left,
`my-style`, and a minus has spaces around it, `a - b`. What reads as a number is one (`3`, `.5`, `1e-3`); a name in
braces is an embedding's and may hold anything, `{my style v2}`. A bare name is an embedding's if there is one of that
name, in any case of letters, and otherwise a word of the vocabulary. Inside quotation marks and braces a backslash
takes the next character as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ..errors import SettingsError

MAX_CHARACTERS = 2000
MAX_DEPTH = 50  # brackets, functions and signs inside each other
FUNCTIONS: dict[str, tuple[int, int | None]] = {
    "concat": (1, None),
    "mean": (1, None),
    "normalize": (1, 1),
    "slerp": (3, 3),
}
"""The least and the most arguments of each function; None is any number."""

_SHOWN_CHARACTERS = 100


@dataclass(frozen=True, kw_only=True)
class _Placed:
    place: int = field(default=0, compare=False)  # where it begins in the expression, in characters


@dataclass(frozen=True)
class Number(_Placed):
    """A number, 0 or more."""

    value: float


@dataclass(frozen=True)
class Phrase(_Placed):
    """Words of the model's vocabulary, all their tokens."""

    text: str


@dataclass(frozen=True)
class Name(_Placed):
    """An embedding or, unless it is `braced`, a word of the vocabulary."""

    text: str
    braced: bool = False


@dataclass(frozen=True)
class Negative(_Placed):
    """The operand with its sign turned."""

    operand: Node


@dataclass(frozen=True)
class Step(_Placed):
    """One more operand of a sum or product; its place is the operator's."""

    operator: str
    operand: Node


@dataclass(frozen=True)
class Chain(_Placed):
    """Operands with operators between, reckoned from the left."""

    first: Node
    rest: tuple[Step, ...]


class Sum(Chain):
    """A chain of + and -."""


class Product(Chain):
    """A chain of * and /."""


@dataclass(frozen=True)
class Part(_Placed):
    """Which vectors: `bounds` is one index, or start, stop and step of a slice."""

    bounds: tuple[int | None, ...]


@dataclass(frozen=True)
class Slice(_Placed):
    """Some vectors of the operand: one part of it, of that the next, …"""

    operand: Node
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Call(_Placed):
    """One of `FUNCTIONS`, with a fitting number of arguments."""

    function: str
    arguments: tuple[Node, ...]


Node: TypeAlias = "Number | Phrase | Name | Negative | Sum | Product | Slice | Call"


def names_in(node: Node) -> Iterator[str]:
    """The names that an expression says, from left to right."""
    match node:
        case Name():
            yield node.text
        case Negative() | Slice():
            yield from names_in(node.operand)
        case Sum() | Product():
            for operand in (node.first, *(step.operand for step in node.rest)):
                yield from names_in(operand)
        case Call():
            for argument in node.arguments:
                yield from names_in(argument)


def expression_error(expression: str, place: int, sentence: str) -> SettingsError:
    """The error whose message is `sentence`, under it the expression, under that a caret below character `place`."""
    start = max(0, min(place - _SHOWN_CHARACTERS // 2, len(expression) - _SHOWN_CHARACTERS))
    end = start + _SHOWN_CHARACTERS
    shown = "".join(letter if letter.isprintable() else " " for letter in expression[start:end])
    line = ("…" if start else "") + shown + ("…" if end < len(expression) else "")
    before = line[: place - start + (1 if start else 0)]
    return SettingsError(f"{sentence}\n{line}\n{' ' * sum(map(_columns, before))}^")


def printed(node: Node) -> str:
    """The expression that `parse` reads as `node`, with brackets only where they are needed."""
    match node:
        case Number():
            return repr(node.value).removesuffix(".0")
        case Phrase():
            return '"' + re.sub(r'(["\\])', r"\\\1", node.text) + '"'
        case Name():
            return "{" + re.sub(r"([{}\\])", r"\\\1", node.text) + "}" if node.braced else node.text
        case Negative():
            return "-" + _bracketed(node.operand, (Sum, Product))
        case Sum() | Product():
            loose = Sum if isinstance(node, Sum) else (Sum, Product)
            steps = (f" {step.operator} {_bracketed(step.operand, loose)}" for step in node.rest)
            return _bracketed(node.first, loose) + "".join(steps)
        case Slice():
            parts = (":".join("" if bound is None else str(bound) for bound in part.bounds) for part in node.parts)
            return _bracketed(node.operand, (Sum, Product, Negative, Slice)) + "".join(f"[{part}]" for part in parts)
        case Call():
            return f"{node.function}({', '.join(map(printed, node.arguments))})"


def _bracketed(node: Node, kinds: type[Node] | tuple[type[Node], ...]) -> str:
    return f"({printed(node)})" if isinstance(node, kinds) else printed(node)


def _columns(letter: str) -> int:
    """How wide a terminal shows it."""
    return 0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
