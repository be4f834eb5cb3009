"""A choice of layers is read, written and refused in words, and its blend is what the words say."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pseudoword.errors import SettingsError
from pseudoword.text import ClipTextEncoder
from pseudoword.text.layers import LayerBlend, check_blend, encode_blend, parse_blend
from tests import tiny_models

ENCODER = tiny_models.TinyModel().text_encoders[0]
WEIGHTS = st.floats(0, allow_nan=False, allow_infinity=False)
PAIRS = (
    st.dictionaries(st.integers(1, 40), WEIGHTS, min_size=1, max_size=12)
    .filter(lambda pairs: any(pairs.values()))
    .map(lambda pairs: tuple(pairs.items()))
)


@pytest.mark.parametrize(
    ("text", "weights", "canonical"),
    [
        ("2", ((2, 1.0),), "2"),
        (" 12 ", ((12, 1.0),), "12"),
        ("1=0.5,2=0.5", ((1, 0.5), (2, 0.5)), "1=0.5,2=0.5"),
        ("2=3, 1 = 1", ((1, 0.25), (2, 0.75)), "1=0.25,2=0.75"),
        ("1=1,2=2", ((1, 0.333333), (2, 0.666667)), "1=0.333333,2=0.666667"),
        ("3=7", ((3, 1.0),), "3"),
        ("1=1,2=0", ((1, 1.0),), "1"),
        ("1=1e300,2=1e308,3=1.7e308", ((2, 0.37037), (3, 0.62963)), "2=0.37037,3=0.62963"),
    ],
)
def test_a_choice_of_layers_is_read(text: str, weights: tuple[tuple[int, float], ...], canonical: str) -> None:
    blend = parse_blend(text)
    assert (blend.weights, blend.text) == (weights, canonical)


@given(PAIRS)
def test_weights_sum_to_1_in_the_order_of_layers_and_in_proportion(pairs: tuple[tuple[int, float], ...]) -> None:
    weights = LayerBlend(pairs).weights
    assert math.isclose(math.fsum(weight for _, weight in weights), 1, abs_tol=1e-12)
    assert list(weights) == sorted(weights) and all(weight > 0 for _, weight in weights)
    given_weights, largest = dict(pairs), max(weight for _, weight in pairs)
    total = math.fsum(weight / largest for weight in given_weights.values())
    assert all(abs(weight - given_weights[skip] / largest / total) < 1e-5 for skip, weight in weights)


@given(PAIRS)
def test_the_text_of_a_blend_gives_it_back(pairs: tuple[tuple[int, float], ...]) -> None:
    blend = LayerBlend(pairs)
    assert parse_blend(blend.text) == blend and parse_blend(blend.text).text == blend.text
    assert LayerBlend(blend.weights) == blend == LayerBlend(pairs[::-1])
    assert hash(blend) == hash(parse_blend(blend.text))


@given(st.text(max_size=30) | st.text("0123456789=,. -+einfa_x", max_size=250))
def test_any_text_is_a_blend_or_refused_in_a_sentence(text: str) -> None:
    try:
        blend = parse_blend(text)
    except SettingsError as error:
        assert str(error).endswith(".") and len(str(error)) < 400
    else:
        assert parse_blend(blend.text) == blend


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "There is no layer 0: layers count back from the last, which is 1."),
        ("0=1", "There is no layer 0"),
        ("x", "'x' is not a layer; give a number"),
        ("", "'' is not a layer"),
        ("-1", "'-1' is not a layer"),
        ("1.5", "'1.5' is not a layer"),
        ("²", "'²' is not a layer"),
        ("x=1", "'x' is not a layer"),
        ("1=x", "'x' is not a weight; give a number such as 0.5."),
        ("1=", "'' is not a weight"),
        ("1=0.5=2", "'0.5=2' is not a weight"),
        ("1,2", "'1' gives no layer with its weight; write a blend as in 1=0.5,2=0.5."),
        ("1=0,5", "'5' gives no layer with its weight"),
        ("1=0.5,", "'' gives no layer with its weight"),
        ("1=0,2=0", "All weights of the blend are 0"),
        ("1=-1,2=1", "Layer 1 has the weight -1.0; give it a number from 0 on."),
        ("1=nan,2=1", "Layer 1 has the weight nan"),
        ("1=1,2=inf", "Layer 2 has the weight inf"),
        ("1=1,2=1e999", "Layer 2 has the weight inf"),
        ("2=1,1=1,2=1", "Layer 2 stands in the blend twice; give each layer one weight."),
        (",".join(f"{layer}=1" for layer in range(1, 14)), "A blend of 13 layers is not possible; choose 1 to 12"),
        ("1" * 201, "at most 200 characters, and this has 201"),
        ("1=1," * 100_000, "at most 200 characters, and this has 400,000"),
    ],
)
def test_what_is_no_choice_of_layers_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_blend(text)
    assert message in str(refused.value)


def test_a_blend_without_layers_is_refused() -> None:
    with pytest.raises(SettingsError, match="A blend of 0 layers"):
        LayerBlend(())


@pytest.mark.parametrize("text", ["99", "4", "1=0.5,99=0.5"])
def test_layers_that_an_encoder_does_not_have_are_refused(text: str) -> None:
    blend = parse_blend(text)
    with pytest.raises(SettingsError, match="clip_l does not have; choose 1 to 3"):
        check_blend(ENCODER, blend)
    with pytest.raises(SettingsError, match="clip_l does not have; choose 1 to 3"):
        encode_blend(ENCODER, *inputs(), blend)
    check_blend(ENCODER, parse_blend("1=1,3=1,99=0"))


def inputs() -> tuple[Tensor, Tensor]:
    """Token ids (2, 77) and vectors (2, 77, D)."""
    token_ids = torch.arange(2 * 77).view(2, 77)
    return token_ids, ENCODER.vocabulary[token_ids].clone()


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_a_blend_of_one_layer_is_the_bits_of_that_layer(clip_skip: int) -> None:
    states = encode_blend(ENCODER, *inputs(), parse_blend(f"{clip_skip}=0.3"))
    assert torch.equal(states, ENCODER.encode(*inputs(), clip_skip))


def test_a_blend_is_the_weighted_sum_of_its_layers_from_one_pass() -> None:
    passes: list[Any] = []
    model = tiny_models.text_model()
    inner: Any = getattr(model, "text_model", model)
    inner.encoder.layers[0].register_forward_pre_hook(lambda *given: passes.append(given))
    states = encode_blend(ClipTextEncoder(model, tiny_models.tokenizer()), *inputs(), parse_blend("1=1,3=3"))
    assert len(passes) == 1 and states.shape == (2, 77, tiny_models.WIDTH) and states.dtype == torch.float32
    last, first = (ENCODER.encode(*inputs(), clip_skip) for clip_skip in (1, 3))
    torch.testing.assert_close(states, 0.25 * last + 0.75 * first)


def test_gradients_flow_through_a_blend() -> None:
    token_ids, vectors = inputs()
    encode_blend(ENCODER, token_ids, vectors.requires_grad_(), parse_blend("1=1,2=1")).sin().sum().backward()
    assert vectors.grad is not None and vectors.grad.abs().max() > 0.01


def test_autocast_around_it_does_not_round_the_sum() -> None:
    token_ids, vectors = inputs()
    blend = parse_blend("1=1,2=1")
    with torch.autocast("cpu", torch.bfloat16):
        layers = ENCODER.encode_layers(token_ids, vectors, blend.clip_skips)
        states = encode_blend(ENCODER, token_ids, vectors, blend)
    torch.testing.assert_close(states, layers.mean(dim=0), rtol=1e-6, atol=1e-6)
