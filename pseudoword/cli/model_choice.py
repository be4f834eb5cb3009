"""Which model a command works on, on which device, and which CLIP judges its pictures."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..errors import ModelError, SettingsError
from ..hosts.diffusers import StandaloneModel, load_model
from ..training.memory import out_of_memory_as
from .console import Console

if TYPE_CHECKING:
    from ..scoring import ClipScorer


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """`--model` and `--device`."""
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="a Stable Diffusion 1.x checkpoint (.safetensors, .ckpt) or diffusers folder "
        "[default: the built-in model]",
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="{auto,cpu,cuda}",
        help="where it computes [default: a GPU if there is one]",
    )


def add_clip_flag(parser: argparse.ArgumentParser) -> None:
    """`--clip`."""
    parser.add_argument(
        "--clip",
        nargs=2,
        type=Path,
        metavar=("CONFIG", "WEIGHTS"),
        help="an open_clip model (open_clip_config.json and .safetensors) that chooses the start words and measures "
        "likeness and editability [default: the built-in one with the built-in model, none with another model, "
        "whose pictures it would misjudge]",
    )


def check_clip_files(arguments: argparse.Namespace) -> None:
    """Raise ModelError where a file that `--clip` names is not there."""
    for path in arguments.clip or ():
        if not path.is_file():
            raise ModelError(
                f"{str(path)!r}, which is given with --clip, is not a file; give the open_clip_config.json of a model "
                "and its .safetensors."
            )


def load_chosen_model(
    arguments: argparse.Namespace, console: Console, dtype_on_gpu: torch.dtype = torch.float32
) -> StandaloneModel:
    """The model that the flags name, on a GPU in `dtype_on_gpu`.

    Raises ModelError, also for too little memory, MissingExtra, and SettingsError for a device that is not there.
    """
    device = device_of(arguments.device)
    if arguments.model is not None and not arguments.model.exists():
        raise ModelError(
            f"The model {str(arguments.model)!r} does not exist; give the path of a checkpoint or a diffusers folder, "
            "or leave --model out for the built-in model."
        )
    _silence_transformers()
    dtype = dtype_on_gpu if device.type == "cuda" else torch.float32
    with out_of_memory_as(lambda: too_little_memory(device, "this model")):
        model = load_model(arguments.model, device=device, dtype=dtype)
    console.note(f"Model: {model.title}, {model.native_size} pixels, on {device.type}.")
    return model


def too_little_memory(device: torch.device, purpose: str, first_remedy: str = "") -> ModelError:
    """The error that memory on `device` is too little for `purpose`, with what to do about it."""
    remedies = [first_remedy] if first_remedy else []
    remedies += ["end other programs that use the memory"]
    remedies += ["compute on the CPU with --device cpu"] if device.type != "cpu" else []
    where = "on the GPU" if device.type != "cpu" else "here"
    return ModelError(f"There is too little memory {where} for {purpose}; {', or '.join(remedies)}.")


def load_chosen_scorer(arguments: argparse.Namespace) -> ClipScorer | None:
    """The CLIP that `--clip` names; else the built-in one for the built-in model, and none for any other model."""
    from ..scoring import ClipScorer

    device = device_of(arguments.device)
    if arguments.clip is not None:
        with out_of_memory_as(lambda: too_little_memory(device, "this CLIP model")):
            return ClipScorer.load(*arguments.clip, device=device)
    return ClipScorer.builtin(device) if arguments.model is None else None


def device_of(name: str) -> torch.device:
    """The device that `--device` names. Raises SettingsError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    there = {"cpu": True, "cuda": torch.cuda.is_available()}
    if not there.get(name, False):
        choice = ", ".join(device for device, is_there in there.items() if is_there)
        raise SettingsError(f"The device {name!r} is not there; choose one of auto, {choice}.")
    return torch.device(name)


def _silence_transformers() -> None:
    """Without bars of its own, which would come between ours and say nothing."""
    with contextlib.suppress(ImportError):  # whoever needs it says so
        from transformers.utils import logging

        logging.disable_progress_bar()
