"""All layers come from one pass: each the tower's own, the same bits as alone, and no block works for nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pseudoword.diffusion import TextEncoder
from pseudoword.errors import SettingsError
from pseudoword.text import BytePairTokenizer, ClipTextEncoder, OpenClipTextEncoder, chunk_prompt
from pseudoword.text.encoder import answering
from tests import tiny_models

open_clip: Any = pytest.importorskip("open_clip")


@dataclass(frozen=True)
class Tower:
    """A text tower with random weights, our encoder of it, and its own states by the number of blocks behind them."""

    model: Any
    encoder: TextEncoder
    blocks: nn.ModuleList
    own_states: Callable[[Tensor], dict[int, Tensor]]


def random_weights(model: nn.Module) -> None:
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            nn.init.normal_(weight, std=0.07 if "embedding" in name else 0.15)
        elif "norm" in name or "ln_" in name:
            nn.init.normal_(weight, mean=1.0 if name.endswith("weight") else 0.0, std=0.2)


def transformers_tower(layers: int, heads: int, activation: str, name: str) -> Tower:
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = {"hidden_size": 4 * heads, "intermediate_size": 16 * heads, "projection_dim": 4 * heads}
    shape = {"num_hidden_layers": layers, "num_attention_heads": heads, "hidden_act": activation}
    with tiny_models.seeded(3):
        model: Any = CLIPTextModel(CLIPTextConfig(**(tiny_models.text_config() | sizes | shape)))
        random_weights(model)
    model.eval().requires_grad_(False)
    inner = getattr(model, "text_model", model)

    def own_states(token_ids: Tensor) -> dict[int, Tensor]:
        output = model(input_ids=token_ids, output_hidden_states=True)
        before_norm = dict(enumerate(output.hidden_states[:-1]))
        return {count: inner.final_layer_norm(states) for count, states in before_norm.items() if count} | {
            layers: output.last_hidden_state
        }

    encoder: TextEncoder = ClipTextEncoder(model, tiny_models.tokenizer(), name)
    return Tower(model, encoder, inner.encoder.layers, own_states)


def open_clip_tower(layers: int, heads: int, quick_gelu: bool, name: str, last_layer: int) -> Tower:
    text = {"vocab_size": tiny_models.VOCABULARY_SIZE, "width": 4 * heads, "heads": heads, "layers": layers}
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    with tiny_models.seeded(4):
        model: Any = open_clip.CLIP(16, vision, text, quick_gelu=quick_gelu)
        random_weights(model.transformer)
    model.eval().requires_grad_(False)
    blocks = model.transformer.resblocks
    positions_first = not blocks[0].attn.batch_first

    def own_states(token_ids: Tensor) -> dict[int, Tensor]:
        found: list[Tensor] = []
        hooks = [block.register_forward_hook(lambda _, given, output: found.append(output)) for block in blocks]
        model.encode_text(token_ids)
        for hook in hooks:
            hook.remove()
        states = [one.transpose(0, 1) if positions_first else one for one in found]
        return {count: model.ln_final(one) for count, one in enumerate(states, start=1)}

    tokenizer = BytePairTokenizer.clip(tiny_models.VOCABULARY_SIZE)
    tokenizer.pad_id = 0
    return Tower(model, OpenClipTextEncoder(model, tokenizer, name, last_layer), blocks, own_states)


# The real towers' blocks, heads and activations; only widths are small: 4 a head instead of 64.
TOWERS: dict[str, Callable[[], Tower]] = {
    "transformers ViT-L-14": lambda: transformers_tower(12, 12, "quick_gelu", "clip_l"),
    "transformers ViT-bigG-14": lambda: transformers_tower(32, 20, "gelu", "clip_g"),
    "open_clip ViT-L-14": lambda: open_clip_tower(12, 12, True, "clip_l", 12),
    "open_clip ViT-H-14": lambda: open_clip_tower(24, 16, False, "open_clip_h", 23),
    "open_clip ViT-bigG-14": lambda: open_clip_tower(32, 20, False, "clip_g", 32),
}
SMALLEST = ["transformers ViT-L-14", "open_clip ViT-L-14"]


@pytest.fixture(scope="module", params=TOWERS)
def tower(request: pytest.FixtureRequest) -> Tower:
    """One of all."""
    return TOWERS[request.param]()


@pytest.fixture(params=SMALLEST)
def fresh_tower(request: pytest.FixtureRequest) -> Tower:
    """One of each library, made anew."""
    return TOWERS[request.param]()


def prompts(tower: Tower) -> Tensor:
    """Token ids (3, 77)."""
    texts = ("a photo of a dog", "", "the " * 75)
    tokenizer = tower.encoder.tokenizer
    return torch.tensor([chunk_prompt(text, tokenizer, {})[0].token_ids for text in texts])


def inputs(tower: Tower) -> tuple[Tensor, Tensor]:
    """Token ids (3, 77) and their vectors (3, 77, D)."""
    token_ids = prompts(tower)
    return token_ids, tower.encoder.vocabulary[token_ids].clone()


def clip_skips_of(tower: Tower) -> list[int]:
    return list(range(1, tower.encoder.layer_count + 1))


def test_every_layer_is_the_tower_s_own(tower: Tower) -> None:
    own, clip_skips = tower.own_states(prompts(tower)), clip_skips_of(tower)
    states = tower.encoder.encode_layers(*inputs(tower), clip_skips)
    assert states.shape == (len(clip_skips), 3, 77, tower.encoder.vocabulary.shape[1])
    for clip_skip, layer in zip(clip_skips, states, strict=True):
        assert torch.equal(layer, own[tower.encoder.layer_count + 1 - clip_skip])
    assert all((one - next_one).abs().max() > 0.01 for one, next_one in zip(states, states[1:], strict=False))


def test_every_layer_is_the_same_bits_as_encoded_alone(tower: Tower) -> None:
    clip_skips = clip_skips_of(tower)
    states = tower.encoder.encode_layers(*inputs(tower), clip_skips)
    for clip_skip, layer in zip(clip_skips, states, strict=True):
        assert torch.equal(layer, tower.encoder.encode(*inputs(tower), clip_skip))


def test_layers_come_in_the_order_in_which_they_are_asked_for(fresh_tower: Tower) -> None:
    encoder = fresh_tower.encoder
    last, third = encoder.encode_layers(*inputs(fresh_tower), [1, 3])
    mixed = encoder.encode_layers(*inputs(fresh_tower), (3, 1, 3))
    assert torch.equal(mixed, torch.stack([third, last, third]))


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
@pytest.mark.parametrize("clip_skip", [1, 2, 12])
def test_states_and_gradients_are_the_bits_of_a_whole_pass_with_transformers(
    clip_skip: int, autocast: torch.dtype | None
) -> None:
    """What `ClipTextEncoder.encode` was before: runs of then go on to the bit."""
    tower = TOWERS["transformers ViT-L-14"]()
    encoder = ClipTextEncoder(tower.model, tiny_models.tokenizer(), autocast=autocast)
    inner = getattr(tower.model, "text_model", tower.model)

    def as_before(token_ids: Tensor, vectors: Tensor) -> Tensor:
        precision = torch.autocast("cpu", autocast) if autocast else nullcontext()
        with answering(inner.embeddings.token_embedding, vectors), precision:
            output = inner(input_ids=token_ids, output_hidden_states=clip_skip > 1)
            if clip_skip == 1:
                states: Tensor = output.last_hidden_state
            else:
                states = inner.final_layer_norm(output.hidden_states[-clip_skip])
        return states.float()

    same_bits(lambda ids, vectors: encoder.encode(ids, vectors, clip_skip), as_before, tower)


@pytest.mark.parametrize("clip_skip", [1, 2, 12])
def test_states_and_gradients_are_the_bits_of_block_after_block_with_open_clip(clip_skip: int) -> None:
    """What `OpenClipTextEncoder.encode` was before."""
    tower = TOWERS["open_clip ViT-L-14"]()
    positions_first = not tower.blocks[0].attn.batch_first  # type: ignore[union-attr]

    def as_before(token_ids: Tensor, vectors: Tensor) -> Tensor:
        states = vectors + tower.model.positional_embedding
        states = states.transpose(0, 1) if positions_first else states
        for block in tower.blocks[: 13 - clip_skip]:
            states = block(states, attn_mask=tower.model.attn_mask)
        states = states.transpose(0, 1) if positions_first else states
        return tower.model.ln_final(states).float()

    same_bits(lambda ids, vectors: tower.encoder.encode(ids, vectors, clip_skip), as_before, tower)


def same_bits(
    now: Callable[[Tensor, Tensor], Tensor], before: Callable[[Tensor, Tensor], Tensor], tower: Tower
) -> None:
    """Both give equal states, and equal gradients of the vectors."""
    token_ids, ours = inputs(tower)
    theirs = ours.clone()
    weighted = torch.linspace(-1, 1, 77).view(77, 1)
    states = []
    for encode, vectors in ((now, ours), (before, theirs)):
        states.append(encode(token_ids, vectors.requires_grad_()))
        (states[-1].sin() * weighted).sum().backward()
    assert torch.equal(*states)
    assert ours.grad is not None and theirs.grad is not None and ours.grad.abs().max() > 0
    assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize(
    ("clip_skips", "blocks"), [([1], 12), ([2], 11), ([12], 1), ([5, 9, 12], 8), (list(range(1, 13)), 12)]
)
def test_one_pass_goes_no_deeper_than_asked(fresh_tower: Tower, clip_skips: list[int], blocks: int) -> None:
    worked: list[nn.Module] = []
    for block in fresh_tower.blocks:
        block.register_forward_pre_hook(lambda module, given: worked.append(module))
    fresh_tower.encoder.encode_layers(*inputs(fresh_tower), clip_skips)
    assert worked == list(fresh_tower.blocks)[:blocks]


def test_gradients_of_all_layers_reach_the_vectors_and_nothing_else(fresh_tower: Tower) -> None:
    encoder = fresh_tower.encoder
    token_ids, together = inputs(fresh_tower)
    apart = together.clone().requires_grad_()
    encoder.encode_layers(token_ids, together.requires_grad_(), [1, 2, 7]).sin().sum().backward()
    sum(encoder.encode(token_ids, apart, clip_skip).sin().sum() for clip_skip in (1, 2, 7)).backward()  # type: ignore[union-attr]
    assert together.grad is not None and together.grad.abs().max() > 0.1
    torch.testing.assert_close(together.grad, apart.grad, rtol=1e-3, atol=1e-4)
    assert all(weight.grad is None for weight in fresh_tower.model.parameters())


@pytest.mark.parametrize("absent", [0, -1, 13, 99])
def test_a_layer_that_is_not_there_is_refused_among_others(fresh_tower: Tower, absent: int) -> None:
    with pytest.raises(SettingsError, match="clip_l does not have; choose 1 to 12"):
        fresh_tower.encoder.encode_layers(*inputs(fresh_tower), [1, absent])


def test_the_tower_is_left_as_it_was_also_after_a_failure(fresh_tower: Tower) -> None:
    token_ids, vectors = inputs(fresh_tower)
    whole = fresh_tower.own_states(token_ids)
    hooks = sum(len(module._forward_hooks) for module in fresh_tower.model.modules())
    fresh_tower.encoder.encode_layers(token_ids, vectors, [4, 2])
    with pytest.raises(RuntimeError):
        fresh_tower.encoder.encode_layers(token_ids, vectors[:, :, 1:], [4, 2])
    assert sum(len(module._forward_hooks) for module in fresh_tower.model.modules()) == hooks
    assert all(torch.equal(whole[count], states) for count, states in fresh_tower.own_states(token_ids).items())
