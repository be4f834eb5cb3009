"""The standalone host computes what diffusers and transformers compute, from every kind of file it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pseudoword.diffusion import Conditioning, Sampling
from pseudoword.errors import SettingsError
from pseudoword.text import encode_prompts
from tests import tiny_models

pytest.importorskip("diffusers")

from pseudoword.hosts import checkpoints
from pseudoword.hosts.diffusers import StandaloneModel, load_model, load_single_file

CPU = torch.device("cpu")
SAMPLING = Sampling(tiny_models.SIZE, tiny_models.SIZE, steps=4, guidance=3.0)


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> checkpoints.Configuration:
    return checkpoints.read_configuration(tiny_models.save_configuration(tmp_path_factory.mktemp("configuration")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, configuration: checkpoints.Configuration) -> StandaloneModel:
    path = tiny_models.save_checkpoint(tmp_path_factory.mktemp("single") / "tiny.safetensors")
    return load_single_file(path, CPU, configuration=configuration)


def pixels(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def told(model: StandaloneModel, *prompts: str) -> Conditioning:
    return encode_prompts(model, prompts, {})


def apart(first: Image.Image, second: Image.Image) -> int:
    """The largest difference of two pictures, 0 … 255."""
    return int(np.abs(np.asarray(first, dtype=int) - np.asarray(second, dtype=int)).max())


def test_a_single_file_gives_the_very_networks_it_was_made_from(model: StandaloneModel) -> None:
    unet, vae = tiny_models.diffusers_parts()
    latents, timesteps, context = torch.randn(2, 4, 4, 4), torch.tensor([10, 900]), told(model, "a dog", "the cat")
    with torch.no_grad():
        assert torch.equal(model.predict(latents, timesteps, context), unet(latents, timesteps, context.context).sample)
        posterior = vae.encode(pixels()).latent_dist
        found = model.encode_images(pixels())
        torch.testing.assert_close(found.mean, posterior.mean * 0.18215)
        torch.testing.assert_close(found.deviation, posterior.std * 0.18215)
        torch.testing.assert_close(model.decode_latents(found.mean), vae.decode(posterior.mean).sample.clamp(-1, 1))
    text = encode_prompts(tiny_models.TinyModel(), ["a dog"], {}, layers=2).context
    assert torch.equal(encode_prompts(model, ["a dog"], {}, layers=2).context, text)


def test_what_a_caller_needs_to_know_is_there(model: StandaloneModel) -> None:
    assert (model.title, model.architecture, model.prediction, model.native_size, model.latent_factor) == (
        "tiny",
        "sd1",
        "epsilon",
        32,
        8,
    )
    assert model.text_encoders[0].name == "clip_l" and model.text_encoders[0].layer_count == tiny_models.LAYERS
    assert len(model.sha256) == 64
    alphas = model.schedule.alphas_cumprod
    assert (
        len(alphas) == 1000
        and float(alphas[0]) == pytest.approx(0.99915)
        and float(alphas[-1]) == pytest.approx(0.00466, rel=1e-3)
    )


def test_gradients_reach_a_new_word_and_no_weight(model: StandaloneModel) -> None:
    vectors = (0.07 * torch.randn(1, tiny_models.WIDTH)).requires_grad_()
    conditioning = encode_prompts(model, ["a zonk"], {"zonk": {"clip_l": vectors}})
    model.predict(torch.randn(1, 4, 4, 4), torch.tensor([500]), conditioning).sum().backward()
    assert vectors.grad is not None and vectors.grad.abs().sum() > 0
    assert not model.text_encoders[0].vocabulary.requires_grad
    for part in (model._unet, model._vae):
        assert not any(weight.requires_grad or weight.grad is not None for weight in part.parameters())


def test_a_diffusers_folder_gives_the_same_pictures_as_the_single_file(model: StandaloneModel, tmp_path: Path) -> None:
    other = load_model(tiny_models.save_folder(tmp_path / "folder"))
    assert other.title == "folder" and other.native_size == model.native_size and other.sha256 != model.sha256
    negative = told(model, "")
    (first,) = model.generate(told(model, "a dog"), negative, SAMPLING, [7])
    (second,) = other.generate(told(other, "a dog"), negative, SAMPLING, [7])
    assert apart(first, second) <= 1


def test_a_seed_gives_its_picture_whatever_else_is_in_the_batch(model: StandaloneModel) -> None:
    dog, negative = told(model, "a dog"), told(model, "")
    alone = model.generate(dog, negative, SAMPLING, [5])[0]
    among = model.generate(dog, negative, SAMPLING, [3, 5, 4])
    assert [picture.size for picture in among] == [(32, 32)] * 3 and among[0].mode == "RGB"
    assert apart(alone, among[1]) <= 1 and apart(alone, among[0]) > 8


def test_pictures_are_made_a_few_at_a_time(model: StandaloneModel, monkeypatch: pytest.MonkeyPatch) -> None:
    dog, negative = told(model, "a dog"), told(model, "")
    at_once = model.generate(dog, negative, SAMPLING, range(5))
    monkeypatch.setattr("pseudoword.hosts.diffusers.DENOISED_PIXELS", 2 * 32 * 32)
    monkeypatch.setattr("pseudoword.hosts.diffusers.DECODED_PIXELS", 1)
    few = model.generate(dog, negative, SAMPLING, range(5))
    assert max(apart(first, second) for first, second in zip(at_once, few, strict=True)) <= 1


def test_each_picture_follows_its_own_prompt(model: StandaloneModel) -> None:
    both = told(model, "a dog", "the house, blue")
    first, second = model.generate(both, told(model, ""), SAMPLING, [5, 5])
    (alone,) = model.generate(told(model, "the house, blue"), told(model, ""), SAMPLING, [5])
    assert apart(second, alone) <= 1 and apart(first, second) > 0


@pytest.mark.parametrize("clip_skip", range(1, tiny_models.LAYERS + 1))
@pytest.mark.parametrize(
    "prompt",
    ["", "a photo of a dog", "Two Cafés, isn't it? (4k:1.2) 日本", "the " * 75],
    ids=["none", "short", "odd", "full"],
)
def test_prompts_are_encoded_as_the_diffusers_pipeline_does(
    prompt: str, clip_skip: int, model: StandaloneModel, configuration: checkpoints.Configuration
) -> None:
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer

    text, tokenizer = tiny_models.text_model(), CLIPTokenizer.from_pretrained(str(configuration.tokenizer))
    unet, vae = tiny_models.diffusers_parts()
    scheduler = DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    pipeline = StableDiffusionPipeline(vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False)
    if not hasattr(text, "text_model"):
        object.__setattr__(
            text, "text_model", text
        )  # diffusers still looks for it there; transformers 5 has it no more
    theirs_skip = clip_skip - 1 or None  # diffusers counts layers left out, A1111 and we count from the end
    theirs, _ = pipeline.encode_prompt(prompt, "cpu", 1, False, clip_skip=theirs_skip)
    assert torch.equal(encode_prompts(model, [prompt], {}, clip_skip).context, theirs)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_sampling_is_that_of_the_diffusers_pipeline(model: StandaloneModel) -> None:
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer

    unet, vae = tiny_models.diffusers_parts()
    scheduler = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True, steps_offset=1
    )
    pipeline = StableDiffusionPipeline(
        vae, tiny_models.text_model(), CLIPTokenizer(), unet, scheduler, None, None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    dog, negative = told(model, "a dog"), told(model, "blurry")
    noise = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(9))
    (theirs,) = pipeline(
        prompt_embeds=dog.context, negative_prompt_embeds=negative.context, latents=noise, height=32, width=32,
        num_inference_steps=6, guidance_scale=4.0,
    ).images  # fmt: skip
    (ours,) = model.generate(dog, negative, Sampling(32, 32, 6, 4.0), [9])
    assert apart(ours, theirs) <= 1


def test_prompts_of_different_length_are_told_apart_as_if_both_were_short(model: StandaloneModel) -> None:
    long = Conditioning(told(model, "a dog").context.repeat(1, 3, 1))
    negative = Conditioning(told(model, "blurry").context.repeat(1, 2, 1))
    (first,) = model.generate(long, negative, SAMPLING, [1])
    (second,) = model.generate(told(model, "a dog"), told(model, "blurry"), SAMPLING, [1])
    assert apart(first, second) <= 1


def test_pictures_need_not_be_square(model: StandaloneModel) -> None:
    (picture,) = model.generate(told(model, "a dog"), told(model, ""), Sampling(48, 32, 2, 1.0), [1])
    assert picture.size == (48, 32)


@pytest.mark.parametrize("sampling", [Sampling(33, 32), Sampling(32, 32, steps=0)])
def test_an_impossible_picture_is_refused(sampling: Sampling, model: StandaloneModel) -> None:
    with pytest.raises(SettingsError, match="not possible"):
        model.generate(told(model, "a dog"), told(model, ""), sampling, [1])


def test_two_prompts_for_three_seeds_are_refused(model: StandaloneModel) -> None:
    with pytest.raises(SettingsError, match="2 prompts.*3 seeds"):
        model.generate(told(model, "a dog", "a cat"), told(model, ""), SAMPLING, [1, 2, 3])


def test_bf16_answers_in_float32_and_nearly_the_same(
    configuration: checkpoints.Configuration, model: StandaloneModel, tmp_path: Path
) -> None:
    path = tiny_models.save_checkpoint(tmp_path / "tiny.safetensors")
    short = load_single_file(path, CPU, torch.bfloat16, configuration)
    vectors = (0.07 * torch.randn(1, tiny_models.WIDTH)).requires_grad_()
    conditioning = encode_prompts(short, ["a zonk"], {"zonk": {"clip_l": vectors}})
    latents, timesteps = torch.randn(1, 4, 4, 4), torch.tensor([500])
    answer = short.predict(latents, timesteps, conditioning)
    answer.sum().backward()
    assert answer.dtype == torch.float32 and vectors.grad is not None and vectors.grad.abs().sum() > 0
    exact = model.predict(latents, timesteps, encode_prompts(model, ["a zonk"], {"zonk": {"clip_l": vectors.detach()}}))
    assert torch.nn.functional.cosine_similarity(answer.detach().flatten(), exact.flatten(), dim=0) > 0.99
