"""`pseudoword train`: pictures to a word."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..embedding import load_embedding
from ..errors import SettingsError, TrainingError
from ..jobs.library.words import RUNS, check_is_free
from ..training.dataset import files_at, files_without, find_pictures
from ..training.naming import check_new_word
from ..training.run_folder import RunFolder
from ..training.settings import TrainSettings
from ..training.trainer import TrainingRun
from ..training.vectors import given_start
from .console import Console
from .earlier_run import check_goes_on, remove_run
from .following import follow, usable
from .model_choice import add_clip_flag, add_model_flags, check_clip_files, load_chosen_model, load_chosen_scorer
from .setting_flags import add_setting_flags, settings_from

DESCRIPTION = """\
Teach a model a new word from a few pictures (3 to 10 are a good start).

A caption may stand beside a picture, in a text file of the same name: what it says is left out of the new word's
meaning. The run's folder, runs/WORD, gets the word (WORD.safetensors), a curve of its loss and a sheet that shows it.
A run that was interrupted goes on from its last checkpoint when the same command is given again; with --restart it is
removed, and the word is learned anew.
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
    parser.add_argument(
        "--restart",
        action="store_true",
        help="remove the run that is in the folder, with its word, and begin anew; other files there stay",
    )
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="FILE",
        help="name of a picture that is not to be learned from, as check proposes; repeatable",
    )
    add_model_flags(parser)
    add_clip_flag(parser)
    add_setting_flags(parser)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Train, and report where the word is and how good it became."""
    settings = settings_from(arguments)
    files = RunFolder(arguments.output or RUNS / settings.name)
    check_is_free(settings.name, files)
    goes_on = files.checkpoint.exists() and not arguments.restart
    check_clip_files(arguments)
    if not goes_on:
        check_start(settings, arguments, files)
    pictures = find_pictures(left_in(arguments), settings)
    model = load_chosen_model(arguments, console)
    check_new_word(settings.name, model.text_encoders[0].tokenizer)  # before the scorer takes its time
    pictures = usable(pictures, settings.size or model.native_size, console)
    if goes_on:
        try:
            check_goes_on(files, model, settings, pictures)
        except TrainingError as error:
            raise TrainingError(f"{error} With --restart that run is removed, and the word is learned anew.") from error
    scorer = load_chosen_scorer(arguments)
    training = TrainingRun(model, settings, pictures, files.path, scorer)
    if arguments.restart:
        given_start(model, settings, scorer)  # whatever is wrong is found while the earlier run is still there
        remove_run(files)
    command_line = arguments.as_command([argument for argument in arguments.given if argument != "--restart"])
    outcome = follow(training, settings, files, command_line, console)
    console.result(outcome.values(), f"{outcome.text()}\n{next_step(arguments, settings.name)}")


def left_in(arguments: argparse.Namespace) -> list[Path]:
    """The files to learn from, without those that `--leave-out` names. Raises DatasetError."""
    found = files_at(arguments.images)
    names = set(arguments.leave_out)
    left_out = [path for path in found if path.name in names]
    strangers = names - {path.name for path in left_out}
    return files_without(arguments.images, [*left_out, *map(Path, sorted(strangers))])


def check_start(settings: TrainSettings, arguments: argparse.Namespace, files: RunFolder) -> None:
    """Raise SettingsError where nothing can choose the start, EmbeddingFileError for a file that is no embedding."""
    if settings.start == "auto" and arguments.model is not None and arguments.clip is None:
        raise SettingsError(
            "With --model, nothing can choose the words to start from; say what the pictures show, as in --start cat, "
            "or give a CLIP model with --clip."
        )
    path = settings.start_file
    if path is not None:
        load_embedding(path)
        if arguments.restart and path.resolve().is_relative_to(files.path.resolve()):
            raise SettingsError(
                f"--restart removes the run in {files.path}, and {path} with it, which the new one is to start from; "
                "copy that file elsewhere first."
            )


def next_step(arguments: argparse.Namespace, word: str) -> str:
    """The command that makes a picture with the new word."""
    options = ["--model", str(arguments.model)] if arguments.model is not None else []
    options += ["--embeddings", str(arguments.output)] if arguments.output is not None else []
    return "Try it: " + arguments.as_command(["generate", f"a photo of {word}", *options])
