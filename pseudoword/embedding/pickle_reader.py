"""Reads a pickle without executing it.

A pickle is a program for a small stack machine. Python's own reader, restricted or not, calls what the program names
and allocates what it claims. This one knows the instructions that build plain values; a class or function that is
named becomes a `Name`, and what a call of it would mean is decided by the caller, from a fixed list. Nothing named in
the file is ever imported or called.

Source of the instruction set: `pickletools` in the standard library.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pseudoword.errors import EmbeddingFileError

_MAX_INSTRUCTIONS = 50_000  # an embedding takes 40 to 200
_MAX_TEXT_BYTES = 2**20
_DAMAGED = (struct.error, IndexError, KeyError, ValueError, TypeError, OverflowError)


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle mentions."""

    module: str
    name: str


@dataclass
class Instance:
    """An object that the pickle wants made of `of` and given `state`; here it is just that."""

    of: Name
    state: object = None


class _Mark:
    pass


_MARK = _Mark()


def read_pickle(
    data: bytes | memoryview,
    position: int,
    call: Callable[[Name, tuple[Any, ...]], object],
    persistent: Callable[[object], object],
    most_instructions: int = _MAX_INSTRUCTIONS,
) -> tuple[object, int]:
    """The value of the pickle at `position`, of at most so many instructions, and the position behind it.

    `call` says what a call of a named function with these arguments means, and raises EmbeddingFileError for functions
    that are none of its business; `persistent` resolves persistent ids. Raises EmbeddingFileError.
    """
    try:
        return _Machine(memoryview(data), position, call, persistent).run(most_instructions)
    except _DAMAGED as error:
        raise EmbeddingFileError("its pickle is cut off or damaged") from error


class _Machine:
    def __init__(
        self,
        data: memoryview,
        position: int,
        call: Callable[[Name, tuple[Any, ...]], object],
        persistent: Callable[[object], object],
    ) -> None:
        self.data = data
        self.position = position
        self.call = call
        self.persistent = persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, most_instructions: int) -> tuple[object, int]:
        for _ in range(most_instructions):
            code = self.data[self.position]
            self.position += 1
            if code == 0x2E:  # STOP
                return self.stack.pop(), self.position
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise EmbeddingFileError(f"its pickle uses the instruction 0x{code:02x}, which no embedding needs")
            instruction(self)
        raise EmbeddingFileError(f"its pickle has more than {most_instructions} instructions; is it an embedding?")

    def take(self, count: int) -> bytes:
        if count > _MAX_TEXT_BYTES:
            raise EmbeddingFileError(f"its pickle claims a text of {count} bytes")
        end = self.position + count
        if end > len(self.data):
            raise ValueError("cut off")
        taken = bytes(self.data[self.position : end])
        self.position = end
        return taken

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        text = bytes(self.data[self.position : self.position + 256])
        end = text.index(b"\n")
        self.position += end + 1
        return text[:end].decode()

    def since_mark(self) -> list[Any]:
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise ValueError("no mark")
        items = self.stack[start + 1 :]
        del self.stack[start:]
        return items

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError("wrong kind of value")
        return self.stack[-1]

    def named(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name is not text")
        self.push(Name(module, name))

    def make(self, new: bool) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise TypeError("a call of something else than a function")
        result = self.call(function, arguments)
        self.push(Instance(function) if new and result is None else result)

    def build(self) -> None:
        state = self.pop()
        if isinstance(self.stack[-1], Instance):
            self.stack[-1].state = state

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def update(self, items: list[Any]) -> None:
        target = self.top(dict)
        for key, value in pairs(items):
            target[key] = value

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]


def pairs(items: list[Any]) -> list[tuple[str, Any]]:
    """Keys and values that follow each other. Whole numbers as keys, which an optimiser's state has, become texts: as
    numbers they can be chosen so that a dict of them takes quadratic time. Any others raise TypeError."""
    keys = [str(key) if type(key) is int else key for key in items[0::2]]
    if len(items) % 2 or not all(isinstance(key, str) for key in keys):
        raise TypeError("keys must be texts or whole numbers")
    return list(zip(keys, items[1::2], strict=True))


def _integer_line(machine: _Machine) -> int | bool:
    line = machine.line()
    if len(line) > 20:
        raise ValueError("number too long")
    return {"00": False, "01": True}.get(line, int(line))


def _long(machine: _Machine, length: int) -> int:
    if length > 64:
        raise ValueError("number too long")
    return int.from_bytes(machine.take(length), "little", signed=True)


def _last(machine: _Machine, count: int) -> tuple[Any, ...]:
    return tuple(reversed([machine.pop() for _ in range(count)]))


_INSTRUCTIONS: dict[int, Callable[[_Machine], object]] = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    ord("("): lambda m: m.push(_MARK),
    ord("0"): lambda m: m.stack.pop(),  # POP
    ord("1"): lambda m: m.since_mark(),  # POP_MARK
    ord("2"): lambda m: m.push(m.stack[-1]),  # DUP
    # constants and numbers
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("I"): lambda m: m.push(_integer_line(m)),
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("B")),
    ord("M"): lambda m: m.push(m.number("<H")),
    0x8A: lambda m: m.push(_long(m, m.number("B"))),
    0x8B: lambda m: m.push(_long(m, m.number("<I"))),
    ord("G"): lambda m: m.push(m.number(">d")),
    # text and bytes
    ord("X"): lambda m: m.push(m.take(m.number("<I")).decode()),
    0x8C: lambda m: m.push(m.take(m.number("B")).decode()),
    0x8D: lambda m: m.push(m.take(m.number("<Q")).decode()),
    ord("U"): lambda m: m.push(m.take(m.number("B")).decode()),
    ord("T"): lambda m: m.push(m.take(m.number("<I")).decode()),
    ord("C"): lambda m: m.push(m.take(m.number("B"))),
    ord("B"): lambda m: m.push(m.take(m.number("<I"))),
    # containers
    ord(")"): lambda m: m.push(()),
    0x85: lambda m: m.push(_last(m, 1)),
    0x86: lambda m: m.push(_last(m, 2)),
    0x87: lambda m: m.push(_last(m, 3)),
    ord("t"): lambda m: m.push(tuple(m.since_mark())),
    ord("]"): lambda m: m.push([]),
    ord("l"): lambda m: m.push(m.since_mark()),
    ord("a"): lambda m: m.extend([m.pop()]),
    ord("e"): lambda m: m.extend(m.since_mark()),
    ord("}"): lambda m: m.push({}),
    ord("d"): lambda m: m.push(dict(pairs(m.since_mark()))),
    ord("s"): lambda m: m.update(list(_last(m, 2))),
    ord("u"): lambda m: m.update(m.since_mark()),
    # names and objects
    ord("c"): lambda m: m.named(m.line(), m.line()),
    0x93: lambda m: m.named(*_last(m, 2)),
    ord("R"): lambda m: m.make(new=False),
    0x81: lambda m: m.make(new=True),
    ord("b"): lambda m: m.build(),
    ord("Q"): lambda m: m.push(m.persistent(m.pop())),
    # memo
    ord("q"): lambda m: m.remember(m.number("B")),
    ord("r"): lambda m: m.remember(m.number("<I")),
    0x94: lambda m: m.remember(len(m.memo)),
    ord("h"): lambda m: m.push(m.memo[m.number("B")]),
    ord("j"): lambda m: m.push(m.memo[m.number("<I")]),
}
