"""Which CLIP model scores pictures: one that is named, or the best on this disk."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..scoring.downloading import download
from ..scoring.models import (
    BUILT_IN_KNOWS,
    ClipModel,
    choose_default,
    load_model,
    models_here,
    named,
    pretrained_models,
)
from ..training.memory import out_of_memory_as
from .console import Console
from .model_choice import check_clip_files, device_of, too_little_memory

if TYPE_CHECKING:
    from ..scoring import ClipScorer


BETTER = "--list-clips shows better ones, and --download-clip fetches one"


def add_clip_flags(parser: argparse.ArgumentParser) -> None:
    """`--clip`, `--clip-name`, `--clip-place`, `--list-clips`, `--download-clip` and `--device`."""
    parser.add_argument(
        "--clip", nargs=2, type=Path, metavar=("CONFIG", "WEIGHTS"), help="open_clip_config.json and its weights"
    )
    parser.add_argument("--clip-name", metavar="NAME", help="a model that --list-clips shows")
    parser.add_argument(
        "--clip-place", action="append", default=[], type=Path, metavar="PLACE", help="look for CLIP models here, too"
    )
    parser.add_argument("--list-clips", action="store_true", help="show which CLIP models there are, and do no more")
    parser.add_argument("--download-clip", metavar="NAME", help="fetch a model that is not here, and do no more")
    parser.add_argument(
        "--device", default="auto", metavar="{auto,cpu,cuda}", help="where it computes [default: a GPU if there is one]"
    )


def answered_about_clips(arguments: argparse.Namespace, console: Console) -> bool:
    """Do what `--list-clips` or `--download-clip` asks for; whether one of them did."""
    if arguments.list_clips:
        list_clips(arguments, console)
    elif arguments.download_clip is not None:
        fetch_clip(arguments, console)
    else:
        return False
    return True


def list_clips(arguments: argparse.Namespace, console: Console) -> None:
    """All models: those on this disk, then those that would have to be downloaded."""
    here = models_here(arguments.clip_place)
    default = choose_default(here)
    rest = [model for model in pretrained_models() if model.weights is None]
    values = [{**as_values(model), "default": model == default} for model in [*here, *rest]]
    lines = [f"{model.name}{' (the default)' if model == default else ''}: {described(model)}" for model in here]
    lines += ["", "To be downloaded with --download-clip NAME:", *(f"  {model.name}" for model in rest)]
    console.result({"models": values}, "\n".join(lines))


def fetch_clip(arguments: argparse.Namespace, console: Console) -> None:
    """Download the model that `--download-clip` names."""
    model = named(arguments.download_clip, pretrained_models())
    if model.weights is None:
        console.note(f"Downloading {model.name} …")
        model = download(model)
    console.result(as_values(model), f"{model.name}: {described(model)}")


def as_values(model: ClipModel) -> dict[str, object]:
    """What a program reads of a model."""
    facts = {"name": model.name, "origin": model.origin, "bytes": model.size_bytes, "problem": model.problem}
    return {**facts, "weights": None if model.weights is None else str(model.weights)}


def described(model: ClipModel) -> str:
    """Where a model is, and how large, in a few words."""
    size = "" if model.size_bytes is None else f", {model.size_bytes / 2**20:.0f} MB"
    problem = f"; cannot be used: {model.problem}" if model.problem else ""
    return f"{model.origin}{size}{problem}"


def load_clip(arguments: argparse.Namespace, console: Console) -> ClipScorer:
    """The scorer that the flags name, or the best on this disk; says which it is. Raises ModelError, SettingsError."""
    from ..scoring import ClipScorer

    if arguments.clip is not None and arguments.clip_name is not None:
        raise SettingsError("--clip and --clip-name both name a model; give one of them.")
    check_clip_files(arguments)
    device = device_of(arguments.device)
    with out_of_memory_as(lambda: too_little_memory(device, "this CLIP model")):
        if arguments.clip is not None:
            scorer, why = ClipScorer.load(*arguments.clip, device=device), "the one you gave"
        else:
            here = models_here(arguments.clip_place)
            if arguments.clip_name is not None:
                model, why = named(arguments.clip_name, [*here, *pretrained_models()]), "the one you named"
            else:
                model = choose_default(here)
                alone = f"since there is no other on this disk. {BUILT_IN_KNOWS}; {BETTER}"
                why = alone if model.origin == "built in" else "the largest on this disk; --list-clips shows all"
            scorer = load_model(model, device)
    console.note(f"CLIP model: {scorer.title}, {why}.")
    return scorer
