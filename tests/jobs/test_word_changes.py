"""What forms ask to be changed of a word."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.embedding import EmbeddingMetadata
from pseudoword.errors import SettingsError
from pseudoword.inspect.vector_list import vector_places
from pseudoword.jobs.library.word_changes import Changes
from tests.jobs.small_library import FACTS, toy

# Lists of vectors


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        (" 1-4, 7 ,6", [0, 1, 2, 3, 6, 5]),
        ("3", [2]),
        ("7-5", [6, 5, 4]),
        ("2\u20133", [1, 2]),
        ("1,", [0]),
    ],
)
def test_vectors_are_listed_from_1_in_the_order_wanted(text: str, places: list[int]) -> None:
    assert vector_places(text, 7) == places


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0", "no vector 0: its 7 are numbered 1 to 7"),
        ("5-8", "no vector 8"),
        ("1-999999999", "no vector 999999999"),
        ("1, 2, 1", "Vector 1 is named twice"),
        ("1-3, 2-4", "Vector 2 is named twice"),
        ("-1", "'-1' is no vector; list those to keep, such as 1-4, 7, 6"),
        ("1,,2", "'' is no vector"),
        (",", "'' is no vector"),
        ("a", "'a' is no vector"),
        ("1:3", "'1:3' is no vector"),
        ("٣", "is no vector"),
        ("9" * 100_000, "is no vector"),
    ],
)
def test_what_is_no_list_is_told_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        vector_places(text, 7)
    assert len(str(caught.value)) < 150
    with pytest.raises(SettingsError, match="there is one, number 1"):
        vector_places("2", 1)


@given(st.text())
def test_any_text_is_a_list_or_told(text: str) -> None:
    with suppress(SettingsError):
        assert 0 < len(set(vector_places(text, 7))) <= 7


@given(st.permutations(range(1, 8)))
def test_every_order_can_be_written(order: list[int]) -> None:
    assert vector_places(", ".join(map(str, order)), 7) == [number - 1 for number in order]


# Changes


def test_nothing_changes_where_nothing_is_asked() -> None:
    word = toy()
    same = Changes().apply(word)
    assert same.name == word.name and same.metadata == word.metadata
    assert torch.equal(same.vectors["clip_l"], word.vectors["clip_l"])


def test_everything_at_once() -> None:
    facts = {"author": " Bo ", "steps": "12", "clip_skip": "", "title": "zonk", "description": ""}
    found = Changes("3, 1", " sun ", is_half=True, facts=facts).apply(toy())
    assert torch.equal(found.vectors["clip_l"], toy().vectors["clip_l"][[2, 0]].half().float())
    assert found.name == "sun"
    assert found.metadata == replace(FACTS, author="Bo", steps=12, clip_skip=None, title="sun")


def test_a_bare_word_keeps_its_name_and_vectors_alone() -> None:
    found = Changes(is_bare=True, facts={"author": "Bo"}).apply(toy())
    assert found.metadata == EmbeddingMetadata() and found.vector_count == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (Changes(facts={"steps": "many"}), "steps is 'many'; give a whole number from 0 on, or nothing"),
        (Changes(facts={"clip_skip": "-1"}), "clip skip is '-1'"),
        (Changes(facts={"steps": "1" * 5000}), "give a whole number"),
        (Changes(facts={"steps": "²"}), "give a whole number"),
        (Changes(name="a/b"), "cannot be used"),
        (Changes(vectors="9"), "no vector 9"),
    ],
)
def test_what_cannot_be_is_told(changes: Changes, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        changes.apply(toy())
