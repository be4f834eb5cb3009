"""Pictures that are scored in a thread of its own, and can be watched and cancelled meanwhile."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import torch
from PIL import Image
from torch import Tensor

from ..decoding import load_picture
from ..embedding.metadata import encodable
from ..errors import DatasetError, ModelError, PseudowordError, SettingsError
from ..scoring import FeatureCache, Portion, Scores, Unreadable, folder_features
from ..scoring.comparison import cosines_of
from ..scoring.folder import pictures_below
from ..training.memory import out_of_memory_as
from .folders import check_may_name, named_folder
from .host import Host
from .picture_fetching import INTERNET, Ways, fetch_picture
from .score_request import NamedPicture, ScoreRequest, check_count
from .score_result import ScoreResult
from .slices import Interrupted
from .yardstick import Yardstick, yardstick

log = logging.getLogger(__name__)

State: TypeAlias = Literal["waiting", "scoring", "finished", "cancelled", "failed"]
ENDED: tuple[State, ...] = ("finished", "cancelled", "failed")
AT_ONCE = 8  # a large model on a CPU takes a second for one: so one sees it going on, and can end it
THUMBNAIL_SIDE = 160
TOO_LITTLE_MEMORY = "There is too little memory to score with this CLIP model; choose a smaller one."
NONE_READ = "None of the pictures could be read."


@dataclass(frozen=True, eq=False)
class ScoreWatched:
    """How it stands at one moment: `done` of `total` pictures, by the model of that title, "" before it is loaded.

    `seconds_left` is None as long as nothing is known about it, `result` until the end; of what was cancelled it has
    what was scored by then.
    """

    id: str
    state: State
    message: str
    done: int
    total: int
    seconds_left: float | None
    model: str
    result: ScoreResult | None


class ScoreJob:
    """It begins at once; every method may be called from any thread.

    `turns` are those of all such jobs together. The job removes the folder `place`, if it is given one, when forgotten.
    """

    def __init__(
        self,
        id: str,
        request: ScoreRequest,
        host: Host,
        turns: AbstractContextManager[None],
        place: TemporaryDirectory[str] | None = None,
        ways: Ways = INTERNET,
    ) -> None:
        self.id = id
        self._request, self._host, self._turns, self._ways = request, host, turns, ways
        self._place = place
        self._looking = threading.Lock()  # one picture is decoded at a time for those who look
        self._changed = threading.Lock()  # guards what follows
        self._is_cancelled = False
        self._state: State = "waiting"
        self._message = ""
        self._done = self._total = 0
        self._began_at = 0.0
        self._yardstick: Yardstick | None = None
        self._rows: list[NamedPicture] = []
        self._cosines: list[Tensor] = []
        self._head_scores: list[Tensor] = []
        self._unreadable: list[Unreadable] = []
        self._notes: list[str] = []
        self._result: ScoreResult | None = None
        self._thumbnails: dict[int, bytes] = {}
        self._thread = threading.Thread(target=self._work, name=f"scores {id}", daemon=True)
        self._thread.start()

    # ---- from outside ----------------------------------------------------------------------------------------------

    def watch(self) -> ScoreWatched:
        """How it stands now."""
        with self._changed:
            title = "" if self._yardstick is None else self._yardstick.title
            left = self._seconds_left()
            return ScoreWatched(self.id, self._state, self._message, self._done, self._total, left, title, self._result)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        with self._changed:
            return self._state in ENDED

    @property
    def bytes_kept(self) -> int:
        """How much memory its figures and small pictures take, about."""
        with self._changed:
            return sum(map(len, self._thumbnails.values())) + 200 * len(self._rows)

    def cancel(self) -> None:
        """End as soon as the pictures that are being encoded are done; what was scored by then is kept."""
        with self._changed:
            if self._state not in ENDED:
                self._is_cancelled = True
                self._message = "Cancelling, after the pictures that are being encoded."

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def forget(self) -> None:
        """Remove its files."""
        if self._place is not None:
            self._place.cleanup()

    def thumbnail(self, row: int) -> bytes | None:
        """The picture of a row, small, as a JPEG; None where there is none, or its file is gone."""
        with self._looking:
            with self._changed:
                known, rows = self._thumbnails.get(row), self._rows
            if known is not None or not 0 <= row < len(rows):
                return known
            try:
                picture = load_picture(rows[row].path)
            except DatasetError:
                return None
            made = small_jpeg(picture)
            with self._changed:
                self._thumbnails[row] = made
            return made

    def _seconds_left(self) -> float | None:
        if not self._done or self._state != "scoring":
            return None
        return (time.monotonic() - self._began_at) / self._done * (self._total - self._done)

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        state: State = "failed"
        try:
            with self._turns, out_of_memory_as(lambda: ModelError(TOO_LITTLE_MEMORY)):
                self._go_on()
                self._become("scoring", "")
                try:
                    self._score()
                    ended: State = "finished"
                except Interrupted:
                    ended = "cancelled"
                self._result = self._summed_up()
            state, message = ended, "" if self._rows else NONE_READ
            if ended == "cancelled":
                message = "Cancelled; what was scored by then is kept."
        except Interrupted:  # while it waited
            state, message = "cancelled", "Cancelled, before anything was scored."
        except PseudowordError as problem:
            message = str(problem)
        except BaseException as problem:
            log.exception("Scoring failed")
            message = f"This should not have happened ({type(problem).__name__}: {problem})."
        self._become(state, message)

    def _score(self) -> None:
        pictures = self._gathered()
        check_count(len(pictures), len(self._request.labels))
        with self._changed:
            self._total = self._done + len(pictures)
        model = self._host.clips.named(self._request.model)
        with self._host.clips.using(model) as scorer:
            measure = yardstick(self._request, scorer)
        with self._changed:
            self._yardstick = measure
        names = {str(picture.path): picture for picture in pictures}
        paths = [str(picture.path) for picture in pictures]
        with (
            FeatureCache(self._host.features, scorer.identity) as cache,
            contextlib.closing(folder_features(paths, scorer, cache, at_once=AT_ONCE)) as portions,
        ):
            self._began_at = time.monotonic()
            while True:
                self._go_on()
                # The model may be lent to others between two portions.
                with self._host.clips.using(model):
                    portion = next(portions, None)
                if portion is None:
                    break
                self._add(portion, names, measure)
            problem = cache.problem
        if problem is not None:
            self._notes.append(problem)

    def _add(self, portion: Portion, pictures: dict[str, NamedPicture], measure: Yardstick) -> None:
        with self._changed:
            self._done += len(portion.paths) + len(portion.unreadable)
            self._rows += [pictures[path] for path in portion.paths]
            self._unreadable += [Unreadable(pictures[one.path].name, one.reason) for one in portion.unreadable]
        if portion.paths and measure.labels is not None:
            self._cosines.append(cosines_of(portion.features, measure.labels))
        if portion.paths and measure.head is not None:
            self._head_scores.append(measure.head.scores(portion.features))

    def _gathered(self) -> list[NamedPicture]:
        """All pictures of the request, as files; what cannot be is noted."""
        found = list(self._request.pictures)
        if self._request.folder is not None:
            found += self._in_folder(Path(os.path.abspath(named_folder(str(self._request.folder), "pictures"))))
        for number, address in enumerate(self._request.addresses):
            self._go_on()
            self._become("scoring", f"Fetching {address[:200]}")
            try:
                data = fetch_picture(address, self._ways)
            except DatasetError as problem:
                self._unreadable.append(Unreadable(address, str(problem)))
                continue
            found.append(NamedPicture(address, self._stored(number, data)))
        self._become("scoring", "")
        with self._changed:
            self._done = len(self._unreadable)
        return found

    def _in_folder(self, folder: Path) -> Iterator[NamedPicture]:
        listing = pictures_below(folder)
        self._unreadable += [
            Unreadable(encodable(os.path.relpath(one.path, folder)), one.reason) for one in listing.unreadable
        ]
        if not listing.paths:
            raise DatasetError(f"There is no picture in {str(folder)!r}; name another folder.")
        check_count(len(listing.paths), len(self._request.labels))
        for path in listing.paths:
            name = encodable(os.path.relpath(path, folder))
            try:
                check_may_name(self._host, Path(path))  # a link may lead elsewhere
            except SettingsError:
                reason = "it is a link to a place that this server does not read from; put the picture itself there"
                self._unreadable.append(Unreadable(name, reason))
                continue
            yield NamedPicture(name, Path(path))

    def _stored(self, number: int, data: bytes) -> Path:
        if self._place is None:
            self._place = TemporaryDirectory(prefix="pseudoword-", ignore_cleanup_errors=True)
        path = Path(self._place.name) / f"fetched-{number:03d}"
        try:
            path.write_bytes(data)
        except OSError as problem:
            raise SettingsError(
                f"A fetched picture could not be stored ({problem.strerror}); make room on the server, and try again."
            ) from problem
        return path

    def _summed_up(self) -> ScoreResult | None:
        measure = self._yardstick
        if measure is None:
            return None
        scores = None
        if self._cosines:
            scores = Scores(torch.cat(self._cosines), measure.logit_scale, measure.title)
        return ScoreResult(
            model=measure.title,
            width=measure.width,
            logit_scale=measure.logit_scale,
            pictures=tuple(row.name for row in self._rows),
            labels=self._request.labels,
            are_classes=bool(self._request.templates),
            scores=scores,
            head="" if measure.head is None else measure.head.name,
            head_scores=tuple(torch.cat(self._head_scores).tolist()) if self._head_scores else (),
            notes=(*measure.notes, *self._notes),
            unreadable=tuple(self._unreadable),
        )

    def _go_on(self) -> None:
        """Raise Interrupted where the work is no longer wanted."""
        with self._changed:
            if self._is_cancelled:
                raise Interrupted

    def _become(self, state: State, message: str) -> None:
        with self._changed:
            if state in ENDED or not self._is_cancelled:
                self._state, self._message = state, message


def small_jpeg(picture: Image.Image) -> bytes:
    """`picture` (mode RGB) with its longer side at most `THUMBNAIL_SIDE` pixels."""
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()
