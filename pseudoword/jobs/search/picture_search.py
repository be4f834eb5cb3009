"""Pictures of a host that are found by what they show: an index for each CLIP model, and what is asked of it."""

from __future__ import annotations

import io
import json
import secrets
import threading
import time
import zlib
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ...decoding import decode_picture, on_gray
from ...embedding.whole_file import write_whole
from ...errors import DatasetError, EmbeddingFileError, SettingsError
from ...scoring.folder import middle_of
from ...scoring.index_filter import Wanted, is_below
from ...scoring.index_table import Row
from ...scoring.models import ClipModel
from ...scoring.picture_index import Found, PictureIndex, is_as_it_was
from ..host import Host
from ..job_board import JobBoard
from ..queued_jobs import QueuedJobs
from ..server.folders import check_may_name, named_folder
from ..server.people import ALONE, Person
from ..watched_job import Queued
from .picture_index_job import PictureIndexJob, read_request, write_request

if TYPE_CHECKING:
    from ...scoring.clip import Using

MOST_OPEN = 4  # indexes; each maps its files
MOST_SAMPLES = 256  # pictures that were sent to look for others like them
LOOK_AGAIN_S = 10.0  # for new pictures, while somebody is looking
PAUSED = "paused"  # an empty file beside an index that nobody wants to be brought up to date
BEGUN = "begun.json"  # the folders beside it that somebody had read: only there new pictures are looked for unasked
NO_PLACE = "There is no place here to keep an index of pictures in."
NO_FOLDERS = "There is no folder of pictures to search"
GONE = "This picture is no longer there, or was changed; search again."


@dataclass(frozen=True, eq=False)
class OpenIndex:
    """The index of one model, whose title tells it from all others."""

    model: ClipModel
    title: str
    identity: str
    index: PictureIndex


@dataclass(frozen=True)
class Asked:
    """What is looked for: a text, or pictures like one, a hit's id or what `sample` gave; with neither the latest."""

    text: str = ""
    like: str = ""


class PictureSearch:
    """Finds pictures in the folders of `host`. Every method may be called from any thread.

    What somebody asks to have read is a job of the queue on `board`, where there is one.
    """

    def __init__(self, host: Host, board: JobBoard | None = None) -> None:
        self.host = host
        self._queued = None if board is None else QueuedJobs(board, PictureIndexJob.KIND, self._loaded)
        self._starting = threading.Lock()
        self._lock = threading.Lock()
        self._open: OrderedDict[ClipModel, OpenIndex] = OrderedDict()
        self._opening = threading.Lock()
        self._jobs: dict[str, PictureIndexJob] = {}
        self._samples: OrderedDict[str, tuple[str, Tensor]] = OrderedDict()

    # ---- which index, which folders --------------------------------------------------------------------------------

    def opened(self, name: str = "") -> OpenIndex:
        """The index of the model called `name`, by default the best here; loads the model the first time.

        Raises ModelError, MissingExtra, SettingsError where there is no place for one, and DatasetError.
        """
        if self.host.features is None:
            raise SettingsError(NO_PLACE)
        chosen = self.host.clips.named(name)
        with self._opening:
            with self._lock:
                known = self._open.pop(chosen, None)
                if known is not None:
                    self._open[chosen] = known
                    return known
            with self.host.clips.using(chosen) as scorer:
                identity, width, title = scorer.identity, scorer.width, scorer.title
            folder = self.host.features.parent / "picture-index" / identity[:16]
            found = OpenIndex(chosen, title, identity, PictureIndex(folder, identity, width).open())
            with self._lock:
                self._open[chosen] = found
                for model in [*self._open][:-MOST_OPEN]:
                    job = self._jobs.get(self._open[model].identity)
                    if job is None or not job.is_under_way:
                        self._open.pop(model).index.close()
            return found

    def known(self, model: str = "") -> OpenIndex | None:
        """The index of a model, where it is open already. Raises ModelError, MissingExtra."""
        chosen = self.host.clips.named(model)
        with self._lock:
            return self._open.get(chosen)

    def roots(self, folder: str = "") -> tuple[str, ...]:
        """The folders that are searched: one that is named, else those of the host.

        Raises SettingsError for one that is not there or may not be read, and where there are none.
        """
        if not folder.strip():
            roots = tuple(dict.fromkeys(str(place.resolve()) for place in self.host.outputs() if place.is_dir()))
            if not roots:
                raise SettingsError(f"{NO_FOLDERS}; {self.host.no_outputs}.")
            return tuple(root for root in roots if not any(Path(other) in Path(root).parents for other in roots))
        self._check(Path(folder.strip()))
        return (str(named_folder(folder, "pictures").resolve()),)

    def _check(self, path: Path) -> None:
        """Raise SettingsError where the host does not read `path`."""
        check_may_name(self.host, path, self.host.outputs())

    # ---- bringing it up to date ------------------------------------------------------------------------------------

    def job(self, opened: OpenIndex) -> PictureIndexJob | None:
        """The latest that worked on this index, None where there was none."""
        with self._lock:
            return self._jobs.get(opened.identity)

    def start(self, opened: OpenIndex, roots: tuple[str, ...], person: Person = ALONE) -> PictureIndexJob:
        """Bring the index up to date with `roots`, unless that is under way.

        Raises SettingsError where others are; with a queue JobError and LimitReached.
        """
        with suppress(OSError):
            (opened.index.folder / PAUSED).unlink(missing_ok=True)
        with self._starting:
            job = self._started(opened, roots, person)
            begun = begun_in(opened.index.folder)
            if new := [root for root in roots if not is_below(root, begun)]:
                with suppress(EmbeddingFileError):
                    write_whole(opened.index.folder / BEGUN, json.dumps([*begun, *new]).encode(), overwrite=True)
            return job

    def _started(self, opened: OpenIndex, roots: tuple[str, ...], person: Person) -> PictureIndexJob:
        """What is under way with `roots`, goes on with them, or begins."""
        job = self.job(opened)
        if job is not None and job.is_under_way:
            if job.roots != roots:
                raise SettingsError("Another folder is being read just now; wait for it, or pause it.")
            return job
        if self._queued is None:
            return self._begun(opened, roots)
        row = None if job is None else self._queued.row(job.id)
        if job is not None and row is not None and row.state == "paused" and job.roots == roots and person.may(row):
            job.resume()
            return job
        names = ", ".join(Path(root).name for root in roots)
        asked = {"model": opened.model.name, "identity": opened.identity, "roots": roots}
        shown = {"about": names, "folders": names, "CLIP model": opened.title}
        return self._queued.start(person, "Pictures read for the search", shown, partial(write_request, asked))

    def _begun(self, opened: OpenIndex, roots: tuple[str, ...]) -> PictureIndexJob:
        """A job of no queue."""
        using = partial(self.host.clips.using, opened.model)
        job = PictureIndexJob(opened.identity[:16], lambda: (opened.index, using), roots, self.host.features)
        job.begin()
        with self._lock:
            self._jobs[opened.identity] = job
        return job

    def _loaded(self, id: str, queued: Queued) -> PictureIndexJob:
        """The job of the queue in a folder. Raises JobError where its request cannot be read."""
        asked = read_request(queued.folder)

        def opened() -> tuple[PictureIndex, Using]:
            for root in asked["roots"]:
                self._check(Path(root))
            found = self.opened(asked["model"])
            return found.index, partial(self.host.clips.using, found.model)

        job = PictureIndexJob(id, opened, asked["roots"], self.host.features, queued)
        with self._lock:
            self._jobs[asked["identity"]] = job
        return job

    def pause(self, opened: OpenIndex, person: Person = ALONE) -> None:
        """End, until somebody starts it again, also after a restart. Raises NotYours for a job of somebody else."""
        job = self.job(opened)
        row = None if job is None or self._queued is None else self._queued.row(job.id)
        if job is not None and row is not None and job.is_under_way:
            person.check_may(row)
        with suppress(OSError):
            (opened.index.folder / PAUSED).touch()
        if job is not None:
            job.pause()

    def is_paused(self, opened: OpenIndex) -> bool:
        """Whether somebody ended it."""
        return (opened.index.folder / PAUSED).exists()

    def keep_up(self, opened: OpenIndex, roots: tuple[str, ...], *, at_once: bool = False) -> None:
        """Look for new pictures now and then, in those of `roots` that somebody had read, where nobody paused it."""
        job = self.job(opened)
        is_due = job is None or (
            not job.is_under_way
            and job.watch().state == "up to date"
            and (at_once or time.monotonic() - job.ended_at > LOOK_AGAIN_S)
        )
        if not is_due or self.is_paused(opened):
            return
        begun = begun_in(opened.index.folder)
        if known := tuple(root for root in roots if is_below(root, begun)):
            with self._starting:  # which nobody asked for: a look at folders is no job on the list
                if (latest := self.job(opened)) is job or latest is None:
                    self._begun(opened, known)

    # ---- searching -------------------------------------------------------------------------------------------------

    def find(self, opened: OpenIndex, asked: Asked, wanted: Wanted, count: int, first: int = 0) -> Found:
        """What is like `asked`, the best first. Raises SettingsError where it is like a picture that is gone."""
        feature, note = self._feature(opened, asked)
        found = replace(opened.index.find(feature, wanted, count, first), note=note)
        if self.host.folders is not None:  # a folder on the way may have become a link since it was read
            found = replace(found, hits=tuple(hit for hit in found.hits if self._may_read(hit.row)))
        if found.is_stale:
            self.keep_up(opened, wanted.roots, at_once=True)
        return found

    def _may_read(self, row: Row) -> bool:
        try:
            self._check(Path(row.file.path))
        except SettingsError:
            return False
        return True

    def _feature(self, opened: OpenIndex, asked: Asked) -> tuple[Tensor | None, str]:
        """What is looked for, None where all are wanted; and what is to be said of it."""
        if asked.like:
            with self._lock:
                identity, feature = self._samples.get(asked.like, ("", None))
            if feature is not None:
                if identity != opened.identity:
                    raise SettingsError("That picture was read by another CLIP model; choose it again.")
                return feature, ""
            other, row = self.row(asked.like)
            if other.identity != opened.identity:
                raise SettingsError("That picture was read by another CLIP model; search for it again.")
            return opened.index.feature(row.slot), ""
        if not asked.text.strip():
            return None, ""
        with self.host.clips.using(opened.model) as scorer:
            note = "".join(scorer.told_of_long([asked.text], "cut"))
            return scorer.text_features([asked.text], remember=False)[0], note

    def sample(self, opened: OpenIndex, data: bytes) -> str:
        """What to ask for to find pictures like the one in `data`. Raises DatasetError where it is none."""
        try:
            picture = middle_of(on_gray(decode_picture(io.BytesIO(data))))
        except DatasetError as problem:
            raise DatasetError(f"The picture cannot be read: {problem}.") from problem
        with self.host.clips.using(opened.model) as scorer:
            feature = scorer.image_features([picture])[0]
        name = f"sample-{secrets.token_urlsafe()}"
        with self._lock:
            self._samples[name] = (opened.identity, feature)
            while len(self._samples) > MOST_SAMPLES:
                self._samples.popitem(last=False)
        return name

    # ---- one picture -----------------------------------------------------------------------------------------------

    def row(self, id: str) -> tuple[OpenIndex, Row]:
        """The picture that `id_of` called so. Raises SettingsError where it is gone, changed or may not be read.

        And IndexUnreadable where the index cannot be read just now.
        """
        identity, _, rest = id.partition("-")
        slot = rest.partition("-")[0]
        with self._lock:
            opened = next((one for one in self._open.values() if one.identity[:16] == identity), None)
        row = opened.index.row(int(slot)) if opened is not None and slot.isdecimal() and len(slot) < 16 else None
        if opened is None or row is None or id_of(opened, row) != id or not is_as_it_was(row.file):
            raise SettingsError(GONE)
        self._check(Path(row.file.path))
        return opened, row

    def end(self) -> None:
        """End what is under way and wait for it: a program that ends in the middle of a pass crashes."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.pause()
        for job in jobs:
            job.wait()
        with self._lock:
            for opened in self._open.values():
                opened.index.close()
            self._open.clear()


def begun_in(folder: Path) -> tuple[str, ...]:
    """The folders that somebody had read into the index in `folder`; none where that cannot be told."""
    try:
        return tuple(map(str, json.loads((folder / BEGUN).read_bytes())))
    except (OSError, ValueError, TypeError):
        return ()


def id_of(opened: OpenIndex, row: Row) -> str:
    """What a page calls a picture; another one that has its place later is called otherwise."""
    known = f"{row.file.path} {row.file.stamp}".encode("utf-8", "surrogatepass")
    return f"{opened.identity[:16]}-{row.slot}-{zlib.crc32(known):08x}"
