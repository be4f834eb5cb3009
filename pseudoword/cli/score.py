"""`pseudoword score`: how well the pictures of a folder fit texts, or the prompts they were made from."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..embedding.metadata import encodable
from ..errors import DatasetError, SettingsError
from ..scoring import FeatureCache, class_features, folder_features, load_head, pictures_below
from ..scoring.comparison import Comparison, HeadComparison, PromptComparison, TextComparison
from ..scoring.long_texts import EMPTY_TEXT
from ..scoring.zero_shot import TEMPLATES
from ..training.memory import out_of_memory_as
from .clip_choice import add_clip_flags, answered_about_clips, load_clip
from .console import Console
from .feature_cache_choice import add_cache_flag, cache_of
from .interruption import Stopped, deferred
from .model_choice import device_of, too_little_memory
from .score_sheet import Sheet
from .score_tables import csv_table, parquet_table

if TYPE_CHECKING:
    from ..scoring import ClipScorer

DESCRIPTION = """\
Score all pictures of a folder, and below, by CLIP: how well each fits texts (--text), classes (--class), or the prompt
in its own file (--from-infotext), or what a head says of it (--head). What is scored once is kept by what it shows and
by model, so the same command goes on where it was stopped. No model is downloaded unless --download-clip asks for it.
"""

EPILOG = """\
examples:
  {prog} score outputs --text "a photo of a cat" --text "a photo of a dog" --csv scores.csv
  {prog} score outputs --class cat --class dog --templates openai
  {prog} score outputs --from-infotext --csv scores.csv
  {prog} score outputs --head aesthetic.pth --clip-name ViT-L-14:openai
  {prog} score --list-clips
"""

TEXT_COLUMNS = ("picture", "prompt", "best text", "model")
PROGRESS_EVERY_S = 0.2


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="the folder with the pictures")
    parser.add_argument(
        "--text", action="append", default=[], metavar="TEXT", help="a text to compare with; repeatable"
    )
    parser.add_argument(
        "--class", action="append", default=[], metavar="NAME", dest="classes", help="a class; repeatable"
    )
    parser.add_argument(
        "--templates",
        choices=tuple(TEMPLATES),
        default="plain",
        help="the sentences that a class is put into: 'a photo of a …', or the seven that OpenAI recommends",
    )
    parser.add_argument("--from-infotext", action="store_true", help="compare each picture with its own prompt")
    parser.add_argument("--head", type=Path, metavar="FILE", help="a linear or MLP head, such as an aesthetic one")
    parser.add_argument(
        "--long", choices=("cut", "mean"), default="cut", help="a text that is too long: cut it, or read it in parts"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the scores as CSV")
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="write the scores as Parquet (needs pyarrow)")
    add_cache_flag(parser)
    add_clip_flags(parser)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Score the folder, or do the other thing that is asked for."""
    if not answered_about_clips(arguments, console):
        check(arguments)
        score(arguments, console)


def check(arguments: argparse.Namespace) -> None:
    """Raise SettingsError for flags that do not go together."""
    if arguments.folder is None:
        raise SettingsError("There is nothing to score; name a folder with pictures.")
    ways = [bool(arguments.text), bool(arguments.classes), arguments.from_infotext]
    if sum(ways) > 1:
        raise SettingsError("--text, --class and --from-infotext are compared in different ways; give one of them.")
    if not any(ways) and arguments.head is None:
        raise SettingsError("There is nothing to compare with; give --text, --class, --from-infotext or --head.")


def score(arguments: argparse.Namespace, console: Console) -> None:
    """Go through the folder; see `DESCRIPTION`."""
    cache_path, listing = cache_of(arguments), pictures_below(arguments.folder)
    if not listing.paths:
        raise DatasetError(f"There is no picture in {encodable(str(arguments.folder))!r}; name another folder.")
    scorer = load_clip(arguments, console)
    device = device_of(arguments.device)
    with (
        FeatureCache(cache_path, scorer.identity) as cache,
        ExitStack() as tables,
        out_of_memory_as(lambda: too_little_memory(device, "scoring with this CLIP model")),
    ):
        comparisons = comparisons_of(arguments, scorer, cache, console)
        sheet = Sheet(comparisons, scorer.title, console)
        sheet.tables += [tables.enter_context(csv_table(arguments.csv, sheet.header))] if arguments.csv else []
        if arguments.parquet:
            sheet.tables.append(tables.enter_context(parquet_table(arguments.parquet, sheet.header, TEXT_COLUMNS)))
        stopped = go_through(listing.paths, scorer, cache, sheet, console)
    if cache.problem is not None:
        console.warn(cache.problem)
    unreadable = [*listing.unreadable, *sheet.unreadable]
    for one in unreadable:
        console.warn(f"{encodable(one.path)} was left out: {one.reason}.")
    warn_of_prompts(comparisons, console)
    if stopped:
        raise Stopped(
            f"Stopped after {sheet.done} of {len(listing.paths)} pictures, and kept. The same command goes "
            f"on from there: {arguments.as_command(arguments.given)}"
        )
    console.result(sheet.values(unreadable), sheet.text(unreadable))


def comparisons_of(
    arguments: argparse.Namespace, scorer: ClipScorer, cache: FeatureCache, console: Console
) -> list[Comparison]:
    """What the flags ask to say of each picture. Raises SettingsError, ModelError."""
    comparisons: list[Comparison] = []
    texts = list(dict.fromkeys(arguments.text))
    for note in scorer.told_of_long(texts, arguments.long):
        console.warn(note)
    if any(not text.strip() for text in texts):
        console.warn(EMPTY_TEXT)
    if texts:
        comparisons.append(
            TextComparison(tuple(texts), scorer.text_features(texts, arguments.long), scorer.logit_scale)
        )
    if arguments.classes:
        classes = tuple(dict.fromkeys(arguments.classes))
        features = class_features(scorer, classes, TEMPLATES[arguments.templates], arguments.long)
        comparisons.append(TextComparison(classes, features, scorer.logit_scale))
    if arguments.from_infotext:
        comparisons.append(PromptComparison(scorer, cache, arguments.long))
    if arguments.head is not None:
        head = load_head(arguments.head)
        head.check_width(scorer.width, scorer.title)
        comparisons.append(HeadComparison(head))
    return comparisons


def go_through(paths: Sequence[str], scorer: ClipScorer, cache: FeatureCache, sheet: Sheet, console: Console) -> bool:
    """Put all pictures on the sheet; whether Ctrl-C ended it before."""
    began = shown = time.monotonic()
    seen = 0
    with (
        contextlib.closing(folder_features(paths, scorer, cache)) as portions,
        deferred(lambda: console.note("Stopping; Ctrl-C once more stops at once.")) as interrupted,
    ):
        for portion in portions:
            sheet.add(portion)
            seen += len(portion.paths) + len(portion.unreadable)
            now = time.monotonic()
            if now - shown > PROGRESS_EVERY_S or seen == len(paths):
                shown = now
                console.progress(seen, len(paths), (now - began) / seen * (len(paths) - seen))
            if interrupted() and seen < len(paths):
                return True
    return False


def warn_of_prompts(comparisons: Sequence[Comparison], console: Console) -> None:
    """Say which pictures could not be compared with their prompts as they are."""
    for one in comparisons:
        if isinstance(one, PromptComparison):
            if one.without:
                console.warn(f"{one.without} pictures hold no prompt, and have no score for one.")
            if one.too_long:
                done = "the rest was cut off" if one.long == "cut" else "they were read in parts, whose mean counts"
                console.warn(f"{one.too_long} prompts have more than {one.scorer.token_room} tokens: {done}.")
