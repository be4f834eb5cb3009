"""`pseudoword search`: the pictures of a folder that show what one writes, or that are like another picture."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..decoding import load_picture
from ..embedding.metadata import encodable
from ..errors import DatasetError, SettingsError
from ..jobs.search.search_question import Question
from ..scoring.clip import IMAGES_AT_ONCE
from ..scoring.folder import middle_of
from ..scoring.index_update import bring_up_to_date
from ..scoring.picture_index import Found, PictureIndex
from ..training.memory import out_of_memory_as
from .clip_choice import add_clip_flags, answered_about_clips, load_clip
from .console import Console
from .feature_cache_choice import add_cache_flag, cache_of, default_cache
from .interruption import Stopped, deferred
from .model_choice import device_of, too_little_memory

if TYPE_CHECKING:
    from torch import Tensor

    from ..scoring import ClipScorer

DESCRIPTION = """\
Find pictures in folders, and below, by what they show: those that fit a text best, or are most like another picture
(--like), or with neither the latest. The first time all pictures are read, which takes a while and can be ended with
Ctrl-C; from then on only what is new. The index stays on this disk. No model is downloaded unless --download-clip asks.
"""

EPILOG = """\
examples:
  {prog} search outputs "a castle by a lake at night"
  {prog} search outputs --like castle.png --count 50
  {prog} search outputs "a portrait" --checkpoint "dreamer [abc123]" --least 25 --since 2024-05-01
"""

PROGRESS_EVERY_S = 0.2
MOST = 5000
PLACE = "picture-index"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="the folder with the pictures")
    parser.add_argument("text", nargs="?", default="", metavar="TEXT", help="what the pictures are to show")
    parser.add_argument("--like", type=Path, metavar="FILE", help="a picture to find others like it")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="how many pictures [default: 20]")
    parser.add_argument(
        "--since", default="", metavar="DAY", help="only those changed on this day or later: 2024-05-31"
    )
    parser.add_argument("--until", default="", metavar="DAY", help="only those changed on this day or before")
    parser.add_argument("--checkpoint", default="", metavar="NAME", help="only those made with it: name [hash]")
    parser.add_argument("--least", type=float, metavar="SCORE", help="only those that fit their own prompts this well")
    parser.add_argument("--most", type=float, metavar="SCORE", help="only those that fit them no better")
    parser.add_argument("--words", default="", metavar="WORDS", help="only those with all these words in their prompts")
    parser.add_argument("--as-it-is", action="store_true", help="search the index without looking for new pictures")
    parser.add_argument("--index", type=Path, metavar="FOLDER", help="where indexes are kept [default: one for you]")
    add_cache_flag(parser)
    add_clip_flags(parser)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Search, or do the other thing that is asked for."""
    if not answered_about_clips(arguments, console):
        search(arguments, console)


def search(arguments: argparse.Namespace, console: Console) -> None:
    """Bring the index up to date, and look into it. Raises SettingsError for flags that do not go together."""
    if arguments.folder is None or not arguments.folder.is_dir():
        named = "" if arguments.folder is None else f"{encodable(str(arguments.folder))!r} is no folder; "
        raise SettingsError(f"{named or 'There is nothing to search; '}name a folder with pictures.")
    if arguments.text and arguments.like is not None:
        raise SettingsError("A text and --like are two ways to say what is looked for; give one of them.")
    if not 1 <= arguments.count <= MOST:
        raise SettingsError(f"--count is {arguments.count}; it can be 1 to {MOST}.")
    roots = (str(arguments.folder.resolve()),)
    wanted = Question(
        since=arguments.since,
        until=arguments.until,
        checkpoint=arguments.checkpoint,
        least=arguments.least,
        most=arguments.most,
        words=arguments.words,
    ).wanted(roots)
    cache = cache_of(arguments)
    scorer = load_clip(arguments, console)
    place = (arguments.index or default_cache().parent / PLACE) / scorer.identity[:16]
    device = device_of(arguments.device)
    with (
        out_of_memory_as(lambda: too_little_memory(device, "searching with this CLIP model")),
        PictureIndex(place, scorer.identity, scorer.width) as index,
    ):
        feature = feature_of(arguments, scorer, console)
        if not arguments.as_it_is:
            bring(index, roots, scorer, cache, arguments, console)
        found = index.find(feature, wanted, arguments.count)
        for folder, name, why in index.unreadable(roots):
            console.warn(f"{encodable(str(Path(folder) / name))} was left out: {why}.")
    tell(found, scorer.title, console)


def feature_of(arguments: argparse.Namespace, scorer: ClipScorer, console: Console) -> Tensor | None:
    """What is looked for; None where all are wanted. Raises SettingsError for a picture that cannot be read."""
    if arguments.like is not None:
        try:
            return scorer.image_features([middle_of(load_picture(arguments.like))])[0]
        except DatasetError as problem:
            raise SettingsError(f"{encodable(str(arguments.like))} cannot be read: {problem}.") from problem
    text = encodable(arguments.text)
    for note in scorer.told_of_long([text], "cut"):
        console.warn(note)
    return scorer.text_features([text])[0] if text.strip() else None


def bring(
    index: PictureIndex,
    roots: Sequence[str],
    scorer: ClipScorer,
    cache: Path,
    arguments: argparse.Namespace,
    console: Console,
) -> None:
    """Read what is new. Raises Stopped after Ctrl-C."""
    shown = began = time.monotonic()
    steps = bring_up_to_date(index, roots, scorer.alone, cache, IMAGES_AT_ONCE)
    with (
        contextlib.closing(steps),
        deferred(lambda: console.note("Stopping; Ctrl-C once more stops at once.")) as interrupted,
    ):
        for now in steps:
            if now.stage == "reading" and not now.done:
                began = time.monotonic()
            if now.done and (time.monotonic() - shown > PROGRESS_EVERY_S or now.done == now.total):
                shown = time.monotonic()
                console.progress(now.done, now.total, (shown - began) / now.done * (now.total - now.done))
            if interrupted() and not 0 < now.total == now.done:
                again = arguments.as_command(arguments.given)
                raise Stopped(f"Stopped; what was read is kept. The same command goes on from there: {again}")


def tell(found: Found, model: str, console: Console) -> None:
    """Every hit as a line, and a summary."""
    for hit in found.hits:
        path, facts = encodable(hit.row.file.path), hit.row.facts
        cosine = None if hit.cosine is None else round(hit.cosine, 6)
        values = {"picture": path, "cosine": cosine, "checkpoint": facts.checkpoint, "score": facts.score}
        console.item({**values, "prompt": facts.prompt}, path if cosine is None else f"{cosine:.4f}  {path}")
    values = {"model": model, "pictures": found.among, "found": len(found.hits)}
    console.result(values, f"{len(found.hits)} of {found.among} pictures, by {model}.")
