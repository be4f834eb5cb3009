from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pseudoword.diffusion import Conditioning, LatentDistribution
from pseudoword.errors import TrainingError
from pseudoword.text import encode_prompts
from pseudoword.text import prompts as prompts_module
from pseudoword.training.conditioning import PromptEncoder
from pseudoword.training.denoiser import Denoiser
from pseudoword.training.examples import Examples, make_examples
from pseudoword.training.quality import Judge
from pseudoword.training.stopwatch import Stopwatch
from pseudoword.training.vectors import LearnedWord, vectors_of_words
from tests.tiny_models import TinyModel
from tests.training.small_runs import WORD, settings

PROMPTS = (f"a photo of {WORD}", f"this is a {WORD}", f"a photo of {WORD}", f"the {WORD}")


class CountingModel(TinyModel):
    """Counts the rows that go through the text tower, and keeps what the UNet was told."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0
        text: Any = self.text_encoders[0]
        text._model.register_forward_hook(self._count)
        self.told: list[Tensor] = []

    def _count(self, module: Any, arguments: Any, output: Any) -> None:
        self.rows += len(output.last_hidden_state)

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's answer."""
        self.told.append(conditioning.context)
        return super().predict(latents, timesteps, conditioning)


def denoiser_of(model: TinyModel, micro_batch: int = 4) -> Denoiser:
    return Denoiser(model, PromptEncoder(model, WORD, 1), "fp32", micro_batch, Stopwatch(), lambda _: None)


def examples_for(model: TinyModel, prompts: tuple[str, ...] = PROMPTS, mask: Tensor | None = None) -> Examples:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(len(prompts), 4, 4, 4, generator=generator)
    distribution = LatentDistribution(mean, torch.full_like(mean, 0.1))
    timesteps = torch.linspace(100, 900, len(prompts)).long()
    return make_examples(model, distribution, mask, timesteps, prompts, generator, min_snr=None)


def word_of(model: TinyModel, words: str = "the dog", **changes: Any) -> LearnedWord:
    options = {"norms": None, "weight_decay": 0.0, "clip_grad": None, **changes}
    return LearnedWord(vectors_of_words(model, words, 2), model.device, **options)


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_gradients_are_the_same_however_few_pictures_go_through_at_once(micro_batch: int) -> None:
    model = TinyModel()
    vectors = word_of(model).vectors
    loss, gradients = denoiser_of(model).gradients(examples_for(model), vectors, 1.0)
    other_loss, other_gradients = denoiser_of(model, micro_batch).gradients(examples_for(model), vectors, 1.0)
    assert other_loss == pytest.approx(loss)
    torch.testing.assert_close(other_gradients["clip_l"], gradients["clip_l"], rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_the_plain_loss_and_free_of_the_scale() -> None:
    model = TinyModel()
    word, examples = word_of(model), examples_for(model)
    loss, gradients = denoiser_of(model).gradients(examples, word.vectors, 1.0)
    conditioning = PromptEncoder(model, WORD, 1).encode(examples.prompts, word.vectors)
    plain = (model.predict(examples.noisy, examples.timesteps, conditioning) - examples.target).square().mean()
    expected = torch.autograd.grad(plain, word.vectors["clip_l"])[0]
    assert loss == pytest.approx(plain.item())
    torch.testing.assert_close(gradients["clip_l"], expected, rtol=1e-4, atol=1e-6)
    _, scaled = denoiser_of(model).gradients(examples, word.vectors, 1024.0)
    torch.testing.assert_close(scaled["clip_l"], expected, rtol=1e-4, atol=1e-6)


def test_each_prompt_is_encoded_once_a_step_and_no_unused_gradient_is_computed() -> None:
    model = CountingModel()
    watched: list[Tensor] = []
    model.unet.first.register_forward_hook(lambda module, arguments, output: watched.append(output))
    denoiser = denoiser_of(model, micro_batch=1)
    denoiser.gradients(examples_for(model), word_of(model).vectors, 1.0)
    assert model.rows == 3  # four prompts, two of them the same, in four passes through the UNet
    for context in model.told:  # the way back ends at the conditioning: the text tower's turn comes once, at the end
        assert context.grad_fn is not None
        assert type(context.grad_fn.next_functions[0][0]).__name__ == "AccumulateGrad"
    assert not any(output.requires_grad for output in watched)  # before the prompt comes in, there is nothing to learn
    assert all(weight.grad is None for weight in model.unet.parameters())

    model.told.clear()
    denoiser.losses(examples_for(model), word_of(model).vectors)
    assert not any(context.requires_grad for context in model.told)


def test_a_prompt_without_the_word_is_encoded_once_for_all_previews() -> None:
    model = CountingModel()
    judge = Judge(model, PromptEncoder(model, WORD, 1), settings(preview_prompt="[name]"), [], None)
    vectors = word_of(model).vectors
    judge.preview(vectors)
    first = model.rows
    judge.preview(vectors)
    assert model.rows - first == first - 1 == 5  # the empty prompt is not encoded again


def test_chunks_without_the_word_are_encoded_once_and_cost_no_gradient() -> None:
    model = CountingModel()
    long = f"a photo of a {WORD}, " + "the cat and the dog " * 20  # goes on in a second chunk
    prompts = (long, f"a {WORD}", long, f"the {WORD}")  # the short ones are filled up with the empty chunk
    denoiser, vectors = denoiser_of(model), word_of(model).vectors
    loss, gradients = denoiser.gradients(examples_for(model, prompts), vectors, 1.0)
    first, model.rows = model.rows, 0
    again = denoiser.gradients(examples_for(model, prompts), vectors, 1.0)
    assert (first, model.rows) == (5, 3)
    assert again[0] == loss and torch.equal(again[1]["clip_l"], gradients["clip_l"])

    examples = examples_for(model, prompts)
    conditioning = encode_prompts(model, prompts, {WORD: vectors})
    plain = (model.predict(examples.noisy, examples.timesteps, conditioning) - examples.target).square().mean()
    expected = torch.autograd.grad(plain, vectors["clip_l"])[0]
    assert loss == pytest.approx(plain.item())
    torch.testing.assert_close(gradients["clip_l"], expected, rtol=1e-4, atol=1e-6)


def test_what_is_kept_of_chunks_does_not_hang_on_when_they_came_and_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompts_module, "MOST_FIXED_CHUNKS", 2)
    model = CountingModel()
    encoder = PromptEncoder(model, WORD, 1)
    alone = encoder.encode_fixed("a dog").context
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for prompt in ("a cat", "a cup", "a dog"):
            last = encoder.encode_fixed(prompt).context
    assert torch.equal(last, alone) and model.rows == 4  # "a dog" twice
    encoder.encode_fixed("a cup")
    assert model.rows == 4


def test_with_less_memory_fewer_prompts_are_encoded_at_once() -> None:
    model = CountingModel()
    text: Any = model.text_encoders[0]
    at_once: list[int] = []
    text._model.register_forward_hook(lambda module, given, output: at_once.append(len(output.last_hidden_state)))
    prompts = (f"a {WORD}", "a dog", f"the {WORD}", f"a {WORD}", f"this {WORD}", f"one {WORD}")
    vectors = word_of(model).vectors
    results = []
    for micro_batch, expected in ((6, [4, 1]), (2, [1, 1, 2, 1]), (1, [1] * 5)):
        at_once.clear()
        denoiser = denoiser_of(model, micro_batch)
        results.append(denoiser.gradients(examples_for(model, prompts), vectors, 1.0))
        assert at_once == expected
        assert denoiser.losses(examples_for(model, prompts), vectors).mean().item() == pytest.approx(results[0][0])
    for loss, gradients in results[1:]:
        assert loss == pytest.approx(results[0][0])
        torch.testing.assert_close(gradients["clip_l"], results[0][1]["clip_l"], rtol=1e-4, atol=1e-6)


def test_a_long_prompt_changes_nothing_for_the_others_however_few_go_through_at_once() -> None:
    model = CountingModel()
    long = f"a photo of a {WORD}, " + "the cat and the dog " * 20
    prompts, vectors = (f"a {WORD}", long, f"the {WORD}"), word_of(model).vectors
    whole, single = (denoiser_of(model, micro_batch) for micro_batch in (3, 1))
    examples = examples_for(model, prompts)
    torch.testing.assert_close(single.losses(examples, vectors), whole.losses(examples, vectors))
    (_, expected), (_, gradients) = (one.gradients(examples, vectors, 1.0) for one in (whole, single))
    torch.testing.assert_close(gradients["clip_l"], expected["clip_l"], rtol=1e-4, atol=1e-6)


def test_a_word_that_the_model_knows_is_found_again() -> None:
    """The right answers are those for "red cat", so a word that starts as "the dog" can get them by becoming that."""
    model = TinyModel()
    with torch.no_grad():
        examples = examples_for(model)
        known = PromptEncoder(model, WORD, 1).encode(examples.prompts, vectors_of_words(model, "red cat", 2))
        answers = model.predict(examples.noisy, examples.timesteps, known)
    asked = dataclasses.replace(examples, target=answers)
    word, denoiser = word_of(model), denoiser_of(model)
    losses = []
    for _ in range(60):
        loss, gradients = denoiser.gradients(asked, word.vectors, 1.0)
        losses.append(loss)
        word.update(gradients, 0.02)
    assert losses[-1] < losses[0] / 20


def test_a_mask_decides_which_positions_count() -> None:
    model = TinyModel()
    mask = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1)).round()
    vectors = word_of(model).vectors
    examples = examples_for(model, mask=mask)
    conditioning = PromptEncoder(model, WORD, 1).encode(examples.prompts, vectors)
    errors = (model.predict(examples.noisy, examples.timesteps, conditioning) - examples.target).square()
    expected = torch.stack([error[:, where[0] > 0].mean() for error, where in zip(errors, mask, strict=True)])
    torch.testing.assert_close(denoiser_of(model).losses(examples, vectors), expected.detach())


def test_prompts_without_the_word_teach_nothing_and_that_is_said() -> None:
    model = TinyModel()
    with pytest.raises(TrainingError, match=r"uses the new word.*\[name\]"):
        denoiser_of(model).gradients(examples_for(model, ("a dog", "a cat")), word_of(model).vectors, 1.0)


def test_an_error_that_is_not_about_memory_comes_through(tmp_path: Path) -> None:
    model = TinyModel()
    examples = examples_for(model)
    broken = dataclasses.replace(examples, noisy=examples.noisy[:, :3])
    with pytest.raises(RuntimeError, match="channels"):
        denoiser_of(model).losses(broken, word_of(model).vectors)
