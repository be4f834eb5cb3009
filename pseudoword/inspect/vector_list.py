"""Lists of vectors as people write them, `1-4, 7, 6`: numbered from 1, in the order that is wanted."""

from __future__ import annotations

import re

from ..errors import SettingsError

_PART = re.compile(r"\s*([0-9]{1,9})\s*(?:[-\u2013]\s*([0-9]{1,9})\s*)?")


def vector_places(text: str, count: int) -> list[int]:
    """The places, from 0 on, of the vectors that `text` lists of a word with `count`; all of them where it is empty.

    A range may run backwards. Raises SettingsError for what is no list, for a vector that there is not, and for one
    that is named twice.
    """
    places: dict[int, None] = {}
    for part in text.strip().rstrip(",").split(",") if text.strip() else [f"1-{count}"]:
        match = _PART.fullmatch(part)
        if match is None:
            raise SettingsError(f"{part.strip()[:40]!r} is no vector; list those to keep, such as 1-4, 7, 6.")
        first, last = int(match[1]), int(match[2] or match[1])
        wrong = next((number for number in (first, last) if not 1 <= number <= count), None)
        if wrong is not None:
            there = f"its {count} are numbered 1 to {count}" if count > 1 else "there is one, number 1"
            raise SettingsError(f"There is no vector {wrong}: {there}.")
        step = 1 if first <= last else -1
        for number in range(first, last + step, step):
            if number - 1 in places:
                raise SettingsError(f"Vector {number} is named twice; name each that is kept once.")
            places[number - 1] = None
    return list(places)
