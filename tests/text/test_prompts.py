"""Prompts become conditioning: exactly transformers' own for known words, with gradients for new ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pseudoword.errors import ModelError, SettingsError
from pseudoword.text import encode_prompts
from pseudoword.text.layers import LayerBlend, parse_blend
from pseudoword.text.prompts import Fixed
from tests import tiny_models

PROMPT = "a photo of a dog"


@pytest.fixture(scope="module")
def model() -> tiny_models.TinyModel:
    return tiny_models.TinyModel()


def vectors(count: int, seed: int = 0) -> Tensor:
    return 0.07 * torch.randn(count, tiny_models.WIDTH, generator=torch.Generator().manual_seed(seed))


def framed(prompt: str) -> Tensor:
    """Token ids (1, 77) of a short prompt."""
    tokenizer = tiny_models.tokenizer()
    tokens = tokenizer.tokenize(prompt)
    return torch.tensor([[tokenizer.start_id, *tokens] + [tokenizer.end_id] * (76 - len(tokens))])


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_a_prompt_of_known_words_is_encoded_to_the_bit_as_transformers_does(
    clip_skip: int, model: tiny_models.TinyModel
) -> None:
    theirs = tiny_models.text_model()
    output = theirs(input_ids=framed(PROMPT), output_hidden_states=True)
    norm = getattr(theirs, "text_model", theirs).final_layer_norm
    expected = output.last_hidden_state if clip_skip == 1 else norm(output.hidden_states[-clip_skip])
    assert torch.equal(encode_prompts(model, [PROMPT], {}, clip_skip).context, expected)


def test_a_new_word_with_the_vectors_of_a_known_one_means_the_same(model: tiny_models.TinyModel) -> None:
    known = model.text_encoders[0].vocabulary[tiny_models.tokenizer().tokenize("dog")]
    new = encode_prompts(model, ["a photo of a zonk"], {"zonk": {"clip_l": known}})
    assert torch.equal(new.context, encode_prompts(model, [PROMPT], {}).context)


def test_gradients_flow_to_the_vectors_of_the_words_that_are_used_and_nowhere_else(
    model: tiny_models.TinyModel,
) -> None:
    used, unused = vectors(2).requires_grad_(), vectors(1).requires_grad_()
    words = {"unused": {"clip_l": unused}, "zonk": {"clip_l": used}}
    context = encode_prompts(model, ["a zonk", PROMPT], words, layers=2).context
    context.square().sum().backward()
    assert used.grad is not None and (used.grad.abs().sum(dim=1) > 0).all()
    assert unused.grad is None or not unused.grad.any()
    assert not model.text_encoders[0].vocabulary.requires_grad and model.text_encoders[0].vocabulary.grad is None


def test_gradients_are_those_of_finite_differences(model: tiny_models.TinyModel) -> None:
    word, direction = vectors(2), vectors(2, seed=1)

    def loss(moved: Tensor) -> Tensor:
        return encode_prompts(model, ["a zonk by a zonk"], {"zonk": {"clip_l": moved}}).context[:, 3:].sin().sum()

    tracked = word.clone().requires_grad_()
    loss(tracked).backward()
    assert tracked.grad is not None
    step = 1e-3
    slope = (loss(word + step * direction) - loss(word - step * direction)) / (2 * step)
    assert float((tracked.grad * direction).sum()) == pytest.approx(float(slope), rel=0.02, abs=0.02)


def test_without_new_words_nothing_asks_for_gradients(model: tiny_models.TinyModel) -> None:
    assert not encode_prompts(model, [PROMPT], {}).context.requires_grad


def test_prompts_of_fewer_chunks_are_filled_up_with_the_empty_chunk(model: tiny_models.TinyModel) -> None:
    both = encode_prompts(model, [PROMPT, "the " * 80], {}).context
    assert both.shape == (2, 154, tiny_models.WIDTH)
    alone, empty = (encode_prompts(model, [prompt], {}).context[0] for prompt in (PROMPT, ""))
    torch.testing.assert_close(both[0], torch.cat([alone, empty]))


def test_equal_prompts_and_equal_chunks_are_encoded_once(
    model: tiny_models.TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = model.text_encoders[0]
    rows: list[int] = []
    encode = encoder.encode

    def counted(token_ids: Tensor, *rest: Any) -> Tensor:
        rows.append(len(token_ids))
        return encode(token_ids, *rest)

    monkeypatch.setattr(encoder, "encode", counted)
    context = encode_prompts(model, [PROMPT, "", PROMPT, "the " * 75 + "dog"], {}).context
    assert rows == [4]  # the prompt, the empty chunk, and two of the long prompt
    assert torch.equal(context[0], context[2])


def test_words_of_another_model_are_refused(model: tiny_models.TinyModel) -> None:
    with pytest.raises(ModelError, match="'zonk'.*clip_g.*clip_l"):
        encode_prompts(model, ["zonk"], {"zonk": {"clip_g": vectors(1)}})
    with pytest.raises(ModelError, match=r"'zonk'.*\(1, 768\).*\(n, 32\)"):
        encode_prompts(model, ["zonk"], {"zonk": {"clip_l": torch.zeros(1, 768)}})


@pytest.mark.parametrize("clip_skip", [0, 4, -1])
def test_a_layer_that_is_not_there_is_refused(clip_skip: int, model: tiny_models.TinyModel) -> None:
    with pytest.raises(SettingsError, match="1 to 3"):
        encode_prompts(model, [PROMPT], {}, clip_skip)


def test_the_text_model_is_as_before_after_an_encoding_that_fails(model: tiny_models.TinyModel) -> None:
    encoder = model.text_encoders[0]
    before = encode_prompts(model, [PROMPT], {}).context
    with pytest.raises(RuntimeError):
        encoder.encode(framed(PROMPT), torch.zeros(1, 76, tiny_models.WIDTH))
    assert torch.equal(encode_prompts(model, [PROMPT], {}).context, before)


@pytest.mark.parametrize("with_fixed", [False, True])
def test_a_blend_is_the_weighted_sum_of_its_layers_and_a_single_layer_the_same_bits(
    with_fixed: bool, model: tiny_models.TinyModel
) -> None:
    words = {"zonk": {"clip_l": vectors(2)}}

    def context(layers: int | LayerBlend) -> Tensor:
        fixed: Fixed | None = {} if with_fixed else None
        return encode_prompts(model, ["a zonk", PROMPT], words, layers, fixed).context

    assert torch.equal(context(parse_blend("2")), context(2))
    expected = 0.25 * context(1) + 0.75 * context(3)
    torch.testing.assert_close(context(parse_blend("1=1,3=3")), expected, rtol=1e-5, atol=1e-6)
