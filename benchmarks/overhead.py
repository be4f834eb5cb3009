"""How much of training is not the model: the run's steps against bare passes of UNet and text encoder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from pseudoword.text import encode_prompts
from pseudoword.training.captions import OBJECT_TEMPLATES

from .training import Bench, object_folders, train

STEPS, BARE_STEPS = 150, 60
GOAL = 0.10


def measure(bench: Bench, work: Path) -> dict[str, Any]:
    """One run without validation or previews, and bare forward and backward passes of the same size around it."""
    before = bare_step_seconds(bench)
    trained = train(
        bench,
        object_folders()[0],
        work / "overhead",
        steps=STEPS,
        validate_every=0,
        preview_every=0,
        save_every=0,
        early_stop=False,
    )
    bare = (before + bare_step_seconds(bench)) / 2
    phases = trained.phase_seconds
    steps = sum(phases.get(name, 0.0) for name in ("batch", "text encoder", "unet", "optimiser"))
    passes = phases["text encoder"] + phases["unet"]
    whole = train(bench, object_folders()[0], work / "whole", steps=STEPS, early_stop=False)
    seconds = whole.phase_seconds
    return {
        "outside UNet and text encoder, share of a step": round(1 - passes / steps, 4),
        "goal": GOAL,
        "step against bare passes, ratio": round(steps / STEPS / bare, 3),
        "share of a whole run, by what it does": {
            name: round(value / sum(seconds.values()), 3) for name, value in seconds.items()
        },
    }


def bare_step_seconds(bench: Bench, batch: int = 4) -> float:
    """Seconds of the least that a step needs: prompts encoded, UNet forward, gradient back to the word's vector."""
    model = bench.model
    encoder = model.text_encoders[0]
    vector = encoder.vocabulary[:1].clone().requires_grad_()
    side = model.native_size // model.latent_factor
    noisy, timesteps = torch.randn(batch, 4, side, side), torch.randint(0, model.schedule.timesteps, (batch,))
    prompts = [template.replace("[name]", "new-word") for template in OBJECT_TEMPLATES[:batch]]

    def step() -> None:
        conditioning = encode_prompts(model, prompts, {"new-word": {encoder.name: vector}})
        loss = model.predict(noisy, timesteps, conditioning).square().mean()
        torch.autograd.grad(loss, vector)

    step()
    began = time.perf_counter()
    for _ in range(BARE_STEPS):
        step()
    return (time.perf_counter() - began) / BARE_STEPS
