"""What no linter checks: how long files are, and names that say nothing."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import Module, modules

MOST_LINES = 400
EMPTY_NAME = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)(_|$)|(Utils?|Helpers?|Manager|Misc)([A-Z]|$)")


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_file_tells_one_story(module: Module) -> None:
    assert module.lines <= MOST_LINES, f"{module.path} has {module.lines} lines; split it where its stories part"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_names_say_what_a_thing_is(module: Module) -> None:
    empty = [name for name in (*module.path.with_suffix("").parts, *module.defined_names()) if EMPTY_NAME.search(name)]
    assert not empty, f"{module.path}: {', '.join(empty)}: name it after what it is or does"


@pytest.mark.parametrize("name", ["utils", "image_utils", "JobManager", "train_helper", "TextUtils", "misc"])
def test_empty_names_are_known(name: str) -> None:
    assert EMPTY_NAME.search(name)


@pytest.mark.parametrize("name", ["contextmanager", "utility_cost", "commons", "Managed", "helpful_error"])
def test_other_names_are_not_mistaken_for_empty_ones(name: str) -> None:
    assert not EMPTY_NAME.search(name)
