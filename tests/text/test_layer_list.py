"""Lists of layers to compare, as people write them."""

from __future__ import annotations

import pytest

from pseudoword.errors import SettingsError
from pseudoword.text.layer_list import layer_list


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", ["1", "2", "3", "4"]),
        ("", ["1", "2", "3", "4"]),
        (" ; ", ["1", "2", "3", "4"]),
        ("2", ["2"]),
        ("3, 1; 2", ["3", "1", "2"]),
        ("1-3", ["1", "2", "3"]),
        ("4–2", ["2", "3", "4"]),
        ("1; 2; 1=0.5,2=0.5", ["1", "2", "1=0.5,2=0.5"]),
        ("All; 1=1,2=3", ["1", "2", "3", "4", "1=0.25,2=0.75"]),
        ("2; 2=7; 1=1,2=1; 1=5,2=5", ["2", "1=0.5,2=0.5"]),
    ],
)
def test_a_list_says_layers_and_blends_each_once(text: str, expected: list[str]) -> None:
    assert [blend.text for blend in layer_list(text, [4])] == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5", "There is no layer 5: the text encoder has 4"),
        ("2-9999", "There is no layer 5"),
        ("20-30", "There is no layer 20"),
        ("1=0.5,9=0.5", "There is no layer 9"),
        ("0", "There is no layer 0"),
        ("0-2", "There is no layer 0"),
        ("last", "'last' is not a layer"),
        ("1,,2", "'' is not a layer"),
        ("1, 2=0.5", "'1' gives no layer with its weight"),
        ("1;" * 2000, "at most 2,000 characters"),
    ],
)
def test_what_is_no_list_is_told(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        layer_list(text, [4])


def test_layers_of_two_text_encoders_are_named_apart_and_all_is_what_both_have() -> None:
    choices = layer_list("1; 2/1; 1=0.5,2=0.5/11; 3/3", [3, 31])
    assert [layers.text for layers in choices] == ["1", "2/1", "1=0.5,2=0.5/11", "3"]
    assert [layers.text for layers in layer_list("all", [3, 31])] == ["1", "2", "3"]
    with pytest.raises(SettingsError, match="There is no layer 4: the text encoder has 3"):
        layer_list("4/1", [3, 31])
    with pytest.raises(SettingsError, match="2/1 names layers of two text encoders, and the model has one"):
        layer_list("2/1", [3])
