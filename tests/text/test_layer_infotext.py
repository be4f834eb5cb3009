"""A picture says what its prompts were read with, and the panel reads that again."""

from __future__ import annotations

from itertools import product

import pytest

from pseudoword.text.layer_choice import PLACES, EncoderLayers, one_layer, parse_layers, said_in_fields
from pseudoword.text.layer_infotext import KEYS, WEBUI_KEY, fields_of, infotext_of
from pseudoword.text.layer_panel import LABELS

FIRST_PASS = ("prompt", "negative")


def layers(text: str) -> EncoderLayers | None:
    return parse_layers(text) if text else None


def told_of(*texts: str, setting: int = 1, all_is_said: bool = True) -> dict[str, str]:
    """The infotext of texts that were read so, an empty one with the WebUI's setting."""
    used = {place: layers(text) for place, text in zip(PLACES, texts, strict=False)}
    return infotext_of(used, setting, one_layer(setting) if all_is_said else one_layer(1), all_is_said)


def test_one_layer_for_all_is_said_as_the_webui_says_it() -> None:
    assert told_of("2", "2") == told_of("2", "2", "2", "2") == told_of("2", "2", setting=3) == {WEBUI_KEY: "2"}
    assert told_of("1", "1", setting=3) == {}, "the WebUI reads no key as 1"
    assert told_of("2", "", setting=2) == {WEBUI_KEY: "2"}


def test_without_a_choice_it_is_the_setting() -> None:
    assert told_of("", "", setting=2) == {WEBUI_KEY: "2"} and told_of("", "") == {}
    assert told_of("", "", setting=2, all_is_said=False) == {WEBUI_KEY: "2"}, "as the WebUI does for any model"


def test_what_the_webui_has_no_key_for_gets_one_of_ours() -> None:
    assert told_of("2", "1") == {KEYS["prompt"]: "2", KEYS["negative"]: "1"}
    assert told_of("2", "2", "3", "3") == {KEYS["prompt"]: "2", KEYS["hires"]: "3"}
    assert told_of("1=0.5,2=0.5", "1=0.5,2=0.5", setting=2) == {WEBUI_KEY: "2", KEYS["prompt"]: "1=0.5,2=0.5"}


def test_models_that_do_not_follow_the_setting_get_our_keys() -> None:
    assert told_of("2", "2", setting=4, all_is_said=False) == {WEBUI_KEY: "4", KEYS["prompt"]: "2"}
    assert told_of("2/1", "2/1", all_is_said=False) == {KEYS["prompt"]: "2/1"}


@pytest.mark.parametrize("setting", [1, 2])
@pytest.mark.parametrize("all_is_said", [True, False])
@pytest.mark.parametrize("count", [2, 4])
def test_whatever_was_used_is_used_again_when_the_picture_is_pasted(
    setting: int, all_is_said: bool, count: int
) -> None:
    webui = one_layer(setting) if all_is_said else one_layer(1)
    for texts in product(["", "1", "2", "1=0.5,2=0.5"], repeat=count):
        told = told_of(*texts, setting=setting, all_is_said=all_is_said)
        panel = said_in_fields(fields_of(told), LABELS)
        pasted_setting = one_layer(int(told.get(WEBUI_KEY, "1"))) if all_is_said else webui
        assert not panel.warnings
        for place, text in zip(PLACES, texts, strict=False):
            assert (panel.choice.of(place) or pasted_setting) == (layers(text) or webui), (texts, told)


def test_old_pictures_leave_the_panel_empty() -> None:
    assert fields_of({WEBUI_KEY: "2", "Seed": "7"}) == dict.fromkeys(PLACES, "")
