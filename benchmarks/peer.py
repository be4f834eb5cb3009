"""Against the procedure of diffusers' own textual-inversion example: same model, pictures, prompts and clock.

The procedure, not the script: each step encodes the pictures anew, draws timesteps independently, gives all rows of
the vocabulary a gradient and puts all but the new one back. It starts from a word that a person would give; AdamW,
constant rate, what the example's documentation recommends. Both learn one vector from batches of four.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from pseudoword import builtin
from pseudoword.scoring import ClipScorer
from pseudoword.training.captions import OBJECT_TEMPLATES
from pseudoword.training.conditioning import PromptEncoder
from pseudoword.training.dataset import PictureSet, find_pictures
from pseudoword.training.denoiser import Denoiser
from pseudoword.training.events import StepDone, Validated
from pseudoword.training.latents import encode_pictures
from pseudoword.training.lesson import Lesson
from pseudoword.training.precision import choose_precision
from pseudoword.training.settings import TrainSettings
from pseudoword.training.stopwatch import Stopwatch
from pseudoword.training.trainer import TrainingRun

from .training import PICTURES, Bench

OBJECTS = {"shark": "fish", "printer": "machine"}
STEPS, VALIDATE_EVERY = 300, 25
PEER_RATE, PEER_WEIGHT_DECAY, BATCH = 0.002, 0.01, 4  # 5e-4 scaled by the batch, as the example scales it


def measure(bench: Bench, work: Path) -> dict[str, Any]:
    """Seconds until each reaches the loss that the slower one ends at best, on the same fixed validation inputs."""
    result: dict[str, Any] = {}
    ratios: list[float] = []
    for name, word in OBJECTS.items():
        ours, peer = curve_of_ours(bench, PICTURES / name, work / name), curve_of_peer(bench, PICTURES / name, word)
        mark = max(min(loss for _, loss in ours), min(loss for _, loss in peer))
        ours_s, peer_s = seconds_to(ours, mark), seconds_to(peer, mark)
        ratios.append(peer_s / ours_s)
        result[name] = {
            "loss both reach": round(mark, 5),
            "ours, seconds": round(ours_s, 1),
            "diffusers' procedure, seconds": round(peer_s, 1),
            "ours, best loss": round(min(loss for _, loss in ours), 5),
            "diffusers' procedure, best loss": round(min(loss for _, loss in peer), 5),
        }
        print(name, result[name], flush=True)
    return {"times as fast to the same loss, geometric mean": round(geometric_mean(ratios), 2), "objects": result}


Curve = list[tuple[float, float]]
"""Seconds of training, validations not counted, and the validation loss then."""


def seconds_to(curve: Curve, mark: float) -> float:
    """When `curve` first was at or below `mark`."""
    return next(seconds for seconds, loss in curve if loss <= mark)


def settings_for(source: Path) -> TrainSettings:
    """Default settings but for a fixed length, and no previews."""
    return TrainSettings(
        name=f"new-{source.name}", steps=STEPS, validate_every=VALIDATE_EVERY, preview_every=0, early_stop=False
    )


def curve_of_ours(bench: Bench, source: Path, folder: Path) -> Curve:
    """A run of Pseudoword; its preparation (latents, choice of the start word) counts."""
    settings = settings_for(source)
    scorer = ClipScorer.builtin()  # a fresh one, which has not yet seen the vocabulary
    run = TrainingRun(bench.model, settings, find_pictures(source, settings), folder, scorer)
    curve, seconds = [], 0.0
    for event in run.events():
        if isinstance(event, StepDone):
            seconds += event.seconds
        elif isinstance(event, Validated):
            curve.append((seconds + run.phase_seconds["preparation"], event.loss))
    return curve


def curve_of_peer(bench: Bench, source: Path, word: str) -> Curve:
    """The procedure on diffusers' own pipeline of the same checkpoint; loading it does not count."""
    from diffusers import DDPMScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_single_file(
        str(builtin.CHECKPOINT), config=str(builtin.CONFIG_FOLDER), local_files_only=True, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    tokenizer, text, unet, vae = pipeline.tokenizer, pipeline.text_encoder, pipeline.unet, pipeline.vae
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    name = "pseudoword-peer"
    start = tokenizer.encode(word, add_special_tokens=False)[0]
    tokenizer.add_tokens(name)
    new = tokenizer.convert_tokens_to_ids(name)
    text.resize_token_embeddings(len(tokenizer))
    vae.requires_grad_(False)
    unet.requires_grad_(False)
    text.requires_grad_(False)
    vocabulary = text.get_input_embeddings().weight.requires_grad_(True)
    vocabulary.data[new] = vocabulary.data[start]
    kept = vocabulary.detach().clone()
    others = torch.arange(len(vocabulary)) != new
    optimiser = torch.optim.AdamW([vocabulary], lr=PEER_RATE, weight_decay=PEER_WEIGHT_DECAY)

    settings = settings_for(source)
    pictures = find_pictures(source, settings)
    size = bench.model.native_size
    pixels = [to_pixels(picture.load(), size) for picture in pictures.pictures]
    judge = FixedInputs(bench, settings, pictures)
    random.seed(0)
    torch.manual_seed(0)
    curve = [(0.0, judge.loss(vocabulary.detach()[new : new + 1]))]
    seconds = 0.0
    for step in range(1, STEPS + 1):
        began = time.perf_counter()
        batch = torch.stack(random.choices(pixels, k=BATCH))
        prompts = [random.choice(OBJECT_TEMPLATES).replace("[name]", name) for _ in range(BATCH)]
        tokens = tokenizer(prompts, padding="max_length", truncation=True, max_length=77, return_tensors="pt").input_ids
        latents = vae.encode(batch).latent_dist.sample().detach() * vae.config.scaling_factor
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (BATCH,))
        noisy = scheduler.add_noise(latents, noise, timesteps)
        predicted = unet(noisy, timesteps, text(tokens)[0]).sample
        F.mse_loss(predicted, noise).backward()
        optimiser.step()
        optimiser.zero_grad()
        with torch.no_grad():
            vocabulary[others] = kept[others]
        seconds += time.perf_counter() - began
        if step % VALIDATE_EVERY == 0:
            curve.append((seconds, judge.loss(vocabulary.detach()[new : new + 1])))
    return curve


def to_pixels(picture: Image.Image, size: int) -> torch.Tensor:
    """RGB pixels (3, size, size) in [-1, 1]."""
    resized = np.asarray(picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(resized.copy()).permute(2, 0, 1).float() / 127.5 - 1


class FixedInputs:
    """The validation set that a run of Pseudoword on the same pictures has."""

    def __init__(self, bench: Bench, settings: TrainSettings, pictures: PictureSet) -> None:
        dataset = encode_pictures(bench.model, pictures, settings)
        self._validation_set = Lesson(bench.model, settings, dataset).validation_set
        self._encoder = bench.model.text_encoders[0].name
        prompts = PromptEncoder(bench.model, settings.name, settings.clip_skip)
        precision = choose_precision(settings.precision, bench.model)
        self._denoiser = Denoiser(bench.model, prompts, precision, settings.batch, Stopwatch(), lambda _: None)

    def loss(self, vector: torch.Tensor) -> float:
        """The validation loss with `vector` (1, D) as the word's."""
        return self._validation_set.loss(self._denoiser, {self._encoder: vector})
