"""Whose word counts when prompts, the panel, the checkpoint and embeddings speak of layers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.errors import SettingsError
from pseudoword.text.layer_choice import (
    PLACES,
    EncoderLayers,
    LayerChoice,
    choose,
    one_layer,
    parse_layers,
    said_by_words,
    said_in_fields,
    said_in_prompts,
    tags_in,
    tags_of_hires,
    that_fits,
    without_tags,
)
from pseudoword.text.layer_panel import LABELS, OF_CHECKPOINT, SOURCES, WRITTEN, panel_says
from pseudoword.text.layers import LayerBlend


def texts(choice: LayerChoice) -> dict[str, str]:
    """What each text is read with, where anything is said of it."""
    found = {place: choice.of(place) for place in PLACES}
    return {place: layers.text for place, layers in found.items() if layers is not None}


def said(prompt: str, negative: str = "") -> dict[str, str]:
    told = said_in_prompts(tags_in(prompt), tags_in(negative))
    assert not told.warnings
    return texts(told.choice)


# ---- layers of one encoder or of two ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1", "2", "12", "1=0.25,2=0.75", "2/1", "1=0.5,2=0.5/3", "2/1=0.1,4=0.9"])
def test_layers_have_one_text(text: str) -> None:
    assert parse_layers(text).text == text


def test_the_same_layers_twice_are_said_once() -> None:
    assert parse_layers("2/2").text == "2" and parse_layers(" 2 / 2 ").text == "2"


def test_each_encoder_gets_its_own() -> None:
    layers = parse_layers("2/1=1,3=1")
    assert layers.of("clip_l").text == "2" and layers.of("clip_g").text == "1=0.5,3=0.5"
    assert all(one_layer(3).of(name).text == "3" for name in ("clip_l", "clip_g", "open_clip_h"))
    assert parse_layers("2/1").of("open_clip_h").text == "2", "where there is one encoder, it is the first"


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "2.5", "1=0,2=0", "1=x", "2/", "/2", "2/1/1", "1=0.5,1=0.5", "²"])
def test_what_is_no_layer_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(SettingsError, match=r"\.$"):
        parse_layers(text)


# ---- prompts ---------------------------------------------------------------------------------------------------------


def test_a_tag_counts_for_the_negative_prompt_and_the_hires_pass_too() -> None:
    assert said("a cat <clipskip:2>") == dict.fromkeys(PLACES, "2")
    assert said("a cat") == {}


def test_a_tag_can_say_where_it_counts() -> None:
    assert said("<clipskip:3:negative>") == {"negative": "3", "hires_negative": "3"}
    assert said("<clipskip:3:hires>") == {"hires": "3", "hires_negative": "3"}
    assert said("<clipskip:3:hires:negative>") == said("<clipskip:3: Negative :HIRES>") == {"hires_negative": "3"}
    several = "<clipskip:1><clipskip:2:negative><clipskip:3:hires><clipskip:4:hires:negative>"
    assert said(several) == {"prompt": "1", "negative": "2", "hires": "3", "hires_negative": "4"}
    assert said("<clipskip:2:negative><clipskip:3:hires>")["hires_negative"] == "2"


def test_a_tag_in_the_negative_prompt_counts_for_that() -> None:
    assert said("a cat", "blurry <clipskip:3>") == said("a cat <clipskip:3:negative>")
    assert said("a cat", "blurry <clipskip:3:hires>") == {"hires_negative": "3"}


@pytest.mark.parametrize(
    ("prompt", "negative", "followed"),
    [
        ("<clipskip:2> <clipskip:3>", "", "2"),
        ("<clipskip:3> a <clipskip:2> b <clipskip:3>", "", "3"),
        ("<clipskip:1=1,2=1><clipskip:2>", "", "1=0.5,2=0.5"),
    ],
)
def test_of_tags_that_contradict_each_other_the_first_is_followed(prompt: str, negative: str, followed: str) -> None:
    told = said_in_prompts(tags_in(prompt), tags_in(negative))
    assert texts(told.choice)["prompt"] == followed
    assert len(told.warnings) == 1 and "contradicts" in told.warnings[0]


def test_a_contradiction_between_a_prompt_and_its_negative_is_told() -> None:
    told = said_in_prompts(["2:negative"], ["3"])
    assert (
        texts(told.choice)["negative"] == "2" and "<clipskip:3> contradicts <clipskip:2:negative>" in told.warnings[0]
    )


def test_saying_the_same_twice_is_no_contradiction() -> None:
    assert said("<clipskip:2> <clipskip:2> <clipskip:2=7>")["prompt"] == "2"


@pytest.mark.parametrize("tag", ["0", "x", "1=0,2=0", "2:everywhere", "2:", ":2", "2/1/1", "9" * 300])
def test_a_tag_that_cannot_be_read_is_told_and_the_others_count(tag: str) -> None:
    told = said_in_prompts([tag, "3"], [])
    assert texts(told.choice)["prompt"] == "3"
    assert len(told.warnings) == 1 and f"<clipskip:{tag}> is not followed" in told.warnings[0]


def test_the_text_encoder_reads_no_tag() -> None:
    assert without_tags("a <clipskip:2>cat<clipskip:x>, <lora:b:1>") == "a cat, <lora:b:1>"


def test_in_the_hires_pass_its_own_prompt_counts_and_what_the_prompt_says_of_it() -> None:
    assert tags_of_hires(["2", "3:hires"], ["4"]) == ["4", "3:hires"]
    assert tags_of_hires(["2", "3:hires"], ["2", "3:hires"]) == ["2", "3:hires"], "without a prompt of its own"


@given(st.text())
def test_any_prompt_can_be_read(prompt: str) -> None:
    said_in_prompts(tags_in(prompt), tags_in(f"<clipskip:{prompt}>"))


# ---- who wins --------------------------------------------------------------------------------------------------------


def test_the_prompt_wins_over_the_panel_where_it_says_something() -> None:
    tags, panel = LayerChoice(negative=one_layer(3)), LayerChoice(prompt=one_layer(2))
    assert [layers.text if (layers := choose(place, [tags, panel])) else "" for place in PLACES] == ["2", "3", "2", "3"]
    everywhere = LayerChoice(prompt=one_layer(4))
    assert {str(choose(place, [everywhere, LayerChoice(negative=one_layer(1))])) for place in PLACES} == {
        str(one_layer(4))
    }
    assert choose("prompt", [LayerChoice(), LayerChoice()]) is None


def test_layers_that_the_model_lacks_leave_the_webui_s_setting() -> None:
    def lacking(_: EncoderLayers) -> None:
        raise SettingsError("There are 12.")

    assert that_fits(one_layer(99), lacking) == (None, "There are 12. The WebUI's own setting is used instead.")
    assert that_fits(None, lacking) == (None, None)
    assert that_fits(one_layer(2), lambda _: None) == (one_layer(2), None)


# ---- the panel -------------------------------------------------------------------------------------------------------


def test_empty_fields_say_nothing() -> None:
    assert said_in_fields(dict.fromkeys(PLACES, "  "), LABELS).choice == LayerChoice()


def test_a_field_that_cannot_be_read_is_named() -> None:
    told = said_in_fields({"prompt": "2", "negative": "x"}, LABELS)
    assert (
        texts(told.choice)["negative"] == "2"
        and "Layer for the negative prompt: 'x' is not a layer" in told.warnings[0]
    )


def test_programs_may_give_fewer_values_and_numbers() -> None:
    assert not panel_says([]).is_on and not panel_says([False, WRITTEN, "2"]).is_on
    assert texts(panel_says([True, WRITTEN, 2]).written.choice)["prompt"] == "2"
    assert panel_says([True, SOURCES.index(OF_CHECKPOINT)]).source == OF_CHECKPOINT
    assert panel_says([True, WRITTEN, None, "3"]).written.choice == LayerChoice(negative=one_layer(3))
    assert panel_says([True, WRITTEN, [2]]).written.warnings


def test_an_axis_writes_one_field_of_the_panel() -> None:
    off = panel_says([False, WRITTEN, "5", "5"]).with_field("prompt", "2")
    assert off.is_on and off.written.choice == LayerChoice(prompt=one_layer(2))
    on = panel_says([True, WRITTEN, "5", "3"]).with_field("prompt", "2")
    assert on.written.choice == LayerChoice(prompt=one_layer(2), negative=one_layer(3))


# ---- embeddings ------------------------------------------------------------------------------------------------------


def test_each_prompt_is_read_as_its_embeddings_were_trained() -> None:
    assert texts(said_by_words({"cup": 2}, {"bad": 1}).choice) == {
        "prompt": "2",
        "negative": "1",
        "hires": "2",
        "hires_negative": "1",
    }
    assert texts(said_by_words({"cup": 2}, {}).choice) == dict.fromkeys(PLACES, "2")
    assert "prompt" not in texts(said_by_words({}, {"bad": 3}).choice)


def test_embeddings_that_disagree_are_told_and_the_first_counts() -> None:
    told = said_by_words({"cup": 2, "mug": 1, "jug": 2}, {})
    assert texts(told.choice)["prompt"] == "2"
    assert (
        "different CLIP skips (cup with 2, mug with 1, jug with 2); 2 is used, as cup stands first" in told.warnings[0]
    )


def test_an_embedding_that_says_nonsense_is_told() -> None:
    told = said_by_words({"cup": 0}, {})
    assert told.choice == LayerChoice() and "There is no layer 0" in told.warnings[0]


def test_a_blend_of_layers_is_the_same_however_it_is_written() -> None:
    assert parse_layers("2=3,1=1") == EncoderLayers(LayerBlend(((1, 0.25), (2, 0.75))))
