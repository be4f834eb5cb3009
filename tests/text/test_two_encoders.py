"""SDXL reads a prompt with two text encoders, and is told of the whole of it besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pseudoword.diffusion import Architecture
from pseudoword.errors import ModelError
from pseudoword.text import BytePairTokenizer, ClipTextEncoder, OpenClipTextEncoder, encode_negative, encode_prompts
from pseudoword.text.layer_choice import parse_layers
from pseudoword.text.prompts import Fixed
from tests import tiny_models

open_clip: Any = pytest.importorskip("open_clip")

WIDTH_G, POOLED = 48, 16
LONG = "a red cat in the snow, " * 12


class TwoEncoders(tiny_models.TinyModel):
    """Encoders as SDXL's, CLIP-L and CLIP-G; its UNet is not asked."""

    architecture: Architecture = "sdxl"

    def __init__(self) -> None:
        super().__init__()
        tokenizer = BytePairTokenizer.clip(tiny_models.VOCABULARY_SIZE)
        tokenizer.pad_id = 0
        vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
        text = {"vocab_size": tiny_models.VOCABULARY_SIZE, "width": WIDTH_G, "heads": 2, "layers": 4}
        with tiny_models.seeded(5):
            self.clip_g = open_clip.CLIP(embed_dim=POOLED, vision_cfg=vision, text_cfg=text).eval()
            for weight in self.clip_g.transformer.parameters():
                nn.init.normal_(weight, std=0.15)
        self.text_encoders = [
            ClipTextEncoder(tiny_models.text_model(), tiny_models.tokenizer(), last_layer=2, final_norm=False),
            OpenClipTextEncoder(self.clip_g.requires_grad_(False), tokenizer, "clip_g", final_norm=False, pools=True),
        ]


@pytest.fixture(scope="module")
def model() -> TwoEncoders:
    return TwoEncoders()


def word(count: int = 2) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(3)
    return {"clip_l": torch.randn((count, 32), generator=random), "clip_g": torch.randn((count, 48), generator=random)}


def test_both_stand_side_by_side_and_the_whole_prompt_is_clip_g_s_own_text_feature(model: TwoEncoders) -> None:
    told = encode_prompts(model, ["a cat", "a red dog"], {})
    assert told.context.shape == (2, 77, 32 + WIDTH_G) and told.pooled is not None and told.pooled.shape == (2, POOLED)
    tokenizer = model.text_encoders[1].tokenizer
    for row, prompt in enumerate(("a cat", "a red dog")):
        tokens = [tokenizer.start_id, *tokenizer.tokenize(prompt), tokenizer.end_id]
        theirs = model.clip_g.encode_text(torch.tensor([tokens + [0] * (77 - len(tokens))]))[0]
        assert torch.allclose(told.pooled[row], theirs, atol=1e-5)


def test_layers_are_read_without_the_final_norm(model: TwoEncoders) -> None:
    before: list[Tensor] = []
    hook = model.clip_g.transformer.resblocks[2].register_forward_hook(lambda *told: before.append(told[2]))
    try:
        told = encode_prompts(model, ["a cat"], {})
    finally:
        hook.remove()
    state = before[0] if before[0].shape[0] == 1 else before[0].transpose(0, 1)
    assert torch.equal(told.context[:, :, 32:], state)


def test_a_layer_of_each_is_chosen_apart_and_the_whole_prompt_stays(model: TwoEncoders) -> None:
    last, both, apart = (encode_prompts(model, ["a cat"], {}, layers) for layers in (1, 2, parse_layers("1/2")))
    assert torch.equal(apart.context[:, :, :32], last.context[:, :, :32])
    assert torch.equal(apart.context[:, :, 32:], both.context[:, :, 32:])
    assert not torch.equal(both.context[:, :, :32], last.context[:, :, :32])
    for told in (both, apart):
        assert told.pooled is not None and last.pooled is not None and torch.equal(told.pooled, last.pooled)


def test_a_word_of_two_encoders_is_learned_through_both_and_through_the_whole_prompt(model: TwoEncoders) -> None:
    vectors = {name: rows.requires_grad_() for name, rows in word().items()}
    told = encode_prompts(model, ["a zonk", LONG], {"zonk": vectors}, fixed={})
    assert told.context.shape == (2, 154, 80) and told.pooled is not None
    of_pooled = torch.autograd.grad(told.pooled.square().sum(), vectors["clip_g"], retain_graph=True)[0]
    of_context = torch.autograd.grad(told.context.square().sum(), list(vectors.values()))
    assert bool((of_pooled.norm(dim=1) > 0).all()) and all(bool((rows.norm(dim=1) > 0).all()) for rows in of_context)


def test_a_word_that_lacks_an_encoder_is_refused_by_name(model: TwoEncoders) -> None:
    lacking: Mapping[str, Mapping[str, Tensor]] = {"zonk": {"clip_l": word()["clip_l"]}}
    with pytest.raises(ModelError, match="'zonk' has vectors for clip_l, but this model needs clip_g"):
        encode_prompts(model, ["a zonk"], lacking)


def test_what_has_no_new_word_is_encoded_once_for_each_encoder(model: TwoEncoders) -> None:
    fixed: Fixed = {}
    full = "the " * 75  # a chunk without padding is the same for both tokenizers
    first = encode_prompts(model, [full, "a zonk"], {"zonk": word()}, fixed=fixed)
    known = dict(fixed)
    again = encode_prompts(model, [full, "a zonk"], {"zonk": word()}, fixed=fixed)
    assert {(encoder, purpose) for encoder, purpose, _ in known} == {
        ("clip_l", "context"),
        ("clip_g", "context"),
        ("clip_g", "pooled"),
    }
    assert fixed == known and torch.equal(first.context, again.context)
    plain = encode_prompts(model, [full, "a zonk"], {"zonk": word()})
    assert torch.allclose(first.context, plain.context, atol=1e-4)
    assert first.pooled is not None and plain.pooled is not None
    assert torch.allclose(first.pooled, plain.pooled, atol=1e-4)


def test_without_a_negative_prompt_sdxl_is_told_zeros_and_others_the_empty_prompt(model: TwoEncoders) -> None:
    none, some = encode_negative(model, "", {}), encode_negative(model, "blurry", {})
    assert none.pooled is not None and not none.context.any() and not none.pooled.any()
    assert torch.equal(some.context, encode_prompts(model, ["blurry"], {}).context)
    one = tiny_models.TinyModel()
    assert torch.equal(encode_negative(one, "", {}).context, encode_prompts(one, [""], {}).context)
