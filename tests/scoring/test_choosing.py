"""The best of several pictures: which are kept, in which order, and what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pseudoword.scoring.choosing import MOST_TOLD, choice_told, choose

SCORES: list[float | None] = [20.0, 31.24, None, 31.24, 5.0]


def test_without_a_wish_all_are_kept_as_they_were_made() -> None:
    choice = choose(SCORES)
    assert choice.kept == (0, 1, 2, 3, 4) and not choice.left_out


def test_the_best_come_first_the_first_of_equals_and_such_without_a_score_last() -> None:
    assert choose(SCORES, best_first=True).kept == (1, 3, 0, 4, 2)


def test_the_best_are_kept_in_the_order_they_were_made() -> None:
    choice = choose(SCORES, keep=2)
    assert choice.kept == (1, 2, 3) and choice.left_out == 2  # what could not be scored is never lost for it


def test_those_below_the_minimum_are_left_out_but_for_the_best() -> None:
    assert choose(SCORES, minimum=20).kept == (0, 1, 2, 3)
    choice = choose([1.0, 3.0, 2.0], minimum=20)
    assert choice.kept == (1,) and choice.left_out == 2 and choice.is_short


@given(
    some.lists(some.none() | some.floats(0, 100), min_size=1, max_size=12),
    some.integers(0, 12),
    some.floats(0, 110),
    some.booleans(),
)
def test_nobody_is_left_with_nothing(scores: list[float | None], keep: int, minimum: float, best_first: bool) -> None:
    choice = choose(scores, keep, minimum, best_first)
    assert choice.kept and len(set(choice.kept)) == len(choice.kept) == len(scores) - choice.left_out
    figures = [score for score in scores if score is not None]
    kept = [score for place in choice.kept if (score := scores[place]) is not None]
    assert not figures or max(figures) in kept
    assert not keep or len(kept) <= keep
    assert choice.is_short or all(score >= minimum for score in kept)
    choice_told(scores, choice, "a model", minimum)


@pytest.mark.parametrize(
    ("scores", "wish", "told"),
    [
        ([31.24], {}, ""),
        ([None], {}, ""),
        ([31.24, 20.0], {}, "CLIP scores by m: 31.2, 20.0."),
        ([31.24, 20.0, 25.0], {"keep": 2}, "CLIP scores by m: 31.2, 25.0. 1 of 3 pictures is left out for a lower"),
        ([31.24, 20.0, 25.0], {"minimum": 40}, "No picture reaches the minimum CLIP score of 40: 31.2, so the best"),
        ([31.24], {"minimum": 40}, "The picture does not reach the minimum CLIP score of 40: 31.2."),
        ([31.24, None], {}, "CLIP scores by m: 31.2, none. 1 of 2 pictures could not be scored, and is kept."),
        ([30.0] * MOST_TOLD + [20.0], {}, "CLIP scores by m: 20.0 to 30.0, on average 29.4."),
    ],
)
def test_what_is_said(scores: list[float | None], wish: dict[str, float], told: str) -> None:
    keep, minimum = int(wish.get("keep", 0)), wish.get("minimum", 0)
    said = choice_told(scores, choose(scores, keep, minimum), "m", minimum)
    assert said.startswith(told) and bool(said) == bool(told)
