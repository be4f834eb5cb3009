"""transformers' tower, ended where the diffusion model was made to read it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pseudoword.errors import SettingsError
from pseudoword.text import ClipTextEncoder, chunk_prompt
from tests import tiny_models


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_clip_skip_counts_from_the_layer_that_the_diffusion_model_was_made_with(left_out: int) -> None:
    model: Any = tiny_models.text_model()
    (chunk,) = chunk_prompt("a photo of a dog", tiny_models.tokenizer(), {})
    token_ids = torch.tensor([chunk.token_ids])
    states = model(input_ids=token_ids, output_hidden_states=True).hidden_states
    norm = getattr(model, "text_model", model).final_layer_norm
    encoder = ClipTextEncoder(model, tiny_models.tokenizer(), last_layer=tiny_models.LAYERS - left_out)
    assert encoder.layer_count == tiny_models.LAYERS - left_out
    for clip_skip in range(1, encoder.layer_count + 1):
        ours = encoder.encode(token_ids, encoder.vocabulary[token_ids], clip_skip)
        torch.testing.assert_close(ours, norm(states[encoder.layer_count + 1 - clip_skip]))
    with pytest.raises(SettingsError, match=f"choose 1 to {encoder.layer_count}"):
        encoder.encode(token_ids, encoder.vocabulary[token_ids], encoder.layer_count + 1)
