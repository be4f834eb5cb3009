"""The parser of expressions: any text is read or refused, and what is printed is read again."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pseudoword.embedding import Embedding
from pseudoword.errors import SettingsError
from pseudoword.inspect.arithmetic import evaluate
from pseudoword.inspect.expression import (
    FUNCTIONS,
    Call,
    Name,
    Negative,
    Node,
    Number,
    Part,
    Phrase,
    Product,
    Slice,
    Step,
    Sum,
    printed,
)
from pseudoword.inspect.expression_parser import parse, printed_name
from tests import tiny_models
from tests.inspect.test_expression_errors import ENCODER, ones

MANY = settings(max_examples=300)
WORDS = {name: Embedding(name, {"clip_l": ones(count)}) for name, count in (("one", 1), ("my-style", 4))}

in_names = st.characters(exclude_characters='+*/()[]{},:"\\', exclude_categories=["Zs", "Zl", "Zp", "Cc", "Cs"])
names = st.text(in_names, min_size=1, max_size=8).filter(lambda text: printed_name(text) == text)
unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
bounds = st.none() | st.integers(-99, 99)


def chains(kind: type[Sum] | type[Product], operators: str, inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    steps = st.lists(st.builds(Step, st.sampled_from(operators), inner), min_size=1, max_size=3).map(tuple)
    return st.builds(kind, inner, steps)


def calls(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    counts = st.sampled_from([(name, least) for name, (least, _) in FUNCTIONS.items()] + [("concat", 3), ("mean", 2)])
    return counts.flatmap(lambda c: st.builds(Call, st.just(c[0]), st.tuples(*[inner] * c[1])))


parts = st.builds(Part, st.tuples(st.integers(-99, 99)) | st.tuples(bounds, bounds, bounds))
trees: st.SearchStrategy[Node] = st.recursive(
    st.one_of(
        st.builds(Number, st.floats(0, allow_infinity=False).map(abs)),
        st.builds(Phrase, unicode_text),
        st.builds(Name, names, st.just(False)),
        st.builds(Name, unicode_text, st.just(True)),
    ),
    lambda inner: st.one_of(
        chains(Sum, "+-", inner),
        chains(Product, "*/", inner),
        st.builds(Negative, inner),
        st.builds(Slice, inner, st.lists(parts, min_size=1, max_size=2).map(tuple)),
        calls(inner),
    ),
    max_leaves=8,
)


@MANY
@given(trees)
def test_what_is_printed_is_read_again_as_the_same_tree(tree: Node) -> None:
    text = printed(tree)
    assert parse(text) == tree
    assert printed(parse(text)) == text


@MANY
@given(st.text(st.characters(), max_size=60) | st.text('abc-1.e+*/()[]{}"\\:, ', max_size=60))
def test_any_text_is_an_expression_or_a_settings_error(text: str) -> None:
    try:
        evaluate(text, [ENCODER], WORDS)
    except SettingsError as error:
        sentence, shown, caret = str(error).split("\n")
        assert sentence.endswith((".", "?")) and caret.strip() == "^" and len(shown) <= 102


@given(st.lists(st.sampled_from(["(", "-", "[0]", "one", " + ", "mean(", ")", "*", "2"]), max_size=400))
def test_no_nesting_exhausts_the_stack(pieces: list[str]) -> None:
    with suppress(SettingsError):
        evaluate("".join(pieces), [ENCODER], WORDS)


@pytest.mark.parametrize(
    "expression",
    [
        "+".join(["one"] * 500),
        "*".join(["1"] * 990) + "*one",
        "one" + "[0]" * 660,
        "(" * 49 + "one" + ")" * 49,
        "-" * 50 + "one",
        "(" * 40 + "one[0]" + "[0])" * 40,
    ],
)
def test_long_but_flat_expressions_are_read(expression: str) -> None:
    assert evaluate(expression, [ENCODER], WORDS).vectors["clip_l"].shape == (1, tiny_models.WIDTH)


def test_numbers_come_back_as_they_were() -> None:
    for number in (0.1, 1e-3, 1e16, 5e-324, math.pi, 1.7976931348623157e308):
        assert parse(printed(Number(number))) == Number(number)
