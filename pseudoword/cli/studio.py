"""`pseudoword studio`: the panels in the browser."""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..diffusion import LoadedEncoders
from ..errors import MissingExtra, SettingsError
from ..hosts.vocabularies import read_vocabularies, vocabulary_widths
from ..jobs.host import Host, Shelf
from ..jobs.job_board import JobBoard
from ..jobs.layers.checkpoint_layers import FILE as CHECKPOINT_LAYERS
from ..jobs.layers.checkpoint_layers import CheckpointLayers
from ..jobs.layers.remembered_layers import wanted_clip_skip
from ..jobs.library.inspector import Inspector
from ..jobs.library.words import RUNS, trained_words
from ..jobs.scoring.clip_models import ClipModels, given_model
from ..jobs.scoring.scorings import Scorings
from ..jobs.server.server_log import logging_to
from ..jobs.training.trainings import Trainings
from ..jobs.turns import Turns
from ..scoring.models import ClipModel
from .console import Console
from .feature_cache_choice import default_cache
from .model_choice import add_clip_flag, add_model_flags, check_clip_files, load_chosen_model, load_chosen_scorer
from .people_flags import add_people_flags, chosen_people

if TYPE_CHECKING:
    from fastapi import FastAPI

DESCRIPTION = """\
Open a page in the browser where words are taught, watched while they are learned, and used.

Words and runs are those of the command line, in runs/. The page is for this computer alone unless --address says
otherwise. Ctrl-C ends the studio; a training is saved, and can go on the next time.
"""

EPILOG = """\
examples:
  {prog} studio
  {prog} studio --model v1-5.safetensors --port 8000
"""

FIRST_PORT, PORTS_TRIED = 7861, 20
CHECKPOINT_SUFFIXES, MODEL_INDEX = (".safetensors", ".ckpt"), "model_index.json"
LIBRARY_CACHE = ".library.sqlite3"
GOODBYE_S = 3  # for answers that are under way when the studio ends


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    add_model_flags(parser)
    add_clip_flag(parser)
    parser.add_argument("--port", type=int, metavar="N", help=f"[default: {FIRST_PORT}, or the next that is free]")
    parser.add_argument(
        "--address",
        default="127.0.0.1",
        help="address to listen at; 0.0.0.0 lets others in, who may name no folder but those of --folder "
        "[default: 127.0.0.1]",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FOLDER",
        help="folders whose pictures and files may be named on the page [default: any; where others come in, with "
        "--address, --proxied or --login, none]",
    )
    parser.add_argument(
        "--embeddings",
        type=Path,
        nargs="+",
        default=(),
        metavar="FOLDER",
        help="folders of embeddings to look into, too",
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        nargs="+",
        default=(),
        metavar="FOLDER",
        help="folders of checkpoints whose vocabularies embeddings of other models are compared with",
    )
    parser.add_argument(
        "--pictures", type=Path, nargs="+", default=(), metavar="FOLDER", help="folders of pictures to search"
    )
    parser.add_argument(
        "--clip-place",
        action="append",
        default=[],
        type=Path,
        metavar="PLACE",
        help="look here, too, for CLIP models to score and search pictures with",
    )
    parser.add_argument(
        "--fetch-urls",
        action="store_true",
        help="let the page name pictures to score by their address on the internet; this computer and local networks "
        "are never asked",
    )
    add_people_flags(parser)
    parser.add_argument("--no-browser", action="store_true", help="open no browser")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Serve until Ctrl-C."""
    check_clip_files(arguments)
    people = chosen_people(arguments)
    try:
        from ..studio import STYLE, make_app
    except ImportError as error:
        raise MissingExtra(error.name or "gradio", "studio") from error
    if not STYLE.is_file():
        raise SettingsError("The studio needs files of the repository; clone it, and call: python run.py studio")
    listening = listen(arguments.address, arguments.port)
    model, scorer = load_chosen_model(arguments, console), load_chosen_scorer(arguments)
    runs = RUNS.resolve()
    layers = CheckpointLayers(runs / CHECKPOINT_LAYERS)
    encoders = LoadedEncoders(model.title, model.sha256, model.architecture, model.text_encoders)
    turns = Turns()
    host = Host(
        lambda: model,
        lambda: scorer,
        turns,
        runs,
        defaults=lambda: wanted_clip_skip(layers, model.sha256),
        words=lambda: {word.name: word.path for word in trained_words(runs)},
        encoders=lambda: encoders,
        library=lambda: [*arguments.embeddings, *(word.path for word in trained_words(runs))],
        library_cache=runs / LIBRARY_CACHE,
        shelf=Shelf(lambda: checkpoints_in(arguments.checkpoints), vocabulary_widths, read_vocabularies),
        word_place=lambda name: runs / name / f"{name}.safetensors",
        checkpoint_layers=layers,
        checkpoint=lambda: (model.sha256, model.title),
        folders=readable_folders(arguments, people.is_alone),
        may_fetch=arguments.fetch_urls,
        features=default_cache(),
        outputs=lambda: arguments.pictures,
        people=people.told_apart,
        limits=people.limits,
        resumes=arguments.resume,
        cpu_jobs=arguments.cpu_jobs,
        clips=ClipModels(turns, lambda: arguments.clip_place, lambda: given_clips(arguments), lambda: model.device),
    )
    board = JobBoard(host)
    trainings, inspector, scorings = Trainings(host, board), Inspector(host, board), Scorings(host, board)
    with logging_to(runs, host.measures):
        trainings.open()
        app = make_app(trainings, inspector, scorings, model.title, people.logins, people.is_alone)
        serve(app, listening, arguments, console)
        saved = trainings.end()
        inspector.strips.end()
        scorings.end()
        for name in saved:
            console.note(f"The training of {name} is saved; the studio can go on with it.")
    console.result({}, "The studio is closed.")


def readable_folders(arguments: argparse.Namespace, is_alone: bool) -> list[Path] | None:
    """The folders that may be named on the page, None for any. Raises SettingsError for one that is not there."""
    for folder in arguments.folder or ():
        if not folder.is_dir():
            raise SettingsError(f"{str(folder)!r}, which is given with --folder, is no folder.")
    if arguments.folder is None and is_alone:
        return None
    return [folder.resolve() for folder in arguments.folder or ()]


def checkpoints_in(folders: Sequence[Path]) -> list[Path]:
    """The checkpoint files in `folders`, and the folders there in which diffusers keeps one; the newest first."""
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    found = [path for path in found if path.suffix.lower() in CHECKPOINT_SUFFIXES or (path / MODEL_INDEX).is_file()]
    return sorted(found, key=lambda path: -path.stat().st_mtime)


def given_clips(arguments: argparse.Namespace) -> list[ClipModel]:
    """The CLIP model that `--clip` names."""
    return [given_model(*arguments.clip)] if arguments.clip else []


def serve(app: FastAPI, listening: socket.socket, arguments: argparse.Namespace, console: Console) -> None:
    """Serve `app` on the socket `listening` until Ctrl-C."""
    from uvicorn import Config, Server

    shown = "127.0.0.1" if arguments.address == "0.0.0.0" else arguments.address
    address = f"http://{shown}:{listening.getsockname()[1]}"
    console.note(f"The studio is at {address} (Ctrl-C ends it).")
    if not arguments.no_browser:
        threading.Timer(1.0, webbrowser.open, [address]).start()
    with contextlib.suppress(KeyboardInterrupt):  # raised once more after all connections are closed
        # A page that is open somewhere keeps a connection, which would never end by itself.
        Server(Config(app, log_level="warning", timeout_graceful_shutdown=GOODBYE_S)).run([listening])


def listen(address: str, port: int | None) -> socket.socket:
    """A socket at `port`, or at the first free one. Raises SettingsError where there is none."""
    tried = range(FIRST_PORT, FIRST_PORT + PORTS_TRIED) if port is None else (port,)
    for number in tried:
        try:
            return socket.create_server((address, number))
        except (OSError, OverflowError) as error:
            problem = error
    reason = getattr(problem, "strerror", None) or problem
    raise SettingsError(f"The studio cannot listen at {address}, port {tried[-1]} ({reason}); give another --port.")
