"""Names of new words: what a file system, a prompt, or a program beside us would read as something else is refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.embedding import check_name
from pseudoword.errors import SettingsError


@pytest.mark.parametrize("name", ["moon-cat", "v1.5", "_x", "猫", "Ñandú", "x" * 100, "console", "brand", "Clip_L2"])
def test_letters_digits_dots_hyphens_and_underscores_are_allowed(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("--", "no letter or digit"),
        ("x" * 101, "longer than"),
        ("猫" * 80, "longer than"),
        ("../x", "contains '/'"),
        ("a\\b", "contains"),
        ("a b", "contains ' '"),
        ("a:1", "contains ':'"),
        ("(a)", "contains"),
        ("<a>", "contains"),
        ("[a|b]", "contains"),
        ("a\nb", "contains"),
        ("a\0", "contains"),
        ("a\u202eb", "contains"),
        ("a\udcffb", "contains"),
        (".hidden", "dot"),
        ("end.", "dot"),
        ("a..b", "two in a row"),
        ("NUL", "Windows"),
        ("com1.txt", "Windows"),
        ("AND", "already use"),
        ("clip_l", "already use"),
        ("emb_params", "already use"),
        ("cat.preview", "previews"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot be used for an embedding: .*{reason}"):
        check_name(name)


def test_that_there_is_no_name_yet_is_said_as_such() -> None:
    with pytest.raises(SettingsError, match="needs a name"):
        check_name("")


def test_a_name_typed_in_two_ways_is_one_name() -> None:
    assert check_name(unicodedata.normalize("NFD", "Ñandú")) == "Ñandú"


@given(st.text())
def test_an_accepted_name_is_one_part_of_a_path_and_stays_accepted(name: str) -> None:
    try:
        accepted = check_name(name)
    except SettingsError as error:
        assert str(error).isascii() or "…" in str(error)
        return
    assert check_name(accepted) == accepted and accepted.isprintable()
    assert not set(accepted) & set('/\\:*?"<>|()[]{}, \t\n\0') and len((accepted + ".safetensors").encode()) <= 255
