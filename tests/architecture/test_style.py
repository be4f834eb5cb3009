"""What no linter checks: how long files are, and names that say nothing."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import modules

MOST_LINES = 400
EMPTY_NAME = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)(_|$)|(Utils?|Helpers?|Manager|Misc)([A-Z]|$)")


def test_a_file_tells_one_story() -> None:
    assert not [f"{module.path} has {module.lines} lines" for module in modules() if module.lines > MOST_LINES]


def test_names_say_what_a_thing_is() -> None:
    names = [(module, name) for module in modules() for name in (*module.name.split("."), *module.defined_names())]
    assert not [f"{module.path}: {name}" for module, name in names if EMPTY_NAME.search(name)]


@pytest.mark.parametrize("name", ["utils", "image_utils", "JobManager", "train_helper", "TextUtils", "misc"])
def test_empty_names_are_known(name: str) -> None:
    assert EMPTY_NAME.search(name)


@pytest.mark.parametrize("name", ["contextmanager", "utility_cost", "commons", "Managed", "helpful_error"])
def test_other_names_are_not_mistaken_for_empty_ones(name: str) -> None:
    assert not EMPTY_NAME.search(name)
