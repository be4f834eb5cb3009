"""States at a word's positions are those that the text encoder has there, layer by layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pseudoword.errors import ModelError, SettingsError
from pseudoword.inspect.layers import layer_figures, states_at_word
from pseudoword.text import ClipTextEncoder, encode_prompts
from tests import tiny_models
from tests.inspect.words import random_rows, word

MODEL = tiny_models.TinyModel()
ENCODER = MODEL.text_encoders[0]


def test_states_are_those_of_the_prompt_at_the_word() -> None:
    rows = random_rows(2)
    states = states_at_word(ENCODER, "a photo of {}, red", rows, (3, 2, 1))
    for place, clip_skip in enumerate((3, 2, 1)):
        context = encode_prompts(MODEL, ["a photo of zonk, red"], {"zonk": {"clip_l": rows}}, clip_skip).context
        assert torch.equal(states[place], context[0, 4:6].double())  # after start, "a", "photo", "of"


def test_figures_have_their_shapes_and_formulas() -> None:
    found = layer_figures(ENCODER, word(random_rows(4)))
    assert (found.clip_skips, found.encoder, found.name) == ((3, 2, 1), "clip_l", "zonk")
    assert (found.prompt, found.known) == ("a photo of zonk", "cat")
    states = states_at_word(ENCODER, "a photo of {}", random_rows(4), (3, 2, 1))
    assert found.norms.shape == found.to_last.shape == found.to_known.shape == (3, 4)
    assert torch.equal(found.norms, states.norm(dim=2)) and found.known_norms.shape == (3,)
    assert torch.allclose(found.to_last[-1], torch.ones(4, dtype=torch.float64))
    assert torch.allclose(found.to_last[0], torch.cosine_similarity(states[0], states[2], dim=1))


def test_all_layers_of_a_word_come_from_one_pass() -> None:
    passes: list[Any] = []
    model = tiny_models.text_model()
    inner: Any = getattr(model, "text_model", model)
    inner.encoder.layers[0].register_forward_pre_hook(lambda *given: passes.append(given))
    layer_figures(ClipTextEncoder(model, tiny_models.tokenizer()), word(random_rows(4)))
    assert len(passes) == 2  # the word's, and that of the one to compare with


def test_a_word_with_a_known_word_s_vectors_behaves_like_it() -> None:
    tokens = tiny_models.tokenizer().tokenize("dog")
    found = layer_figures(ENCODER, word(ENCODER.vocabulary[tokens]), "a {} outside", known="dog")
    assert torch.allclose(found.to_known, torch.ones(3, 1, dtype=torch.float64))
    assert torch.allclose(found.norms[:, 0], found.known_norms)


def test_a_word_is_found_wherever_it_stands_and_whatever_it_is_called() -> None:
    rows = random_rows(2)
    named_like_the_template = layer_figures(ENCODER, word(rows, "photo"))
    assert torch.equal(named_like_the_template.norms, layer_figures(ENCODER, word(rows)).norms)
    late = layer_figures(ENCODER, word(rows), "very " * 80 + "{}")
    assert late.norms.shape == (3, 2)
    assert layer_figures(ENCODER, word(random_rows(100))).norms.shape == (3, 100)
    assert layer_figures(ENCODER, word(rows), "{}", "a red dog on grass").to_known.shape == (3, 2)


def test_what_cannot_be_looked_at_is_refused() -> None:
    with pytest.raises(SettingsError, match="0 times"):
        layer_figures(ENCODER, word(random_rows(1)), "a photo")
    with pytest.raises(SettingsError, match="holds no token"):
        layer_figures(ENCODER, word(random_rows(1)), known=" ")
    with pytest.raises(ModelError, match="shape"):
        layer_figures(ENCODER, word(random_rows(1, 5)))
    with pytest.raises(ModelError, match="open_clip_h"):
        layer_figures(ENCODER, word(random_rows(1), encoder="open_clip_h"))
