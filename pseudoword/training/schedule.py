"""The learning rate at each step: A1111's notation, with linear warm-up and cosine decay."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import SettingsError

if TYPE_CHECKING:
    from .settings import TrainSettings

HIGHEST_RATE = 1.0


@dataclass(frozen=True)
class RateSpan:
    """A learning rate and the step it ends before; None: it holds to the end of the run."""

    rate: float
    until: int | None


def learning_rate_at(settings: TrainSettings, step: int) -> float:
    """Learning rate of `step`, counted from 0 to `settings.steps` - 1.

    The rate written in `settings.learning_rate`, times the warm-up, which rises evenly over the first `settings.warmup`
    steps and is 1 in the last of them, times the decay, which falls from 1 after the warm-up towards 0 at the end.
    """
    rate = next(
        (span.rate for span in parse_learning_rate(settings.learning_rate) if span.until is None or step < span.until),
        0.0,  # past the end of a notation that ends; settings see to it that no run comes here
    )
    if step < settings.warmup:
        return rate * ((step + 1) / settings.warmup)  # exactly the rate in the last of them
    if settings.decay == "cosine":
        progress = (step - settings.warmup) / (settings.steps - settings.warmup)
        rate *= 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return rate


@lru_cache(maxsize=64)
def parse_learning_rate(text: str) -> tuple[RateSpan, ...]:
    """The spans of a learning rate in A1111's notation: `0.005:100, 1e-3:1000, 1e-5`.

    Each rate holds until its step; the last may have none, or -1 as in A1111, and holds to the end. Blank parts are
    passed over. Raises SettingsError with the place for anything that is not a rate above 0 and up to 1, for steps that
    do not rise, and for rates after one that holds to the end, which A1111 would ignore.
    """
    spans: list[RateSpan] = []
    start = 0
    for part in text.split(","):
        if part.strip():
            _check_going_on(text, start + _indent(part), spans)
            spans.append(_parse_span(text, start, part, spans[-1].until if spans else 0))
        start += len(part) + 1
    if not spans:
        raise _error(text, 0, f"a rate above 0 and up to {HIGHEST_RATE:g}")
    return tuple(spans)


def _check_going_on(text: str, start: int, spans: list[RateSpan]) -> None:
    if spans and spans[-1].until is None:
        raise _error(text, start, "nothing, since the rate before it has no step and holds to the end")


def _parse_span(text: str, start: int, part: str, previous: int | None) -> RateSpan:
    """One `rate` or `rate:step` of `text`, where `part` begins at `start` and the span before ends at `previous`."""
    rate_text, colon, step_text = part.partition(":")
    rate = _number(rate_text)
    if rate is None or not 0 < rate <= HIGHEST_RATE:
        raise _error(text, start + _indent(rate_text), f"a rate above 0 and up to {HIGHEST_RATE:g}")
    if not colon or step_text.strip() == "-1":
        return RateSpan(rate, None)
    place = start + len(rate_text) + 1 + _indent(step_text)
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", step_text):
        raise _error(text, place, "the step, a whole number, at which this rate ends")
    until = int(step_text)
    if previous is not None and until <= previous:
        raise _error(text, place, f"a step above {previous}, where this rate begins")
    return RateSpan(rate, until)


def _number(text: str) -> float | None:
    """The decimal number that `text` is; float() would take 'nan', '1_0' and the digits of any script, too."""
    if not re.fullmatch(r"\s*\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*", text):
        return None
    return float(text)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _error(text: str, place: int, wanted: str) -> SettingsError:
    found = text[place:].split(",")[0].strip()
    return SettingsError(
        f"learning_rate is {text!r}, where character {place + 1} begins {found!r}, but {wanted} is wanted there; "
        "write a rate such as '0.005', or rates with the steps they end at such as '0.005:100, 1e-3:1000, 1e-5'."
    )
