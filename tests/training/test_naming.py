from __future__ import annotations

import pytest

from pseudoword.errors import SettingsError
from pseudoword.training.naming import check_new_word
from tests.tiny_models import tokenizer


@pytest.mark.parametrize("name", ["my-cat", "zxqv", "cat.2", "кошка", "sks-dog"])
def test_names_that_the_model_has_no_word_for_are_free(name: str) -> None:
    check_new_word(name, tokenizer())


@pytest.mark.parametrize("name", ["and", "the", "The", "THE"])
def test_a_word_of_the_vocabulary_is_taken(name: str) -> None:
    with pytest.raises(SettingsError):
        check_new_word(name, tokenizer())


def test_the_message_names_the_word_and_suggests_another() -> None:
    with pytest.raises(SettingsError, match=r"'the'.*'my-the'"):
        check_new_word("the", tokenizer())


def test_a_name_that_prompts_cannot_hold_is_refused() -> None:
    with pytest.raises(SettingsError):
        check_new_word("a(b)", tokenizer())
