"""How an embedding came about, as its panel shows it."""

from __future__ import annotations

import json

import pytest

from pseudoword.ui.recipe_html import lines_of, recipe_html


def test_settings_are_lines_without_brackets_and_quotes() -> None:
    recipe = {"method": "textual inversion", "learning_rate": 0.005, "decay": None, "norm": True, "batch": 4}
    lines = ["method: textual inversion", "learning rate: 0.005", "norm: yes", "batch: 4"]
    assert lines_of(json.dumps(recipe)) == lines
    shown = recipe_html(json.dumps(recipe))
    assert "<summary>method: textual inversion</summary>" in shown and shown.count("<li>") == 3
    assert "{" not in shown and "&quot;" not in shown


def test_ingredients_are_named_one_after_the_other() -> None:
    parts = [{"name": "moon", "sha256": "ab12"}, {"name": "sun", "sha256": "cd34"}]
    lines = lines_of(json.dumps({"expression": "0.5*moon + sun", "embeddings": parts}))
    assert lines == ["expression: 0.5*moon + sun", "embeddings: name moon, sha256 ab12; name sun, sha256 cd34"]


@pytest.mark.parametrize("recipe", ["", " \n", "{}", "a bit of this", "[1, 2]", "{cut off", "[" * 100_000])
def test_what_is_no_recipe_of_ours_stays_as_it_stands(recipe: str) -> None:
    assert recipe_html(recipe) == ("" if recipe in ("", " \n", "{}") else recipe[:300])


def test_a_file_can_put_nothing_into_the_page_and_not_fill_it() -> None:
    hostile = {f"<b>{number}": "<script>" * 1000 for number in range(1000)}
    shown = recipe_html(json.dumps(hostile))
    assert "<script" not in shown and "<b>" not in shown and len(shown) < 60 * 300 * 5
