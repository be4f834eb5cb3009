"""Expressions of word arithmetic read from text, by recursive descent; the grammar stands in `expression`."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import SettingsError
from .expression import (
    FUNCTIONS,
    MAX_CHARACTERS,
    MAX_DEPTH,
    Call,
    Name,
    Negative,
    Node,
    Number,
    Part,
    Phrase,
    Product,
    Slice,
    Step,
    Sum,
    expression_error,
    printed,
)

_IN_NAME = r"""[^\s+*/()\[\]{},:"\\]"""
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?!{_IN_NAME})
    |(?P<phrase>"(?:[^"\\]|\\.)*")
    |(?P<braced>\{{(?:[^{{}}\\]|\\.)*\}})
    |(?P<name>(?!-){_IN_NAME}+)
    |(?P<sign>[-+*/()\[\],:])""",
    re.VERBOSE | re.DOTALL,
)
_UNREADABLE = {
    '"': 'This phrase is not closed; put " after its last word.',
    "{": "This name is not closed; put } after it, and \\ before a brace that belongs to it.",
    "}": "This brace closes nothing; put { before the name of an embedding, or take it away.",
    "\\": "A backslash has a meaning only in quotation marks and braces; take it away.",
}


def parse(expression: str) -> Node:
    """The tree of `expression`. Raises SettingsError, by `expression_error`, for any text that is none."""
    if len(expression) > MAX_CHARACTERS:
        sentence = f"The expression has {len(expression):,} characters; at most {MAX_CHARACTERS:,} are read."
        raise expression_error(expression, MAX_CHARACTERS, sentence)
    parser = _Parser(expression, _tokens(expression))
    if parser.next.kind == "end":
        raise expression_error(expression, 0, "The expression is empty; write for example my-style + 0.5*dog.")
    tree = parser.expression(0)
    if parser.next.kind != "end":
        raise parser.unexpected('+, -, * or / (names with spaces belong in {braces}, words in "quotes")')
    return tree


def printed_name(name: str) -> str:
    """How an expression spells the embedding `name`: bare if that reads as a name, else in braces."""
    match = _TOKEN.fullmatch(name)
    return printed(Name(name, braced=match is None or match.lastgroup != "name"))


@dataclass(frozen=True)
class _Token:
    kind: str  # number, phrase, braced, name, sign, end
    text: str  # without quotation marks and braces
    place: int


def _tokens(expression: str) -> list[_Token]:
    """All tokens, then one of kind "end". Raises SettingsError where nothing can be read."""
    tokens: list[_Token] = []
    place = 0
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        if match is None:
            raise expression_error(expression, place, _UNREADABLE[expression[place]])
        kind, text = str(match.lastgroup), match.group()
        half = re.search("[\ud800-\udfff]", text)
        if half:
            sentence = "This is half of a character, which no text can hold; take it away."
            raise expression_error(expression, place + half.start(), sentence)
        if kind in ("phrase", "braced"):
            text = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
        if kind != "space":
            tokens.append(_Token(kind, text, place))
        place = match.end()
    return [*tokens, _Token("end", "", len(expression))]


class _Parser:
    """One method for each rule of the grammar; `depth` is how many brackets, functions and signs are around."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.position = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.position]

    def take(self) -> _Token:
        token = self.next
        self.position += 1
        return token

    def at(self, *signs: str) -> bool:
        return self.next.kind == "sign" and self.next.text in signs

    def unexpected(self, wanted: str) -> SettingsError:
        found = "The expression ends" if self.next.kind == "end" else f"Found {self.next.text[:40]!r}"
        return expression_error(self.text, self.next.place, f"{found} where there must be {wanted}.")

    def close(self, bracket: str, opened: _Token) -> None:
        if not self.at(bracket):
            raise self.unexpected(f"{bracket} for the {opened.text} at character {opened.place + 1}")
        self.take()

    def expression(self, depth: int) -> Node:
        place, first, rest = self.next.place, self.term(depth), self.steps(("+", "-"), self.term, depth)
        return Sum(first, rest, place=place) if rest else first

    def term(self, depth: int) -> Node:
        place, first, rest = self.next.place, self.factor(depth), self.steps(("*", "/"), self.factor, depth)
        return Product(first, rest, place=place) if rest else first

    def steps(self, signs: tuple[str, str], operand: Callable[[int], Node], depth: int) -> tuple[Step, ...]:
        found = []
        while self.at(*signs):
            sign = self.take()
            found.append(Step(sign.text, operand(depth), place=sign.place))
        return tuple(found)

    def factor(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            sentence = (
                f"Here are more than {MAX_DEPTH} brackets, functions and signs inside each other; take some away."
            )
            raise expression_error(self.text, self.next.place, sentence)
        if self.at("-"):
            return Negative(place=self.take().place, operand=self.factor(depth + 1))
        place, piece = self.next.place, self.piece(depth)
        parts = []
        while self.at("["):
            parts.append(self.part())
        return Slice(piece, tuple(parts), place=place) if parts else piece

    def piece(self, depth: int) -> Node:
        token = self.next
        if token.kind == "end" or (token.kind == "sign" and token.text != "("):
            raise self.unexpected("a word, a number or (")
        self.take()
        if token.kind == "number":
            return Number(self.finite(token), place=token.place)
        if token.kind == "phrase":
            return Phrase(token.text, place=token.place)
        if token.kind == "name" and self.at("("):
            return self.call(token, depth + 1)
        if token.kind in ("name", "braced"):
            return Name(token.text, token.kind == "braced", place=token.place)
        inner = self.expression(depth + 1)
        self.close(")", token)
        return inner

    def finite(self, token: _Token) -> float:
        if math.isinf(float(token.text)):
            raise expression_error(
                self.text, token.place, "This number is too large to reckon with; take a smaller one."
            )
        return float(token.text)

    def call(self, name: _Token, depth: int) -> Call:
        function = name.text.lower()
        if function not in FUNCTIONS:
            near = difflib.get_close_matches(function, FUNCTIONS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FUNCTIONS)}."
            raise expression_error(self.text, name.place, f"There is no function {name.text[:40]!r}; {hint}")
        opened = self.take()
        arguments = [self.expression(depth)]
        while self.at(","):
            self.take()
            arguments.append(self.expression(depth))
        self.close(")", opened)
        least, most = FUNCTIONS[function]
        if len(arguments) < least or (most is not None and len(arguments) > most):
            sentence = f"{function} takes {least} argument{'s' * (least > 1)}, and here it has {len(arguments)}."
            raise expression_error(self.text, name.place, sentence)
        return Call(function, tuple(arguments), place=name.place)

    def part(self) -> Part:
        opened = self.take()
        bounds = [self.bound()]
        while self.at(":") and len(bounds) < 3:
            self.take()
            bounds.append(self.bound())
        if len(bounds) == 1 and bounds[0] is None:
            raise self.unexpected("the number of a vector, such as 0, or two with a colon, such as 0:4")
        self.close("]", opened)
        return Part(tuple(bounds) if len(bounds) != 2 else (*bounds, None), place=opened.place)

    def bound(self) -> int | None:
        sign = -1 if self.at("-") else 1
        if sign < 0:
            self.take()
        if re.fullmatch("[0-9]{1,9}", self.next.text) and self.next.kind == "number":
            return sign * int(self.take().text)
        if sign < 0 or self.next.kind != "sign":
            raise self.unexpected("a whole number")
        return None
