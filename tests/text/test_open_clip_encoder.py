"""Hidden states are open_clip's own, in every version, and nothing of a model that others use too is disturbed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pseudoword.diffusion import TextEncoder
from pseudoword.errors import SettingsError
from pseudoword.text import BytePairTokenizer, ClipTextEncoder, OpenClipTextEncoder, chunk_prompt
from tests import tiny_models

open_clip: Any = pytest.importorskip("open_clip")

BLOCKS = 4


@pytest.fixture
def model() -> Any:
    """An open_clip model with random weights, its text tower 32 wide with 4 blocks."""
    text = {"vocab_size": tiny_models.VOCABULARY_SIZE, "width": tiny_models.WIDTH, "heads": 2, "layers": BLOCKS}
    with tiny_models.seeded(5):
        made = open_clip.CLIP(
            embed_dim=16,
            vision_cfg={"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
            text_cfg=text,
        )
        for weight in made.transformer.parameters():
            nn.init.normal_(weight, std=0.15)
    return made.eval().requires_grad_(False)


def padded_with_zero() -> BytePairTokenizer:
    tokenizer = BytePairTokenizer.clip(tiny_models.VOCABULARY_SIZE)
    tokenizer.pad_id = 0
    return tokenizer


def encoder_of(model: Any, **settings: Any) -> OpenClipTextEncoder:
    return OpenClipTextEncoder(model, padded_with_zero(), **settings)


def prompts() -> Tensor:
    """Token ids (3, 77)."""
    texts = ("a photo of a dog", "", "the " * 75)
    return torch.tensor([chunk_prompt(text, padded_with_zero(), {})[0].token_ids for text in texts])


def vectors_of(model: Any, token_ids: Tensor) -> Tensor:
    vectors: Tensor = model.token_embedding.weight[token_ids]
    return vectors.clone()


def as_stable_diffusion_does(model: Any, vectors: Tensor, layer_idx: int) -> Tensor:
    """What ldm's FrozenOpenCLIPEmbedder computes: "last" is `layer_idx` 0, "penultimate" is 1."""
    positions_first = not model.transformer.resblocks[0].attn.batch_first
    x = vectors + model.positional_embedding
    x = x.permute(1, 0, 2) if positions_first else x
    for i, r in enumerate(model.transformer.resblocks):
        if i == len(model.transformer.resblocks) - layer_idx:
            break
        x = r(x, attn_mask=model.attn_mask)
    x = x.permute(1, 0, 2) if positions_first else x
    x = model.ln_final(x)
    return x


def test_the_last_layer_is_what_open_clip_itself_pools(model: Any) -> None:
    token_ids, pooled_from = prompts(), []
    model.ln_final.register_forward_hook(lambda module, given, output: pooled_from.append(output))
    model.encode_text(token_ids)
    states = encoder_of(model, last_layer=BLOCKS).encode(token_ids, vectors_of(model, token_ids))
    assert states.shape == (3, 77, tiny_models.WIDTH)
    torch.testing.assert_close(states, pooled_from[0])


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_clip_skip_counts_from_the_layer_that_the_diffusion_model_was_made_with(model: Any, left_out: int) -> None:
    encoder = encoder_of(model, last_layer=BLOCKS - left_out)
    assert encoder.layer_count == BLOCKS - left_out
    token_ids = prompts()
    vectors = vectors_of(model, token_ids)
    layers = [encoder.encode(token_ids, vectors, clip_skip) for clip_skip in range(1, encoder.layer_count + 1)]
    for place, states in enumerate(layers):
        torch.testing.assert_close(states, as_stable_diffusion_does(model, vectors, left_out + place))
    assert all((one - next_one).abs().max() > 0.01 for one, next_one in zip(layers, layers[1:], strict=False))


def test_by_itself_it_leaves_out_the_last_block_as_stable_diffusion_2_does(model: Any) -> None:
    encoder = encoder_of(model)
    assert (encoder.name, encoder.layer_count) == ("open_clip_h", BLOCKS - 1)
    vectors = vectors_of(model, prompts())
    torch.testing.assert_close(encoder.encode(prompts(), vectors), as_stable_diffusion_does(model, vectors, 1))


@pytest.mark.parametrize("clip_skip", [0, BLOCKS, -1])
def test_a_layer_that_is_not_there_is_refused(model: Any, clip_skip: int) -> None:
    with pytest.raises(SettingsError, match="open_clip_h does not have; choose 1 to 3"):
        encoder_of(model).encode(prompts(), vectors_of(model, prompts()), clip_skip)


@pytest.mark.parametrize("clip_skip", [1, 2])
def test_gradients_reach_the_vectors_and_nothing_else(model: Any, clip_skip: int) -> None:
    ours, theirs = (vectors_of(model, prompts()).requires_grad_() for _ in range(2))
    weighted = torch.linspace(-1, 1, 77).view(77, 1)
    (encoder_of(model).encode(prompts(), ours, clip_skip).sin() * weighted).sum().backward()
    (as_stable_diffusion_does(model, theirs, clip_skip).sin() * weighted).sum().backward()
    assert ours.grad is not None and theirs.grad is not None and ours.grad.abs().max() > 0.1
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert all(weight.grad is None for weight in model.parameters())


def autocast_casts_masks() -> bool:
    """Whether attention takes a float32 mask under autocast on a CPU; that of torch 2.1 does only on GPUs."""
    query, mask = torch.ones(1, 1, 2, 4, dtype=torch.bfloat16), torch.zeros(2, 2)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            nn.functional.scaled_dot_product_attention(query, query, query, mask)
    except RuntimeError:
        return False
    return True


casting_masks = pytest.mark.skipif(not autocast_casts_masks(), reason="this torch's autocast leaves masks in float32")


@pytest.mark.parametrize("lower", [pytest.param("products", marks=casting_masks), "weights"])
def test_lower_precision_stays_near_and_answers_in_float32(model: Any, lower: str) -> None:
    vectors = vectors_of(model, prompts()).requires_grad_()
    exact = encoder_of(model).encode(prompts(), vectors)
    if lower == "weights":
        model.to(torch.bfloat16)
    states = encoder_of(model, autocast=torch.bfloat16 if lower == "products" else None).encode(prompts(), vectors)
    assert states.dtype == torch.float32
    assert 0 < (states - exact).norm() / exact.norm() < 0.03
    states.square().sum().backward()
    assert vectors.grad is not None and vectors.grad.dtype == torch.float32


class Wrapped(nn.Module):
    """As the WebUI wraps a token embedding, whose weights it may keep on another device meanwhile."""

    def __init__(self, wrapped: nn.Module) -> None:
        super().__init__()
        self.wrapped = wrapped.to("meta")

    def forward(self, token_ids: Tensor) -> Tensor:
        """Something that nobody should use."""
        return torch.full((*token_ids.shape, tiny_models.WIDTH), torch.nan)


@pytest.mark.parametrize("kind", ["open_clip", "transformers"])
def test_a_token_embedding_that_is_wrapped_and_not_where_it_computes(model: Any, kind: str) -> None:
    device = torch.device("cpu")
    if kind == "open_clip":
        encoder: TextEncoder = encoder_of(model, device=device)
        parts = model
    else:
        clip = tiny_models.text_model()
        encoder = ClipTextEncoder(clip, tiny_models.tokenizer(), device=device)
        parts = getattr(clip, "text_model", clip).embeddings
    vectors = encoder.vocabulary[prompts()].clone()
    expected = encoder.encode(prompts(), vectors)
    parts.token_embedding = Wrapped(copy.deepcopy(parts.token_embedding))
    assert encoder.vocabulary is parts.token_embedding.wrapped.weight
    assert torch.equal(encoder.encode(prompts(), vectors), expected)


@pytest.mark.parametrize("kind", ["open_clip", "transformers"])
def test_the_whole_model_is_neither_called_nor_changed(model: Any, kind: str) -> None:
    if kind == "transformers":
        inner = tiny_models.text_model()
        model = nn.ModuleDict({"text_model": getattr(inner, "text_model", inner)})  # nested, as it is before version 5
        model.config = inner.config
    model.requires_grad_(True)
    calls: list[Any] = []
    model.register_forward_pre_hook(lambda module, given: calls.append(module))
    encoder: TextEncoder = encoder_of(model) if kind == "open_clip" else ClipTextEncoder(model, padded_with_zero())
    encoder.encode(prompts(), encoder.vocabulary[prompts()].detach())
    assert not calls
    assert all(weight.requires_grad for weight in model.parameters())


def test_prompts_are_padded_as_open_clip_does() -> None:
    ours = BytePairTokenizer.clip()
    ours.pad_id = 0
    texts = ["a photo of a dog", "", "Two cats, one of them grey"]
    theirs = open_clip.tokenizer.tokenize(texts).tolist()
    assert [chunk_prompt(text, ours, {})[0].token_ids for text in texts] == theirs
