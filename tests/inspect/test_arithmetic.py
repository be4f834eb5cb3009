"""What expressions give: by hand, against Python's own slices, and as laws that hold for all words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pseudoword.diffusion import TextEncoder
from pseudoword.embedding import Embedding, EmbeddingLibrary, EmbeddingMetadata, load_embedding, save_embedding
from pseudoword.errors import SettingsError
from pseudoword.inspect.arithmetic import evaluate, interpolation, mean_length, slerp
from pseudoword.text import ClipTextEncoder
from tests import tiny_models

TOKENIZER = tiny_models.tokenizer()
ENCODER: TextEncoder = ClipTextEncoder(tiny_models.text_model(), TOKENIZER)
MANY = settings(max_examples=300)


def vectors(count: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(count, tiny_models.WIDTH, generator=torch.Generator().manual_seed(seed))


def word(name: str, count: int, clip_skip: int | None = None) -> Embedding:
    return Embedding(name, {"clip_l": vectors(count, len(name))}, EmbeddingMetadata(clip_skip=clip_skip))


WORDS = {
    name: word(name, count)
    for name, count in (("my-style", 4), ("other", 4), ("one", 1), ("my style v2", 2), ("3d", 1))
}


def value(expression: str) -> Tensor:
    return evaluate(expression, [ENCODER], WORDS).vectors["clip_l"]


def own(name: str) -> Tensor:
    return WORDS[name].vectors["clip_l"]


def vocabulary(text: str) -> Tensor:
    return ENCODER.vocabulary[TOKENIZER.tokenize(text)]


STYLE, OTHER, ONE, DOG = own("my-style"), own("other"), own("one"), vocabulary("dog")


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("my-style", STYLE),
        ("MY-Style", STYLE),
        ("{my style v2}", own("my style v2")),
        ("3d", own("3d")),
        ("dog", DOG),
        ("Dog", DOG),
        ('"oil painting"', vocabulary("oil painting")),
        ('"one"', vocabulary("one")),  # in quotation marks always the vocabulary's
        ("-one", -ONE),
        ("- -one", ONE),
        ("my-style - other", STYLE - OTHER),
        ("my-style -other", STYLE - OTHER),
        ("my-style - other - one", STYLE - OTHER - ONE),
        ("my-style - (other - one)", STYLE - (OTHER - ONE)),
        ("2*3*one", 6 * ONE),
        ("one*2/4", ONE / 2),
        ("(1 - .25)*one", 0.75 * ONE),
        ("1e-3*one + 1E+1 * one", 10.001 * ONE),
        ("0.7*my-style + 0.3*other - dog", 0.7 * STYLE + 0.3 * OTHER - DOG),
        ("my-style[0:3]", STYLE[:3]),
        ("my-style[2]", STYLE[2:3]),
        ("my-style[-1]", STYLE[3:]),
        ("my-style[:-1]", STYLE[:-1]),
        ("my-style[1:][1:]", STYLE[2:]),
        ("my-style[0:99]", STYLE),
        ("my-style[::-2]", STYLE[[3, 1]]),
        ("-my-style[0]", -STYLE[:1]),
        ("(my-style + one)[0]", STYLE[:1] + ONE),
        ("concat(one)", ONE),
        ("concat(my-style, dog, one)", torch.cat([STYLE, DOG, ONE])),
        ("Mean(my-style)", STYLE.mean(0, keepdim=True)),
        ("mean(my-style, other)", (STYLE + OTHER) / 2),
        ("mean(my-style, other, one)", (STYLE + OTHER + ONE) / 3),
        ("mean(my-style[0:2]) + mean(other)", STYLE[:2].mean(0, keepdim=True) + OTHER.mean(0, keepdim=True)),
        ("slerp(my-style, other, 0)", STYLE),
        ("slerp(my-style, other, 1)", OTHER),
        ("slerp(one, 2*one, 0.5)", 1.5 * ONE),
        ("slerp(one, -one, 0.25)", 0.5 * ONE),
        ("slerp(one, 0*one, 0.5)", 0.5 * ONE),
    ],
)
def test_an_expression_gives_what_it_says(expression: str, wanted: Tensor) -> None:
    found = value(expression)
    assert found.dtype == torch.float32 and found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)


def test_normalizing_brings_each_vector_to_the_mean_length_of_the_vocabulary() -> None:
    usual = ENCODER.vocabulary.norm(dim=1).mean()
    assert mean_length(ENCODER) == pytest.approx(float(usual), rel=1e-6)
    found = value("normalize(100*my-style)")
    torch.testing.assert_close(found.norm(dim=1), usual.expand(4), rtol=1e-6, atol=0.0)
    torch.testing.assert_close(found / found.norm(dim=1, keepdim=True), STYLE / STYLE.norm(dim=1, keepdim=True))


def test_halfway_on_the_arc_the_angles_to_both_ends_are_equal() -> None:
    middle, third = value("slerp(my-style, other, 0.5)"), value("slerp(my-style, other, 0.25)")
    cosine = torch.nn.functional.cosine_similarity
    torch.testing.assert_close(cosine(middle, STYLE), cosine(middle, OTHER))
    torch.testing.assert_close(middle.norm(dim=1), (STYLE.norm(dim=1) + OTHER.norm(dim=1)) / 2)
    whole, part = cosine(STYLE, OTHER).arccos(), cosine(STYLE, third).arccos()
    torch.testing.assert_close(part, whole / 4)


def test_float32_is_only_for_the_result() -> None:
    torch.testing.assert_close(value("my-style + 1e8*one - 1e8*one"), STYLE, rtol=0.0, atol=1e-6)


def test_sdxl_is_reckoned_for_both_encoders_side_by_side() -> None:
    towers: list[TextEncoder] = [ENCODER, ClipTextEncoder(tiny_models.text_model(), TOKENIZER, "clip_g")]
    both = Embedding("both", {"clip_l": vectors(2, 1), "clip_g": vectors(2, 2)})
    found = evaluate("2*both - dog", towers, {"both": both}).embedding("new")
    assert found.architecture == "sdxl"
    for encoder, rows in both.vectors.items():
        torch.testing.assert_close(found.vectors[encoder], 2 * rows - DOG)


def test_a_library_is_a_source_of_words(tmp_path: Path) -> None:
    save_embedding(word("stored", 2), tmp_path / "My-Style")
    library = EmbeddingLibrary(tmp_path)
    found = evaluate("my-style", [ENCODER], library)
    assert found.ingredients[0].name == "My-Style" and torch.equal(found.vectors["clip_l"], own_of(library))


def own_of(library: EmbeddingLibrary) -> Tensor:
    return library.load("My-Style").vectors["clip_l"]


def test_the_recipe_names_the_expression_and_the_hash_that_files_have(tmp_path: Path) -> None:
    path = save_embedding(WORDS["one"], tmp_path / "one")
    combined = evaluate("one + 0.5*ONE - {my style v2} + dog", [ENCODER], WORDS)
    made = combined.embedding("new", EmbeddingMetadata(author="Ada"))
    assert (made.name, made.metadata.author) == ("new", "Ada")
    recipe = json.loads(load_embedding(save_embedding(made, tmp_path / "new")).metadata.recipe)
    assert recipe["expression"] == "one + 0.5*ONE - {my style v2} + dog"
    assert [part["name"] for part in recipe["embeddings"]] == ["one", "my style v2"]
    assert recipe["embeddings"][0]["sha256"].encode() in path.read_bytes()[:2000]


@pytest.mark.parametrize(("skips", "wanted"), [((2, 2), 2), ((1, 2), None), ((2, None), None), ((None, None), None)])
def test_the_layer_is_kept_where_all_parts_agree(skips: tuple[int | None, int | None], wanted: int | None) -> None:
    words = {name: word(name, 1, skip) for name, skip in zip("ab", skips, strict=True)}
    assert evaluate("{a} + {b} + dog", [ENCODER], words).embedding("new").metadata.clip_skip == wanted
    assert evaluate("dog", [ENCODER], words).clip_skip is None


def test_a_new_word_needs_a_name_that_can_be_used() -> None:
    with pytest.raises(SettingsError, match="cannot be used for an embedding"):
        evaluate("dog", [ENCODER], {}).embedding("a/b")


def test_a_strip_goes_from_one_word_to_the_other() -> None:
    strip = interpolation("my-style", "my style v2", 5)
    assert strip[1] == "slerp(my-style, {my style v2}, 0.25)" and len(strip) == 5
    found = [value(expression) for expression in interpolation("my-style", "one", 3)]
    torch.testing.assert_close(found[0], STYLE)
    torch.testing.assert_close(found[2], ONE.expand(4, -1))
    for count in (1, 101):
        with pytest.raises(SettingsError, match=f"cannot have {count} steps; ask for 2 to 100"):
            interpolation("my-style", "other", count)


def test_a_mean_may_have_many_words() -> None:
    torch.testing.assert_close(value(f"mean({', '.join(['one'] * 300)})"), ONE)


def test_nothing_is_computed_for_an_expression_that_will_be_refused() -> None:
    class Locked:
        name, tokenizer = "clip_l", TOKENIZER
        vocabulary = torch.empty(0, tiny_models.WIDTH)  # any look-up fails

    with pytest.raises(SettingsError, match="gives 80 vectors"):
        evaluate(f"concat({', '.join(['dog'] * 80)})", [Locked()], {})


# Laws

expressions = st.recursive(
    st.sampled_from(["my-style", "other", "one", "dog", "2*one", "my-style[1]", '"oil painting"[0:1]']),
    lambda inner: st.one_of(
        st.builds("({} + {})".format, inner, inner),
        st.builds("mean({}, {})".format, inner, inner),
        st.builds("slerp({}, {}, 0.3)".format, inner, inner),
        st.builds("-{}".format, inner),
    ),
    max_leaves=6,
)


@given(expressions, expressions)
def test_a_sum_does_not_hang_on_its_order(a: str, b: str) -> None:
    assert torch.equal(value(f"{a} + {b}"), value(f"{b} + {a}"))


@given(expressions)
def test_what_is_added_can_be_taken_away(a: str) -> None:
    torch.testing.assert_close(value(f"{a} + other - other"), value(f"{a} + 0*other"), rtol=1e-5, atol=1e-6)
    assert not value(f"{a} - {a}").any()
    torch.testing.assert_close(value(f"{a} + {a}"), value(f"2 * {a}"))


@given(expressions, expressions)
def test_an_arc_ends_exactly_where_it_should(a: str, b: str) -> None:
    first, second = value(f"slerp({a}, {b}, 0)"), value(f"slerp({a}, {b}, 1)")
    assert torch.equal(first, value(a).expand_as(first)) and torch.equal(second, value(b).expand_as(second))


@given(st.integers(0, 2**20), st.floats(0, 1))
def test_the_arc_is_the_same_from_both_sides(seed: int, share: float) -> None:
    a, b = vectors(3, seed).double(), vectors(3, seed + 1, scale=0.1).double()
    torch.testing.assert_close(slerp(a, b, share), slerp(b, a, 1 - share), rtol=1e-9, atol=1e-12)


@MANY
@given(st.integers(-6, 6) | st.none(), st.integers(-6, 6) | st.none(), st.integers(-6, 6) | st.none())
def test_slices_are_python_s(start: int | None, stop: int | None, step: int | None) -> None:
    text = ":".join("" if bound is None else str(bound) for bound in (start, stop, step))
    places = list(range(4))[slice(start, stop, step)] if step != 0 else []
    if places:
        assert torch.equal(value(f"my-style[{text}]"), STYLE[places])
    else:
        with pytest.raises(SettingsError):
            value(f"my-style[{text}]")
