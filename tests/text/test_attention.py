"""A1111's attention syntax: against a table reckoned by hand, and against A1111 itself where its folder is named.

PSEUDOWORD_WEBUI_DIR names the folder of the WebUI 1.10 (its repository, checked out).
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pseudoword.errors import SettingsError
from pseudoword.inspect.prompt_view import view_prompt
from pseudoword.text.attention import WeightedText, parse_attention
from tests import tiny_models

TOKENIZER = tiny_models.tokenizer()

# Weights in the order in which A1111 multiplies.
TABLE: dict[str, list[tuple[str, float]]] = {
    "": [("", 1.0)],
    "a dog": [("a dog", 1.0)],
    "a (red) dog": [("a ", 1.0), ("red", 1.1), (" dog", 1.0)],
    "((red))": [("red", 1.1 * 1.1)],
    "[red]": [("red", 1 / 1.1)],
    "[[red]]": [("red", 1 / 1.1 * (1 / 1.1))],
    "(red:1.3)": [("red", 1.3)],
    "(red: 1.3 )": [("red", 1.3)],
    "(red:-1)": [("red", -1.0)],
    "(red:+.5)": [("red", 0.5)],
    "((red:1.3))": [("red", 1.3 * 1.1)],
    "(a (red:2) dog:0.5)": [("a ", 0.5), ("red", 1.0), (" dog", 0.5)],
    "(a)(b)": [("ab", 1.1)],
    "(a) (b)": [("a", 1.1), (" ", 1.0), ("b", 1.1)],
    "[(a)]": [("a", 1.1 * (1 / 1.1))],
    "(a": [("a", 1.1)],
    "((a) b": [("a", 1.1 * 1.1), (" b", 1.1)],
    "[a": [("a", 1 / 1.1)],
    "a)": [("a)", 1.0)],
    "a]": [("a]", 1.0)],
    "(a]": [("a]", 1.1)],
    "()": [("", 1.0)],
    "(:1.5)": [("", 1.0)],
    "(a [b) c]": [("a ", 1.1), ("b", 1.1 * (1 / 1.1)), (" c", 1 / 1.1)],
    "[a:1.3]": [("a:1.3", 1 / 1.1)],
    "[a:1.3)": [("a:1.3)", 1 / 1.1)],
    "a:1.3)": [("a:1.3)", 1.0)],
    "a: b": [("a: b", 1.0)],
    "(a:b:1.2)": [("a:b", 1.2)],
    "(a:1.2:b)": [("a:1.2:b", 1.1)],
    "(a:one)": [("a:one", 1.1)],
    r"\(a\)": [("(a)", 1.0)],
    r"(\(a\))": [("(a)", 1.1)],
    r"\[a\]": [("[a]", 1.0)],
    r"a\\b": [("a\\b", 1.0)],
    r"a\b": [("ab", 1.0)],
    r"\((a)": [("(", 1.0), ("a", 1.1)],
    r"(a\:1.2)": [("a", 1.2)],
    "a BREAK b": [("a", 1.0), ("BREAK", -1.0), ("b", 1.0)],
    "a\n BREAK\n b": [("a", 1.0), ("BREAK", -1.0), ("b", 1.0)],
    "BREAK": [("", 1.0), ("BREAK", -1.0), ("", 1.0)],
    "BREAK BREAK": [("", 1.0), ("BREAK", -1.0), ("", 1.0), ("BREAK", -1.0), ("", 1.0)],
    "a break, BREAKS": [("a break, BREAKS", 1.0)],
    "a,BREAK,b": [("a,", 1.0), ("BREAK", -1.0), (",b", 1.0)],
    "(a BREAK b)": [("a", 1.1), ("BREAK", -1.1), ("b", 1.1)],
    "a (b) BREAK (c)": [("a ", 1.0), ("b", 1.1), ("", 1.0), ("BREAK", -1.0), ("", 1.0), ("c", 1.1)],
}


@pytest.mark.parametrize("prompt", TABLE)
def test_weights_are_those_of_a1111(prompt: str) -> None:
    assert [(part.text, part.weight) for part in parse_attention(prompt)] == TABLE[prompt]


@pytest.mark.parametrize("weight", ["1.2.3", ".", "..5", "+."])
def test_a_weight_that_is_no_number_is_refused(weight: str) -> None:
    with pytest.raises(SettingsError, match="in the prompt is no number; write one such as 1.2"):
        view_prompt(f"a (dog:{weight})", TOKENIZER, {})


def test_only_a_break_outside_of_weights_is_one() -> None:
    assert [part.is_break for part in parse_attention("a BREAK (b BREAK c)")] == [
        False,
        True,
        False,
        False,
        False,
        False,
    ]
    assert WeightedText("BREAK", 1.0).is_break is False


def test_weights_too_large_for_a_number_warn_of_nothing() -> None:
    assert parse_attention(f"((a:{'9' * 200}):{'9' * 200})")[0].weight == float("inf")


# The real ones


@pytest.fixture(scope="module")
def webui() -> Iterator[SimpleNamespace]:
    """A1111's own parser and chunking, with our tokenizer; what they import of the WebUI is replaced by hand."""
    folder = os.environ.get("PSEUDOWORD_WEBUI_DIR")
    if not folder:
        pytest.skip("PSEUDOWORD_WEBUI_DIR does not name a folder with the WebUI")
    with pytest.MonkeyPatch.context() as patch:
        modules = ModuleType("modules")
        patch.setitem(sys.modules, "modules", modules)
        patch.setitem(sys.modules, "lark", stand_in("lark", Lark=lambda *args, **options: None))
        opts = SimpleNamespace(emphasis="Original", comma_padding_backtrack=20)
        contents: dict[str, dict[str, Any]] = {
            "devices": {},
            "sd_emphasis": {},
            "sd_hijack": {"model_hijack": None},
            "shared": {"opts": opts},
        }
        for name, content in contents.items():
            module = stand_in(f"modules.{name}", **content)
            patch.setitem(sys.modules, module.__name__, module)
            setattr(modules, name, module)
        parser = loaded(Path(folder), "prompt_parser", patch)
        modules.prompt_parser = parser  # type: ignore[attr-defined]
        yield SimpleNamespace(parser=parser, text=loaded(Path(folder), "sd_hijack_clip", patch).TextConditionalModel)


def stand_in(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(content)
    return module


def loaded(folder: Path, name: str, patch: pytest.MonkeyPatch) -> Any:
    specification = importlib.util.spec_from_file_location(f"modules.{name}", folder / "modules" / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    patch.setitem(sys.modules, module.__name__, module)
    with warnings.catch_warnings():  # newer Pythons warn of its escape sequences
        warnings.simplefilter("ignore")
        specification.loader.exec_module(module)
    return module


def webui_chunks(webui: SimpleNamespace, prompt: str, words: dict[str, int]) -> list[tuple[list[int], list[float]]]:
    """Token ids and weights of each chunk that A1111 makes of `prompt`."""

    def find(tokens: list[int], place: int) -> tuple[Any, int | None]:
        for name, count in words.items():
            own = TOKENIZER.tokenize(name)
            if tokens[place : place + len(own)] == own:
                return SimpleNamespace(vectors=count), len(own)
        return None, None

    text = webui.text()
    text.tokenize = lambda texts: [TOKENIZER.tokenize(text) for text in texts]
    text.hijack = SimpleNamespace(embedding_db=SimpleNamespace(find_embedding_at_position=find))
    text.id_start, text.id_end, text.comma_token = TOKENIZER.start_id, TOKENIZER.end_id, TOKENIZER.tokenize(",")[0]
    chunks, _ = text.tokenize_line(prompt)
    return [(chunk.tokens, chunk.multipliers) for chunk in chunks]


marks = [
    "(",
    ")",
    "[",
    "]",
    ":1.3)",
    ": 0.5 )",
    ":",
    "\\",
    "\\(",
    "BREAK",
    " BREAK ",
    "a",
    "dog ",
    ", ",
    " ",
    "\n",
    "1.2",
]
marked = st.lists(st.sampled_from(marks), max_size=40).map("".join)


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=marked)
def test_a1111_parses_as_we_do(webui: SimpleNamespace, prompt: str) -> None:
    theirs = [(text, weight) for text, weight in webui.parser.parse_prompt_attention(prompt)]
    assert [(part.text, part.weight) for part in parse_attention(prompt)] == theirs


def test_a1111_parses_the_table_as_we_do(webui: SimpleNamespace) -> None:
    for prompt, wanted in TABLE.items():
        assert [tuple(pair) for pair in webui.parser.parse_prompt_attention(prompt)] == wanted


long_marks = [
    "(",
    ")",
    ":1.3)",
    "[",
    "]",
    " BREAK ",
    " zonk ",
    ", ",
    "dog " * 9,
    "the " * 20,
    " my-style ",
    "unbelievable ",
]


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.lists(st.sampled_from(long_marks), max_size=30).map("".join), count=st.integers(1, 75))
def test_a1111_makes_the_same_chunks_with_the_same_weights(webui: SimpleNamespace, prompt: str, count: int) -> None:
    words = {"zonk": count, "my-style": 2}
    view = view_prompt(prompt, TOKENIZER, words)
    ours = [([p.token_id or 0 for p in chunk.pieces], [p.weight for p in chunk.pieces]) for chunk in view.chunks]
    assert ours == webui_chunks(webui, prompt, words)
