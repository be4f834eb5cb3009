"""What every host must keep to, whatever is behind it: the promises of `pseudoword.diffusion.DiffusionModel`.

Each `keeps_…` is given a model and fails where it breaks one. No pytest here: the WebUI's own Python calls these, too.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from pseudoword.diffusion import Conditioning, DiffusionModel, Sampling
from pseudoword.text import encode_prompts

PROMPT = "a photo of a cat"


def latents_for(model: DiffusionModel, count: int = 1) -> Tensor:
    """Fixed noise (count, 4, h, w) for pictures of the model's own size."""
    side = model.native_size // model.latent_factor
    return torch.randn((count, 4, side, side), generator=torch.Generator().manual_seed(1)).to(model.device)


def keeps_its_word_about_itself(model: DiffusionModel) -> None:
    assert len(model.sha256) == 64 and set(model.sha256) <= set("0123456789abcdef") and model.title
    assert model.architecture in ("sd1", "sd2", "sdxl") and model.prediction in ("epsilon", "v")
    assert model.native_size % model.latent_factor == 0 and model.precision in (None, "fp32", "bf16", "fp16")
    kept = model.schedule.alphas_cumprod.tolist()
    assert all(left > right for left, right in pairwise(kept)) and 0 < kept[-1] < kept[0] < 1
    for encoder in model.text_encoders:
        assert encoder.name in ("clip_l", "clip_g", "open_clip_h") and encoder.vocabulary.ndim == 2
        tokens = encoder.tokenizer.tokenize(PROMPT)
        assert tokens and max(tokens) < len(encoder.vocabulary)


def keeps_pictures_through_latents(model: DiffusionModel) -> None:
    side = model.native_size
    pixels = torch.rand((2, 3, side, side), generator=torch.Generator().manual_seed(2)) * 2 - 1
    with model.borrowed():
        encoded = model.encode_images(pixels)
        assert encoded.mean.shape == encoded.deviation.shape == latents_for(model, 2).shape
        assert bool((encoded.deviation >= 0).all()) and encoded.mean.dtype == torch.float32
        decoded = model.decode_latents(encoded.mean)
    assert decoded.shape == pixels.shape and float(decoded.abs().max()) <= 1


def keeps_gradients_to_the_word(model: DiffusionModel) -> None:
    vectors = {
        encoder.name: encoder.vocabulary[5:7].detach().float().cpu().clone().requires_grad_()
        for encoder in model.text_encoders
    }
    with model.borrowed():
        context = encode_prompts(model, ["a photo of zxqv", PROMPT], {"zxqv": vectors})
        assert context.context.dtype == torch.float32 and context.context.shape[1] == 77
        answer = model.predict(latents_for(model, 2), torch.tensor([10, 900]), context)
        assert answer.shape == latents_for(model, 2).shape and answer.dtype == torch.float32
        answer.square().mean().backward()
    for rows in vectors.values():
        assert rows.grad is not None and bool((rows.grad.norm(dim=1) > 0).all())


def keeps_rows_apart(model: DiffusionModel) -> None:
    """What stands beside a row in a batch changes nothing but the last digits."""
    with model.borrowed(), torch.no_grad():
        context = encode_prompts(model, [PROMPT, "snow"], {})
        latents, timesteps = latents_for(model, 2), torch.tensor([100, 600])
        together = model.predict(latents, timesteps, context)
        alone = [model.predict(latents[i : i + 1], timesteps[i : i + 1], row(context, i)) for i in range(2)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-3 * float(together.abs().max()))


def row(conditioning: Conditioning, place: int) -> Conditioning:
    """One row of it."""
    pooled = conditioning.pooled
    return Conditioning(conditioning.context[place : place + 1], None if pooled is None else pooled[place : place + 1])


def keeps_a_seed_to_its_picture(model: DiffusionModel) -> None:
    steps: list[int] = []
    sampling = Sampling(model.native_size, model.native_size, steps=3)
    with model.borrowed():
        told, against = encode_prompts(model, [PROMPT], {}), encode_prompts(model, [""], {})
        both = model.generate(told, against, sampling, [5, 6], lambda: steps.append(1))
        second = model.generate(told, against, sampling, [6])
    assert [picture.size for picture in both] == [(model.native_size,) * 2] * 2 and both[0].mode == "RGB"
    pixels = [picture.tobytes() for picture in (*both, *second)]
    assert pixels[1] == pixels[2] != pixels[0]
    assert len(steps) >= 3, "others are let in between two steps"


def keeps_prompts_of_any_length_together(model: DiffusionModel) -> None:
    """A prompt of two chunks goes with an empty one, as for the preview of a word of many vectors."""
    with model.borrowed():
        told, against = encode_prompts(model, [f"{PROMPT}, " * 30], {}), encode_prompts(model, [""], {})
        assert told.context.shape[1] > against.context.shape[1] == 77
        [picture] = model.generate(told, against, Sampling(model.native_size, model.native_size, steps=1), [5])
    assert picture.size == (model.native_size,) * 2


def keeps_the_way_it_was_found(model: DiffusionModel) -> None:
    def answer() -> Tensor:
        with model.borrowed(), torch.no_grad():
            return model.predict(latents_for(model), torch.tensor([400]), encode_prompts(model, [PROMPT], {}))

    first = answer()
    keeps_gradients_to_the_word(model)
    try:
        with model.borrowed():
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert torch.equal(first, answer())


CONTRACT = [promise for name, promise in globals().items() if name.startswith("keeps_")]
