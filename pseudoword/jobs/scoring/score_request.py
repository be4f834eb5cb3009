"""What is asked for when pictures are to be scored: which pictures, beside which texts, by which model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import SettingsError
from ...scoring.long_texts import LongTexts
from ..host import Host
from ..server.folders import check_may_name

MOST_PICTURES, MOST_TEXTS = 10_000, 200
MOST_PAIRS = 100_000  # of picture and text: the page shows each
MOST_ADDRESSES = 50
MOST_LETTERS = 10_000  # of a text
MOST_SENTENCES = 5_000  # of all classes in all templates: they are encoded in one go, before the first picture


@dataclass(frozen=True)
class NamedPicture:
    """A picture's file, and what it is called where it is shown."""

    name: str
    path: Path


@dataclass(frozen=True)
class ScoreRequest:
    """Pictures, those of a `folder` and below, and those at `addresses` of the web, beside `labels`.

    A label is a text, or with `templates` the name of a class that is put into each of them. `model` is a name of the
    list of models, "" for the default; `head` a file, which may be asked for without any label.
    """

    pictures: tuple[NamedPicture, ...] = ()
    folder: Path | None = None
    addresses: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    long: LongTexts = "cut"
    model: str = ""
    head: Path | None = None


def check(request: ScoreRequest, host: Host) -> None:
    """Raise SettingsError for what can be told to be too much, too little or not allowed before anything is read."""
    if not request.pictures and request.folder is None and not request.addresses:
        raise SettingsError("There are no pictures; drop some, or name a folder.")
    if not request.labels and request.head is None:
        raise SettingsError("There is nothing to compare with; write a text on each line, or name a head.")
    if len(request.labels) > MOST_TEXTS:
        raise SettingsError(f"There are {len(request.labels)} texts, and at most {MOST_TEXTS} are taken; give fewer.")
    if (longest := longest_text(request)) > MOST_LETTERS:
        raise SettingsError(f"A text has {longest:,} letters, and at most {MOST_LETTERS:,} are read; shorten it.")
    if (sentences := len(request.labels) * len(request.templates)) > MOST_SENTENCES:
        raise SettingsError(
            f"{len(request.labels)} classes in {len(request.templates):,} templates make {sentences:,} sentences, and "
            f"at most {MOST_SENTENCES:,} are read; give fewer."
        )
    if len(request.addresses) > MOST_ADDRESSES:
        raise SettingsError(
            f"There are {len(request.addresses)} addresses, and at most {MOST_ADDRESSES} are fetched; give fewer."
        )
    if request.addresses and not host.may_fetch:
        raise SettingsError(
            "This server fetches no pictures from the web; upload them, or ask who runs it to start it with "
            "--pseudoword-fetch-urls, the studio with --fetch-urls."
        )
    check_count(len(request.pictures), len(request.labels))
    for path in (request.folder, request.head):
        if path is not None:
            check_may_name(host, path)


def longest_text(request: ScoreRequest) -> int:
    """How many letters the longest text has; a template may have several places for its class."""
    label = max(map(len, request.labels), default=0)
    return max((len(one) + one.count("{}") * (label - 2) for one in request.templates), default=label)


def check_count(pictures: int, labels: int) -> None:
    """Raise SettingsError for too many pictures."""
    most = min(MOST_PICTURES, MOST_PAIRS // max(labels, 1))
    if pictures > most:
        raise SettingsError(
            f"There are {pictures:,} pictures, and at most {most:,} are scored beside so many texts here; take fewer, "
            "or call pseudoword score, which takes any number."
        )
