"""`pseudoword train`: pictures to a word."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import SettingsError
from ..training.dataset import find_pictures
from ..training.naming import check_new_word
from ..training.run_folder import RunFolder
from ..training.trainer import TrainingRun
from .console import Console
from .following import follow, usable
from .model_choice import add_clip_flag, add_model_flags, load_chosen_model, load_chosen_scorer
from .setting_flags import add_setting_flags, settings_from
from .words import RUNS, check_is_free

DESCRIPTION = """\
Teach a model a new word from a few pictures (3 to 10 are a good start).

A caption may stand beside a picture, in a text file of the same name: what it says is left out of the new word's
meaning. The run's folder, runs/WORD, gets the word (WORD.safetensors), a curve of its loss and a sheet that shows it.
A run that was interrupted goes on where it was when the same command is given again.
"""

EPILOG = """\
examples:
  {prog} train my-pictures --name my-cat
        the built-in model; CLIP chooses from the pictures which words to start from
  {prog} train my-pictures --name my-cat --model v1-5.safetensors --start "gray cat" --steps 2000
        another model; the start is given in words
  {prog} train paintings --name my-style --templates style --vectors 4 --buckets
        a style, in four vectors, from pictures of any shape
  {prog} train my-pictures --name my-cat --learning-rate "0.005:200, 1e-3:1000"
        a learning rate that falls at step 200
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.usage = f"{parser.prog} IMAGES [IMAGES ...] --name WORD [--model FILE] [--output FOLDER] [settings]"
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGES", help="a folder of pictures, or picture files")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="folder of the run; one with a checkpoint is continued [default: runs/WORD]",
    )
    add_model_flags(parser)
    add_clip_flag(parser)
    add_setting_flags(parser)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Train, and report where the word is and how good it became."""
    settings = settings_from(arguments)
    files = RunFolder(arguments.output or RUNS / settings.name)
    check_is_free(settings.name, files)
    pictures = find_pictures(arguments.images, settings)
    can_choose_words = arguments.clip is not None or arguments.model is None
    if settings.start == "auto" and not can_choose_words and not files.checkpoint.exists():
        raise SettingsError(
            "With --model, nothing can choose the words to start from; say what the pictures show, as in --start cat, "
            "or give a CLIP model with --clip."
        )
    model = load_chosen_model(arguments, console)
    check_new_word(settings.name, model.text_encoders[0].tokenizer, None)  # before the scorer takes its time
    pictures = usable(pictures, settings.size or model.native_size, console)
    training = TrainingRun(model, settings, pictures, files.path, load_chosen_scorer(arguments))
    outcome = follow(training, settings, files, arguments.command_line, console)
    console.result(outcome.values(), f"{outcome.text()}\n{next_step(arguments, settings.name)}")


def next_step(arguments: argparse.Namespace, word: str) -> str:
    """The command that makes a picture with the new word."""
    options = ["--model", str(arguments.model)] if arguments.model is not None else []
    options += ["--embeddings", str(arguments.output)] if arguments.output is not None else []
    return "Try it: " + arguments.as_command(["generate", f"a photo of {word}", *options])
