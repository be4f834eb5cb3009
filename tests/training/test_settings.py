"""Settings of a training run: checked when they are made, described for forms and flags, sent as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.errors import SettingsError
from pseudoword.training.settings import Description, TrainSettings, describe_settings


def test_a_name_is_enough() -> None:
    settings = TrainSettings("my-cat")
    assert settings.start == "auto"
    assert settings.vectors == 1
    assert settings.early_stop


def test_every_setting_is_described_with_a_default_that_is_allowed() -> None:
    described = {description.name: description for description in describe_settings()}
    assert list(described) == [field.name for field in dataclasses.fields(TrainSettings)]
    assert [name for name, description in described.items() if description.required] == ["name"]
    for description in described.values():
        assert description.allowed.meaning
        assert description.kind in (bool, int, float, str)
    assert TrainSettings(
        "word", **{name: d.default for name, d in described.items() if name != "name"}
    ) == TrainSettings("word")


def test_descriptions_say_what_a_form_needs() -> None:
    described = {description.name: description for description in describe_settings()}
    assert described["crop"].choices == ("center", "random", "none")
    assert described["size"].optional
    assert not described["vectors"].optional
    assert described["vectors"].allowed.range == "from 1 to 75"
    assert described["size"].allowed.range == "from 32 to 2,048 in steps of 8"
    assert described["min_snr"].allowed.range == "above 0"
    assert described["learning_rate"].allowed.range == "above 0 to 1" and not described["learning_rate"].allowed.unit
    assert described["warmup"].allowed.unit == "steps"


def values_of(description: Description) -> st.SearchStrategy[Any]:
    """Values that the setting allows."""
    allowed = description.allowed
    if description.choices:
        values: st.SearchStrategy[Any] = st.sampled_from(description.choices)
    elif description.kind is bool:
        values = st.booleans()
    elif description.kind is float:
        values = st.floats(
            allowed.low, allowed.high, exclude_min=allowed.low_excluded, allow_infinity=False, allow_nan=False
        )
    elif description.kind is int:
        low, high = int(allowed.low or 0) // allowed.multiple, int(allowed.high or 10**6) // allowed.multiple
        values = st.integers(low, high).map(lambda number: number * allowed.multiple)
    else:
        values = st.just(description.default)
    return st.none() | values if description.optional else values


@given(st.data())
def test_settings_survive_json(data: st.DataObject) -> None:
    values = {d.name: data.draw(values_of(d), label=d.name) for d in describe_settings() if not d.required}
    values["name"] = "word"
    values["hold"] = min(values["hold"], 999.0)  # which the default learning rate allows
    values["warmup"] = min(values["warmup"], values["steps"] - 1)
    values["early_stop"] = values["early_stop"] and values["validate_every"] > 0
    settings = TrainSettings.from_dict(values)
    assert TrainSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


WRONG = [
    ("vectors", 0, "from 1 to 75"),
    ("vectors", 76, "from 1 to 75"),
    ("vectors", "4", "a whole number"),
    ("vectors", 1.0, "a whole number"),
    ("vectors", True, "a whole number"),
    ("vectors", None, "a whole number"),
    ("steps", 0, "from 1 to 1,000,000"),
    ("size", 100, "in steps of 8"),
    ("size", 0, "or none"),
    ("drop_tags", 1.1, "from 0 to 1"),
    ("drop_tags", float("nan"), "from 0 to 1"),
    ("weight_decay", float("inf"), "from 0 to 1"),
    ("min_snr", 0, "above 0"),
    ("clip_grad", -1.0, "above 0"),
    ("flip", 1, "true or false"),
    ("flip", "yes", "true or false"),
    ("crop", "middle", "one of center, random, none"),
    ("norm", "", "one of vocabulary, free"),
    ("precision", "int8", "one of auto, fp32, bf16, fp16"),
    ("batch", 0, "from 1"),
    ("clip_skip", 13, "from 1 to 12"),
    ("seed", -1, "from 0"),
    ("start", 3, "a text"),
    ("start", "  ", "words such as 'teddy bear'"),
    ("start", "file:", "the path of an embedding"),
    ("templates", "", "'object', 'style' or the path"),
    ("preview_prompt", "a photo", "[name] must stand in it"),
    ("learning_rate", 0.005, "a text"),
    ("learning_rate", "0.005:100, fast", "character 12"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), WRONG)
def test_a_wrong_value_is_named_with_what_is_wanted(name: str, value: object, wanted: str) -> None:
    with pytest.raises(SettingsError) as raised:
        TrainSettings.from_dict({"name": "word", name: value})
    message = str(raised.value)
    assert name in message
    assert wanted in message
    assert message.endswith(".")


def test_the_default_of_a_setting_that_may_be_none_is_called_none() -> None:
    with pytest.raises(SettingsError, match="leave it out for the default, none"):
        TrainSettings("word", size=7)


@pytest.mark.parametrize(
    ("together", "wanted"),
    [
        ({"learning_rate": "0.005:100", "steps": 200}, "ends at step 100, but the run has 200 steps"),
        ({"hold": 50.0, "learning_rate": "1e-3:50, 0.02"}, "set hold below 50, or a lower learning_rate"),
        ({"warmup": 50, "steps": 50}, "warmup is 50 steps, but the run has only 50"),
        ({"validate_every": 0}, "early_stop needs the validation loss"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(together: dict[str, Any], wanted: str) -> None:
    with pytest.raises(SettingsError, match=wanted):
        TrainSettings("word", **together)


def test_nothing_has_to_be_saved_validated_or_previewed() -> None:
    TrainSettings("word", save_every=0, validate_every=0, preview_every=0, early_stop=False)


@pytest.mark.parametrize("name", ["", "two words", "a/b", "..", "con", "(x:1.2)", "a\0b", "AND", "x" * 101])
def test_a_name_that_files_or_prompts_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        TrainSettings(name)


def test_a_name_is_kept_in_one_form_of_unicode() -> None:
    assert TrainSettings("cafe\u0301").name == "caf\u00e9"


def test_a_misspelt_setting_is_not_passed_over_but_corrected() -> None:
    with pytest.raises(SettingsError, match="'learning_rte' is not a training setting; did you mean 'learning_rate'"):
        TrainSettings.from_dict({"name": "word", "learning_rte": "0.1"})
    with pytest.raises(SettingsError, match="the settings are name, start, "):
        TrainSettings.from_dict({"name": "word", "zzz": 1})


def test_settings_without_a_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="'name' is missing"):
        TrainSettings.from_dict({"steps": 10})
