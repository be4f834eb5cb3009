"""What the CLIP score panel says: with which model, beside which text, and which pictures are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .long_texts import LongTexts

MOST_TEXT = 20_000  # letters; a prompt has hundreds
DEFAULT_MODEL = "the best on this disk"  # as panels call it
LONG_TEXTS: tuple[LongTexts, ...] = ("cut", "mean")


@dataclass(frozen=True)
class ScorePanelSays:
    """The panel as somebody left it, or a program filled it in.

    `model` is the name of a CLIP model, "" for the default. Pictures are compared with `text`, "" for each one's own
    prompt. Of the pictures of one generation the best `keep` are kept, 0 for all, and those that reach `minimum`.
    `problems` are sentences about what could not be understood.
    """

    is_on: bool = False
    model: str = ""
    text: str = ""
    keep: int = 0
    best_first: bool = False
    minimum: float = 0.0
    long: LongTexts = "cut"
    problems: tuple[str, ...] = ()

    @property
    def may_leave_out(self) -> bool:
        """Whether pictures may be left out."""
        return self.keep > 0 or self.minimum > 0


def score_panel_says(values: Sequence[Any]) -> ScorePanelSays:
    """The panel whose values these are: those of `ScorePanelSays` in that order; programs may give fewer."""
    given: list[Any] = [False, "", "", 0, False, 0, "cut"]
    given[: len(values)] = values[: len(given)]
    is_on, model, text, keep, best_first, minimum, long = given
    if not _is_yes(is_on):
        return ScorePanelSays()
    problems: list[str] = []
    least, most = _number(minimum), _number(keep)
    if least is None:
        problems.append(f"The minimum CLIP score {_shown(minimum)} is no number; there is no minimum.")
    if most is None or most != int(most):
        problems.append(f"{_shown(keep)} is no number of pictures to keep; all are kept.")
    if long not in LONG_TEXTS:
        problems.append(f"Long texts can be read with {' or '.join(LONG_TEXTS)}, not {_shown(long)}; they are cut.")
        long = "cut"
    return ScorePanelSays(
        is_on=True,
        model="" if model == DEFAULT_MODEL else _text(model),
        text=_text(text),
        keep=int(most) if most is not None and most == int(most) else 0,
        best_first=_is_yes(best_first),
        minimum=least or 0.0,
        long=long,
        problems=tuple(problems),
    )


def _is_yes(value: Any) -> bool:
    return value in (True, "true", "True")


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:MOST_TEXT].strip()


def _number(value: Any) -> float | None:
    """`value` as a number that is not negative, None where it is none; an empty field is 0."""
    if value in (None, ""):
        return 0.0
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return max(number, 0.0) if math.isfinite(number) else None


def _shown(value: Any) -> str:
    return repr(str(value)[:40])
