"""An index brought up to date with its folders: what is gone leaves it at once, what is new or changed is read."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ..cache_file import stamp_of
from ..decoding import SUFFIXES
from .clip import Using
from .comparison import PromptComparison
from .feature_cache import FRESH_S, FeatureCache
from .folder import Portion, folder_features
from .index_table import Facts, Seen
from .infotext import MAX_LETTERS, facts_of, infotext_in
from .picture_index import PictureIndex

WRITTEN_AFTER_S = 1.0  # what is lost at most when the process is killed; the features themselves are in the cache
MOST_WAITING = 1000
_LONGEST_NAME = 200
Stage: TypeAlias = Literal["looking", "reading"]


@dataclass(frozen=True)
class Progress:
    """How far it is: `done` of `total` new pictures; while it looks for them, what was found so far is the total."""

    stage: Stage
    done: int
    total: int


def bring_up_to_date(
    index: PictureIndex,
    roots: Sequence[str],
    using: Using,
    cache: Path | None,
    at_once: int,
    workers: int | None = None,
) -> Generator[Progress, None, None]:
    """Do it in small steps, as one asks for them; closed before its end, it keeps what is done.

    `roots` are absolute paths, the newest in each folder first. The model is used within `using()` only, for `at_once`
    pictures at a time, decoded by `workers` threads; features go into the file `cache`, too. Raises DatasetError where
    another process does the same, or nothing can be kept.
    """
    with index.writing():
        look = _Look(index)
        for _ in look.through(roots):
            yield Progress("looking", 0, look.total)
        if not look.total:
            return
        with using() as scorer:
            identity = scorer.identity
        with FeatureCache(cache, identity) as known:
            reading = _Reading(index, PromptComparison(scorer, known, using=using))
            paths = (reading.begun(seen) for folder in look.to_read for seen in look.new_in(folder))
            with closing(folder_features(paths, scorer, known, workers, at_once, using)) as portions:
                try:
                    for portion in portions:
                        reading.take(portion)
                        yield Progress("reading", reading.done, max(look.total, reading.done))
                finally:
                    reading.write()


@dataclass
class _Look:
    """What is new in folders, beside an index: how many pictures, in which folders."""

    index: PictureIndex
    total: int = 0
    to_read: list[str] = field(default_factory=list)

    def through(self, roots: Sequence[str]) -> Iterator[None]:
        """Go through all folders, and take what is gone or changed out of the index."""
        seen: set[str] = set()
        closed: list[str] = []
        for root in roots:
            for place, folders, _ in os.walk(root, onerror=lambda error: closed.append(str(error.filename))):
                folders.sort(reverse=True)  # folders are often called by days
                seen.add(place)
                self._beside(place)
                yield
            for folder in self.index.folders_below(root):
                # What cannot be looked into, such as a disk that is away just now, is not gone.
                if folder not in seen and not any(folder.startswith(place) for place in closed):
                    self._beside(folder)
                    yield

    def _beside(self, folder: str) -> None:
        known, unreadable = self.index.known_in(folder)
        here = {seen.name: seen for seen in pictures_in(folder)}
        slots = [
            slot for name, (slot, stamp) in known.items() if not stamp or name not in here or here[name].stamp != stamp
        ]
        forgotten = [
            (folder, name) for name, stamp in unreadable.items() if name not in here or here[name].stamp != stamp
        ]
        if slots or forgotten:
            self.index.remove(slots, forgotten)
        new = sum(_is_new(seen, known, unreadable) for seen in here.values())
        self.total += new
        self.to_read += [folder] if new else []

    def new_in(self, folder: str) -> list[Seen]:
        """The pictures of `folder` that are not in the index, the latest first."""
        known, unreadable = self.index.known_in(folder)
        new = [seen for seen in pictures_in(folder) if _is_new(seen, known, unreadable)]
        return sorted(new, key=lambda seen: seen.changed_s, reverse=True)


def _is_new(seen: Seen, known: dict[str, tuple[int, str]], unreadable: dict[str, str]) -> bool:
    if seen.name in known:
        return not seen.stamp or known[seen.name][1] != seen.stamp
    return not seen.stamp or unreadable.get(seen.name) != seen.stamp


def pictures_in(folder: str) -> list[Seen]:
    """The pictures in `folder` itself, told by their suffixes; none where it cannot be looked into, and no links."""
    found = []
    now = time.time()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name[name.rfind(".") :].lower() in SUFFIXES and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    is_fresh = abs(now - status.st_mtime) <= FRESH_S
                    found.append(Seen(folder, name, "" if is_fresh else stamp_of(status), status.st_mtime))
    except OSError:  # gone meanwhile, or closed to us
        return found
    return found


@dataclass
class _Reading:
    """The pictures on their way into the index."""

    index: PictureIndex
    comparison: PromptComparison
    done: int = 0
    on_the_way: dict[str, Seen] = field(default_factory=dict)
    files: list[Seen] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)
    features: list[Tensor] = field(default_factory=list)
    unreadable: list[tuple[Seen, str]] = field(default_factory=list)
    written_at: float = field(default_factory=time.monotonic)

    def begun(self, seen: Seen) -> str:
        """The path of a picture that is about to be read."""
        self.on_the_way[seen.path] = seen
        return seen.path

    def take(self, portion: Portion) -> None:
        """Put a portion with its scores where it waits to be written, and write that every second."""
        # The CLIPScore of each picture with its own prompt; None where it has none.
        scores = self.comparison.columns(portion)[2] if portion.paths else []
        for path, prompt, score in zip(portion.paths, portion.prompts, scores, strict=True):
            self.files.append(self.on_the_way.pop(path))
            checkpoint = checkpoint_in(infotext_in(path))
            self.facts.append(Facts(checkpoint, sound(prompt), score if isinstance(score, float) else None))
        if portion.paths:
            self.features.append(portion.features)
        self.unreadable += [(self.on_the_way.pop(one.path), sound(one.reason)) for one in portion.unreadable]
        self.done += len(portion.paths) + len(portion.unreadable)
        if time.monotonic() - self.written_at > WRITTEN_AFTER_S or len(self.files) >= MOST_WAITING:
            self.write()

    def write(self) -> None:
        """Write what waits. Raises DatasetError."""
        files, facts, unreadable = self.files, self.facts, self.unreadable
        features = torch.cat(self.features) if self.features else torch.zeros(0, 1)
        self.files, self.facts, self.features, self.unreadable = [], [], [], []
        if files or unreadable:
            self.index.add(files, facts, features, unreadable)
        self.written_at = time.monotonic()


def checkpoint_in(infotext: str) -> str:
    """The checkpoint that a picture was made with, by name and hash as far as it says; "" where it does not."""
    facts = facts_of(infotext)
    name, digest = facts.get("Model", ""), facts.get("Model hash", "")
    return sound(f"{name} [{digest}]" if name and digest else name or digest)[:_LONGEST_NAME]


def sound(text: str) -> str:
    """`text` as a database takes it."""
    return text[:MAX_LETTERS].encode("utf-8", "replace").decode()
