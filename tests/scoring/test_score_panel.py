"""The CLIP score panel: what its values mean, also those of programs, and what an infotext says of them."""

from __future__ import annotations

from typing import Any

import pytest

from pseudoword.scoring.score_infotext import has_score, model_of, shown_model
from pseudoword.scoring.score_panel import DEFAULT_MODEL, ScorePanelSays, score_panel_says


def test_off_nothing_else_counts() -> None:
    assert score_panel_says([]) == score_panel_says([False, "a", "b", "many"]) == ScorePanelSays()


def test_programs_may_give_fewer_values_and_numbers_as_texts() -> None:
    assert score_panel_says([True]) == ScorePanelSays(is_on=True)
    said = score_panel_says([True, " ViT-B-32:openai ", " a cat ", "3", "true", "21.5", "mean", "one more"])
    assert said == ScorePanelSays(True, "ViT-B-32:openai", "a cat", 3, True, 21.5, "mean")
    assert said.may_leave_out


def test_what_the_panel_calls_the_default_is_no_model_s_name() -> None:
    assert score_panel_says([True, DEFAULT_MODEL]).model == ""


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["", "", "many"], "'many' is no number of pictures"),
        (["", "", 1.5], "'1.5' is no number of pictures"),
        (["", "", [2]], "no number of pictures"),
        (["", "", 0, False, "x"], "'x' is no number; there is no minimum"),
        (["", "", 0, False, float("nan")], "there is no minimum"),
        (["", "", 0, False, 0, "all"], "cut or mean, not 'all'"),
        (["", "", 0, False, 0, {}], "cut or mean"),
    ],
)
def test_what_cannot_be_understood_is_named_and_leaves_nothing_out(values: list[Any], problem: str) -> None:
    said = score_panel_says([True, *values])
    assert len(said.problems) == 1 and problem in said.problems[0]
    assert not said.may_leave_out and said.long == "cut"


def test_numbers_below_nothing_are_none() -> None:
    said = score_panel_says([True, None, None, -3, None, -1])
    assert (said.keep, said.minimum, said.problems) == (0, 0, ())


def test_an_infotext_names_the_model_without_quotes() -> None:
    assert shown_model("ViT-L-14:openai") == "ViT-L-14 openai"
    told = {"CLIP score": "31.2", "CLIP model": "ViT-L-14 openai"}
    assert has_score(told) and not has_score({"Steps": "20"})
    assert model_of(told, ["ViT-B-32:openai", "ViT-L-14:openai"]) == "ViT-L-14:openai"
    assert model_of(told, ["ViT-B-32:openai"]) is None
