"""The training loop that all three parts share: averaged weights, a schedule by the clock, resumable at any moment."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

SAVE_EVERY_S = 180
LOG_EVERY = 50


def learning_rate(step: int, fraction: float, peak: float, warmup: int = 200) -> float:
    """Linear warm-up over steps, then a cosine over the `fraction` of time spent, down to a fiftieth of `peak`."""
    return peak * min(1.0, (step + 1) / warmup) * (0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, fraction))))


def train(
    name: str,
    model: nn.Module,
    loss_at: Callable[[int, float], tuple[Tensor, dict[str, float]]],
    work: Path,
    *,
    minutes: float,
    peak_rate: float,
    weight_decay: float = 0.01,
    averaging: float = 0.999,
    on_save: Callable[[nn.Module, int], str],
) -> None:
    """Train `model` for `minutes` of computing time and leave its averaged weights in `work/{name}.pt`.

    Only weights that require gradients learn. `loss_at(step, fraction)` gives the loss and figures to print; it draws
    everything random from `step` and is told which fraction of the time is over. The learning rate follows the clock
    rather than a count of steps, so that the schedule ends in time on any machine. Killed and called again, it goes on
    from its last save.
    """
    save_file = work / f"{name}.pt"
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=peak_rate, weight_decay=weight_decay, betas=(0.9, 0.98), fused=True)
    averaged = {key: value.detach().clone() for key, value in model.state_dict().items()}
    step, done_s = 0, 0.0
    if save_file.exists():
        saved = torch.load(save_file, weights_only=True)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        averaged, step, done_s = saved["averaged"], saved["step"], saved["seconds"]
    saved_at = time.monotonic()

    def save() -> None:
        nonlocal saved_at
        state = {"model": model.state_dict(), "averaged": averaged, "optimiser": optimiser.state_dict()}
        torch.save(state | {"step": step, "seconds": done_s}, save_file.with_suffix(".tmp"))
        os.replace(save_file.with_suffix(".tmp"), save_file)
        saved_at = time.monotonic()
        print(f"{name} saved at step {step}: {with_averaged(model, averaged, on_save, step)}", flush=True)

    running: dict[str, float] = {}
    while done_s < minutes * 60:
        began = time.monotonic()
        fraction = done_s / (minutes * 60)
        rate = learning_rate(step, fraction, peak_rate)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, figures = loss_at(step, fraction)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        keep = min(averaging, (1 + step) / (10 + step))
        with torch.no_grad():
            for key, value in model.state_dict().items():
                if value.is_floating_point():
                    averaged[key].lerp_(value, 1 - keep)
        for key, value in (figures | {"loss": float(loss.detach())}).items():
            running[key] = 0.95 * running.get(key, value) + 0.05 * value
        step += 1
        done_s += min(time.monotonic() - began, 30.0)
        if step % LOG_EVERY == 0:
            shown = " ".join(f"{key} {value:.4f}" for key, value in running.items())
            print(f"{name} step {step} {done_s / 60:.1f} min rate {rate:.2e} {shown}", flush=True)
        if time.monotonic() - saved_at > SAVE_EVERY_S:
            save()
    save()


def with_averaged(
    model: nn.Module, averaged: dict[str, Tensor], report: Callable[[nn.Module, int], str], step: int
) -> str:
    """What `report` says of `model` while it carries its averaged weights."""
    current = {key: value.detach().clone() for key, value in model.state_dict().items()}
    model.load_state_dict(averaged)
    model.eval()
    try:
        with torch.no_grad():
            return report(model, step)
    finally:
        model.train()
        model.load_state_dict(current)


def load_averaged(name: str, model: nn.Module, work: Path) -> nn.Module:
    """`model` with the averaged weights of `work/{name}.pt`, frozen and ready to use."""
    model.load_state_dict(torch.load(work / f"{name}.pt", weights_only=True)["averaged"])
    return model.eval().requires_grad_(False)
