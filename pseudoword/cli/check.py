"""`pseudoword check`: which pictures of a training set to look at again before anything is learned from them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ..embedding.metadata import encodable
from ..errors import DatasetError, SettingsError
from ..jobs.host import Host
from ..jobs.library.words import RUNS
from ..jobs.scoring.clip_models import ClipModels, given_model
from ..jobs.set_check.set_check_job import SetCheckJob, SetCheckWatched
from ..jobs.set_check.set_check_request import CheckRequest
from ..jobs.set_check.set_checks import SetChecks
from ..jobs.strips.strip_job import picture_in
from ..jobs.turns import Turns
from ..jobs.watched_job import ENDED
from ..training.contact_sheet import png_bytes
from ..training.contact_sheet import row_of as row_of_pictures
from ..training.set_check import Checked, checked_json
from ..training.settings import TrainSettings
from .console import Console
from .feature_cache_choice import default_cache
from .interruption import Stopped, deferred
from .model_choice import add_clip_flag, add_model_flags, check_clip_files, load_chosen_model

DESCRIPTION = """\
Look at training pictures before a word is learned from them: which don't belong, are nearly the same, blurred or too
small, which captions don't fit their picture, and how much the VAE loses of each. Nothing is changed; the last line
says how to leave out what is proposed.
"""

EPILOG = """\
examples:
  {prog} check my-pictures
  {prog} check my-pictures --model v1-5.safetensors --clip-name ViT-B-32:laion2b_s34b_b79k --sheets looked-at
  {prog} check my-pictures --no-round-trip --json

exit codes, besides the usual ones:
  3    it was checked, and there are pictures to be left out, or files that cannot be used
"""

DOUBTFUL = 3
LOOK_AGAIN_S = 0.1
COLUMNS = (
    "edges: spread of the clearest edges in pixels of the training; VAE dB: PSNR after its round trip; cosine: of CLIP "
    "with the other pictures, and with the caption."
)
ANY_NAME = "new-word"  # what a check is made for needs no name yet


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("images", nargs="+", type=Path, metavar="DIR", help="a folder of pictures, or picture files")
    parser.add_argument("--size", type=int, metavar="N", help="side of a training picture [default: the model's]")
    parser.add_argument(
        "--templates", default="object", metavar="NAME", help="as for train; a file's take captions from file names"
    )
    parser.add_argument("--crop", choices=("center", "random", "none"), default="center", help="as for train")
    parser.add_argument("--buckets", action="store_true", help="as for train: keep about the aspect ratio")
    parser.add_argument("--no-round-trip", action="store_true", help="leave out the VAE, which takes longest")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER", help="write each picture and what the VAE makes of it")
    add_model_flags(parser)
    add_clip_flag(parser)
    parser.add_argument("--clip-name", default="", metavar="NAME", help="a model that score --list-clips shows")
    parser.add_argument(
        "--clip-place", action="append", default=[], type=Path, metavar="PLACE", help="look for CLIP models here, too"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Check the pictures; returns the exit code."""
    check_clip_files(arguments)
    if arguments.clip and arguments.clip_name:
        raise SettingsError("--clip and --clip-name both name a model; give one of them.")
    given = ("size", "templates", "crop", "buckets")
    settings = TrainSettings.from_dict({"name": ANY_NAME, **{name: getattr(arguments, name) for name in given}})
    model = load_chosen_model(arguments, console)
    turns = Turns()
    clips = ClipModels(
        turns,
        lambda: arguments.clip_place,
        lambda: [given_model(*arguments.clip)] if arguments.clip else [],
        lambda: model.device,
    )
    checks = SetChecks(Host(lambda: model, lambda: None, turns, RUNS, features=default_cache(), clips=clips))
    request = CheckRequest(
        tuple(arguments.images), settings, clip=arguments.clip_name, round_trips=not arguments.no_round_trip
    )
    job = checks.start(request)
    watched = waited_for(job, console)
    if arguments.sheets is not None:
        write_sheets(job, watched, arguments.sheets)
    report(watched, arguments, console)
    return DOUBTFUL if watched.skipped or any(one.leaves_out for one in watched.checked) else 0


def waited_for(job: SetCheckJob, console: Console) -> SetCheckWatched:
    """The job at its end; raises Stopped after Ctrl-C, and the error that it ended with."""
    with deferred(lambda: console.note("Stopping; Ctrl-C once more stops at once.")) as interrupted:
        shown = 0
        while True:
            watched = job.watch()
            if watched.done > shown and watched.state not in ENDED:
                shown = watched.done
                console.progress(watched.done // 3, watched.total // 3, watched.seconds_left)
            if watched.state in ENDED:
                break
            if interrupted():
                job.cancel()
            time.sleep(LOOK_AGAIN_S)
    job.wait()
    if watched.state == "cancelled":
        raise Stopped("Stopped; nothing was changed.")
    if watched.state == "failed":
        raise DatasetError(watched.message)
    return watched


def report(watched: SetCheckWatched, arguments: argparse.Namespace, console: Console) -> None:
    """What was found: a table with sentences for people, values for programs."""
    values = {
        "size": watched.size,
        "clip": watched.clip,
        "remarks": list(watched.remarks),
        "pictures": [checked_json(one) for one in watched.checked],
        "skipped": [{"name": one.path.name, "reason": one.reason} for one in watched.skipped],
    }
    lines = [f"  {'picture':28} {'pixels':>11} {'edges':>6} {'VAE dB':>6} {'cosine':>6} {'caption':>7}"]
    for one in watched.checked:
        lines += row_of(one)
    lines += [f"x {one.path.name}: {one.reason}." for one in watched.skipped]
    lines += ["", *watched.remarks, COLUMNS]
    proposed = [one.measured.picture.path.name for one in watched.checked if one.leaves_out]
    if proposed:
        names = [word for name in proposed for word in ("--leave-out", name)]
        told = arguments.as_command(["train", *map(str, arguments.images), "--name", "WORD", *names])
        lines.append(f"! is proposed to be left out: {told}")
    else:
        lines.append("No picture is proposed to be left out.")
    console.result(values, "\n".join(lines))


def row_of(one: Checked) -> list[str]:
    """One picture's line, and what was found below it."""
    measured, own, fit = one.measured, one.belonging, one.caption
    picture = measured.picture
    mark = "!" if one.leaves_out else "?" if one.findings else " "
    figures = [
        f"{picture.width} × {picture.height}".rjust(11),
        *(
            "-".rjust(width) if value is None else f"{value:{width}.{digits}f}"
            for value, width, digits in (
                (measured.spread, 6, 1),
                (measured.psnr, 6, 1),
                (None if own is None else own.with_others, 6, 2),
                (None if fit is None else fit.cosine, 7, 2),
            )
        ),
    ]
    name = encodable(picture.path.name)
    return [f"{mark} {name:28} {' '.join(figures)}", *(f"      {finding.sentence}" for finding in one.findings)]


def write_sheets(job: SetCheckJob, watched: SetCheckWatched, folder: Path) -> None:
    """Each picture as it is trained and, beside it, what the VAE makes of it, as PNG files in `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(watched.checked):
            pair = [picture_in(png) for png in (job.original(number), job.round_trip(number)) if png is not None]
            sheet = row_of_pictures(pair, max(pair[0].size))
            (folder / f"{number + 1:03}-{one.measured.picture.path.stem}.png").write_bytes(png_bytes(sheet))
    except OSError as problem:
        raise SettingsError(
            f"The pictures could not be written to {str(folder)!r} ({problem.strerror}); name another folder."
        ) from problem
