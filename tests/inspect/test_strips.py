"""What a strip shows, and what CLIP's features of its pictures say: checked by the formulas, on made-up features."""

from __future__ import annotations

import csv
import io
import math

import pytest
import torch
from torch import Tensor

from pseudoword.embedding import Embedding, EmbeddingMetadata
from pseudoword.errors import ModelError, SettingsError
from pseudoword.inspect.strips import (
    MOST_LEFT_OUT,
    Row,
    Shot,
    Similarities,
    combination_row,
    contribution_row,
    interpolation_row,
    similarities,
    similarities_table,
)
from pseudoword.text import encode_prompts
from tests import tiny_models
from tests.inspect.words import random_rows, word

MODEL = tiny_models.TinyModel()
ENCODERS = MODEL.text_encoders


def context(shot: Shot) -> Tensor:
    """What the model is told at a shot."""
    return encode_prompts(MODEL, [shot.prompt], shot.words).context


def turned(*degrees: float) -> Tensor:
    """Features (len(degrees), 2) that point so far away from the first axis."""
    angles = torch.tensor([math.radians(angle) for angle in degrees])
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def labels(row: Row) -> list[str]:
    return [shot.label for shot in row.shots]


def found(row: Row, seeds: tuple[int, ...], *features: Tensor) -> Similarities:
    figures = similarities(row, seeds, features)
    assert figures is not None
    return figures


# ---- a word without its vectors -------------------------------------------------------------------------------------


def test_each_vector_is_left_out_in_turn() -> None:
    rows = random_rows(3)
    row = contribution_row(word(rows, "my-cup"))
    assert row.title == "What each vector of my-cup does in 'a photo of my-cup'"
    assert labels(row) == ["my-cup", "without 1", "without 2", "without 3"] and row.references == (0,)
    for shot, kept in zip(row.shots, [[0, 1, 2], [1, 2], [0, 2], [0, 1]], strict=True):
        expected = encode_prompts(MODEL, ["a photo of zxqv"], {"zxqv": {"clip_l": rows[kept]}}).context
        assert torch.equal(context(shot), expected)


def test_a_word_of_one_vector_is_left_out_of_the_prompt() -> None:
    row = contribution_row(word(random_rows(1)), "{}, a photo")
    assert labels(row) == ["zonk", "without it"]
    assert torch.equal(context(row.shots[1]), encode_prompts(MODEL, [", a photo"], {}).context)


@pytest.mark.parametrize("count", [12, 13, 30, 75])
def test_long_words_lose_neighbours_together(count: int) -> None:
    rows = random_rows(count)
    row = contribution_row(word(rows))
    assert len(row.shots) == 1 + MOST_LEFT_OUT
    missing = [count - len(next(iter(shot.words.values()))["clip_l"]) for shot in row.shots]
    assert missing[0] == 0 and sum(missing) == count and max(missing) - min(missing[1:]) <= 1


def test_groups_are_named_by_their_first_and_last_vector() -> None:
    assert labels(contribution_row(word(random_rows(75))))[1] == "without 1–6"
    assert labels(contribution_row(word(random_rows(13))))[-1] == "without 12–13"
    assert labels(contribution_row(word(random_rows(13))))[1] == "without 1"


@pytest.mark.parametrize("name", ["photo", "a", "(odd:1.2) [name]", "日本", "of {}"])
def test_what_a_word_is_called_makes_no_difference(name: str) -> None:
    rows = random_rows(2)
    plain, odd = contribution_row(word(rows)), contribution_row(word(rows, name))
    for one, other in zip(plain.shots, odd.shots, strict=True):
        assert torch.equal(context(one), context(other))


def test_both_encoders_of_sdxl_lose_the_same_vectors() -> None:
    rows = {"clip_l": random_rows(2, 768), "clip_g": random_rows(2, 1280)}
    row = contribution_row(Embedding("moon", rows, EmbeddingMetadata(clip_skip=2)))
    (left,) = row.shots[1].words.values()
    assert torch.equal(left["clip_l"], rows["clip_l"][1:]) and torch.equal(left["clip_g"], rows["clip_g"][1:])
    assert row.clip_skip == 2


@pytest.mark.parametrize("template", ["a photo", "", "{} and {}"])
def test_a_template_says_once_where_the_word_stands(template: str) -> None:
    first, second = word(random_rows(1)), word(random_rows(1, seed=1))
    with pytest.raises(SettingsError, match="write it once"):
        contribution_row(first, template)
    with pytest.raises(SettingsError, match="write it once"):
        interpolation_row(first, second, 3, ENCODERS, template)
    with pytest.raises(SettingsError, match="write it once"):
        combination_row("a + b", first, [], template)


# ---- from one word to another ---------------------------------------------------------------------------------------


def test_the_way_begins_and_ends_with_the_words_themselves() -> None:
    first, second = word(random_rows(2), "sun"), word(random_rows(2, seed=1), "moon")
    row = interpolation_row(first, second, 5, ENCODERS)
    assert labels(row) == ["sun", "25 %", "50 %", "75 %", "moon"] and row.references == (0, 4)
    vectors = [next(iter(shot.words.values()))["clip_l"] for shot in row.shots]
    assert torch.equal(vectors[0], first.vectors["clip_l"]) and torch.equal(vectors[4], second.vectors["clip_l"])
    towards = [float(torch.cosine_similarity(step, vectors[4], dim=1).mean()) for step in vectors]
    assert towards == sorted(towards)


def test_words_of_the_same_name_are_not_mixed_up() -> None:
    first, second = word(random_rows(1), "Moon"), word(random_rows(1, seed=1), "moon")
    row = interpolation_row(first, second, 2, ENCODERS)
    assert torch.equal(context(row.shots[1]), context(contribution_row(second).shots[0]))
    assert not torch.equal(context(row.shots[0]), context(row.shots[1]))


def test_one_vector_goes_with_any_number_and_others_do_not() -> None:
    one, two, three = (word(random_rows(count), f"w{count}") for count in (1, 2, 3))
    assert len(interpolation_row(one, three, 2, ENCODERS).shots) == 2
    with pytest.raises(SettingsError, match=r"w2 has 2 vectors and w3 3.*\[:2\]"):
        interpolation_row(two, three, 3, ENCODERS)


def test_a_way_needs_two_words_of_this_model_and_two_steps() -> None:
    ours = word(random_rows(1), "sun")
    with pytest.raises(ModelError, match="'theirs' has vectors of shape"):
        interpolation_row(ours, word(random_rows(1, 5), "theirs"), 3, ENCODERS)
    with pytest.raises(ModelError, match="'theirs' has vectors for clip_g"):
        interpolation_row(ours, word(random_rows(1), "theirs", "clip_g"), 3, ENCODERS)
    for count in (1, 101):
        with pytest.raises(SettingsError, match="2 to 100"):
            interpolation_row(ours, ours, count, ENCODERS)


# ---- what an expression gives ---------------------------------------------------------------------------------------


def test_a_new_word_stands_beside_what_it_was_made_of() -> None:
    result, sun, moon = (word(random_rows(1, seed=seed), name) for seed, name in enumerate(("new", "sun", "moon")))
    row = combination_row("sun + moon", result, [sun, moon])
    assert labels(row) == ["the result", "sun alone", "moon alone"] and row.title == "sun + moon in 'a photo of {}'"
    assert torch.equal(context(row.shots[2]), context(contribution_row(moon).shots[0]))


# ---- figures --------------------------------------------------------------------------------------------------------


def test_what_is_lost_is_one_minus_the_cosine_of_the_same_seed() -> None:
    row = contribution_row(word(random_rows(2)))
    figures = found(row, (7, 8), turned(0, 60), turned(60, 60), turned(90, 150))
    assert figures.labels == ("zonk", "without 1", "without 2") and figures.seeds == (7, 8)
    assert figures.lost(0) == pytest.approx(0) and figures.lost(1) == pytest.approx(0.25)
    assert figures.lost(2) == pytest.approx(1) and figures.deviation(2) == pytest.approx(0, abs=1e-6)
    assert figures.deviation(1) == pytest.approx(0.5 / math.sqrt(2))
    assert figures.between_seeds == pytest.approx(0.5)
    assert [figures.caption(place) for place in range(3)] == ["", "0.250 lost ± 0.354", "1.000 lost ± 0.000"]
    assert "whole word" in figures.explanation
    assert "from one seed to another, the pictures of zonk lose 0.500" in figures.explanation


def test_the_yardstick_is_the_mean_of_all_pairs_of_seeds() -> None:
    row = contribution_row(word(random_rows(1)))
    whole = turned(0, 60, 90)
    figures = found(row, (1, 2, 3), whole, whole)
    assert figures.between_seeds == pytest.approx((0.5 + 0 + math.cos(math.radians(30))) / 3)


def test_one_seed_has_no_spread_and_says_so() -> None:
    figures = found(contribution_row(word(random_rows(1))), (7,), turned(0), turned(60))
    assert figures.deviation(1) is None and figures.between_seeds is None
    assert figures.caption(1) == "0.500 lost" and "One seed says little" in figures.explanation


def test_figures_come_as_soon_as_there_is_something_to_compare() -> None:
    row = contribution_row(word(random_rows(2)))
    assert similarities(row, (7,), []) is None and similarities(row, (7,), [turned(0)]) is None
    assert found(row, (7,), turned(0), turned(60)).labels == ("zonk", "without 1")
    way = interpolation_row(word(random_rows(1)), word(random_rows(1, seed=1)), 3, ENCODERS)
    assert similarities(way, (7,), [turned(0), turned(45)]) is None
    assert found(way, (7,), turned(0), turned(45), turned(90)).references == (0, 2)


def test_along_the_way_both_ends_are_compared_with() -> None:
    row = interpolation_row(word(random_rows(1), "sun"), word(random_rows(1, seed=1), "moon"), 3, ENCODERS)
    figures = found(row, (7,), turned(0), turned(60), turned(90))
    assert [figures.similarity(place) for place in range(3)] == pytest.approx([1, 0.5, 0], abs=1e-6)
    assert [figures.similarity(place, 1) for place in range(3)] == pytest.approx([0, math.sqrt(0.75), 1], abs=1e-6)
    assert [figures.caption(place) for place in range(3)] == ["", "0.500 | 0.866", ""]
    assert "similarities with sun | with moon" in figures.explanation


def test_ingredients_are_compared_with_the_result() -> None:
    row = combination_row("sun", word(random_rows(1)), [word(random_rows(1), "sun")])
    figures = found(row, (7, 8), turned(0, 0), turned(60, 60))
    assert figures.caption(1) == "similarity 0.500"
    assert "the pictures of the result have a similarity of 1.000" in figures.explanation


def test_features_of_any_length_do_and_the_same_picture_loses_nothing() -> None:
    row = contribution_row(word(random_rows(1)))
    features = torch.randn(4, 512, generator=torch.Generator().manual_seed(1)) * 30
    assert found(row, (1, 2, 3, 4), features, features).caption(1) == "0.000 lost ± 0.000"


def test_the_table_has_a_line_for_each_comparison_and_the_yardstick() -> None:
    figures = found(contribution_row(word(random_rows(1), "=zonk")), (7, 8), turned(0, 60), turned(60, 60))
    header, whole, left, yardstick = csv.reader(io.StringIO(similarities_table([figures])))
    assert header == [
        *("strip", "picture", "compared_with", "similarity", "lost", "deviation"),
        *("similarity_with_seed_7", "similarity_with_seed_8"),
    ]
    assert whole[1:3] == ["'=zonk"] * 2 and left[1] == "without it"
    assert [float(cell) for cell in left[3:]] == pytest.approx([0.75, 0.25, 0.5 / math.sqrt(2), 0.5, 1], abs=1e-6)
    assert yardstick[1] == "'=zonk, other seeds" and float(yardstick[3]) == pytest.approx(0.5)


def test_both_ends_of_a_way_are_in_the_table() -> None:
    row = interpolation_row(word(random_rows(1), "sun"), word(random_rows(1, seed=1), "moon"), 2, ENCODERS)
    lines = list(csv.DictReader(io.StringIO(similarities_table([found(row, (7,), turned(0), turned(60))]))))
    compared = [(line["picture"], line["compared_with"]) for line in lines]
    assert compared == [("sun", "sun"), ("moon", "sun"), ("sun", "moon"), ("moon", "moon")]
    assert [line["deviation"] for line in lines] == [""] * 4
