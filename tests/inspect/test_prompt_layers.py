"""Each token of a prompt is followed through the layers, in every chunk, as the encoder has it there."""

from __future__ import annotations

import csv
import io

import pytest
import torch

from pseudoword.errors import ModelError, SettingsError
from pseudoword.inspect.prompt_layers import PromptLayers, prompt_layers, prompt_layers_table
from pseudoword.text import encode_prompts
from tests import tiny_models
from tests.inspect.words import random_rows

MODEL = tiny_models.TinyModel()
ENCODER = MODEL.text_encoders[0]
WORDS = {"zonk": {"clip_l": random_rows(2)}}


def found(prompt: str) -> PromptLayers:
    return prompt_layers(ENCODER, prompt, WORDS)


def test_figures_are_those_of_the_prompt_s_own_states() -> None:
    layers = found("a photo of zonk, red")
    assert (layers.encoder, layers.prompt, layers.clip_skips) == ("clip_l", "a photo of zonk, red", (3, 2, 1))
    assert [piece.text for piece in layers.pieces] == ["a", "photo", "of", "zonk", "zonk", ",", "red"]
    assert layers.chunks == (0,) * 7 and layers.norms.shape == layers.to_last.shape == (3, 7)
    states = [
        encode_prompts(MODEL, [layers.prompt], WORDS, clip_skip).context[0, 1:8].double() for clip_skip in (3, 2, 1)
    ]
    assert torch.equal(layers.norms, torch.stack([layer.norm(dim=1) for layer in states]))
    assert torch.allclose(layers.to_last[0], torch.cosine_similarity(states[0], states[2], dim=1))
    assert torch.allclose(layers.to_last[2], torch.ones(7, dtype=torch.float64))


def test_a_long_prompt_is_followed_through_all_its_chunks() -> None:
    prompt = "the " * 74 + "zonk " + "red " * 80
    layers = found(prompt)
    assert len(layers.pieces) == layers.norms.shape[1] == 74 + 2 + 80
    assert [layers.chunks.count(chunk) for chunk in range(3)] == [74, 75, 7]  # a word is not cut in two
    context = encode_prompts(MODEL, [prompt], WORDS, 2).context[0].view(3, 77, -1).double()
    states = torch.cat([context[0, 1:75], context[1, 1:76], context[2, 1:8]])
    torch.testing.assert_close(layers.norms[1], states.norm(dim=1), rtol=1e-6, atol=1e-6)


def test_brackets_are_text() -> None:
    assert "(" in "".join(piece.text for piece in found("(red:1.5) BREAK dog").pieces)


def test_what_cannot_be_followed_is_refused() -> None:
    for prompt in ("", "   "):
        with pytest.raises(SettingsError, match="The prompt holds no token; write one such as"):
            found(prompt)
    with pytest.raises(SettingsError, match="20,001 characters"):
        found("x" * 20_001)
    with pytest.raises(ModelError, match="clip_g"):
        prompt_layers(ENCODER, "zonk", {"zonk": {"clip_g": random_rows(1)}})


def test_the_table_has_a_row_for_each_token_and_layer_and_nothing_a_spreadsheet_would_run() -> None:
    layers = found("=zonk photograph")
    header, *rows = csv.reader(io.StringIO(prompt_layers_table(layers), newline=""))
    assert header[:7] == ["number", "chunk", "position", "text", "ends_word", "token_id", "vector"]
    assert header[7:] == ["layer", "clip_skip", "norm", "cosine_to_last"]
    assert len(rows) == 3 * len(layers.pieces)
    equals = str(tiny_models.tokenizer().tokenize("=")[0])
    assert rows[0][:9] == ["1", "1", "1", "'=", "1", equals, "", "1", "3"]
    assert [row[6] for row in rows[3:9:3]] == ["1", "2"] and rows[8][7:9] == ["3", "1"]
    for row in rows:
        place, layer = int(row[0]) - 1, int(row[7]) - 1
        assert (float(row[9]), float(row[10])) == (
            layers.norms[layer, place].item(),
            layers.to_last[layer, place].item(),
        )
