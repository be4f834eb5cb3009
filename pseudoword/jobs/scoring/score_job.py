"""Pictures that are scored in a thread of its own, and can be watched and cancelled meanwhile."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias, cast

import torch
from PIL import Image
from torch import Tensor

from ...decoding import load_picture
from ...errors import DatasetError
from ...scoring import FeatureCache, Portion, Scores, Unreadable, folder_features
from ...scoring.comparison import cosines_of
from ...scoring.models import ClipModel
from ..host import Host
from ..slices import Interrupted
from ..turns import Turns, WantedTurns
from ..watched_job import Queued, WatchedJob
from .picture_fetching import INTERNET, Ways
from .score_request import NamedPicture, ScoreRequest, check_count
from .score_result import ScoreResult
from .scored_pictures import fetched, pictures_in
from .yardstick import ModelFacts, Yardstick, yardstick

State: TypeAlias = Literal["waiting", "scoring", "paused", "finished", "cancelled", "failed"]
AT_ONCE = 8  # a large model on a CPU takes a second for one: so one sees it going on, and can end it
TEXTS_AT_ONCE = 32
THUMBNAIL_SIDE = 160
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


class ScoreJob(WatchedJob):
    """Scores the pictures of a request, in one of the `turns` of all such jobs together, if there are any.

    The job removes the folder `place`, if it is given one, when forgotten.
    """

    CANCELLING = "Cancelling, after the pictures that are being encoded."
    CANCELLED = "Cancelled; what was scored by then is kept."
    NOTHING = "Cancelled, before anything was scored."
    TOO_LITTLE_MEMORY = "There is too little memory to score with this CLIP model; choose a smaller one."

    def __init__(
        self,
        id: str,
        request: ScoreRequest,
        host: Host,
        turns: Turns | None,
        place: TemporaryDirectory[str] | None = None,
        ways: Ways = INTERNET,
        queued: Queued | None = None,
    ) -> None:
        super().__init__(id, "scores", queued)
        self._request, self._host, self._ways = request, host, ways
        self._turns = None if turns is None else WantedTurns(turns, self._is_wanted)
        self._place = place
        self._looking = threading.Lock()  # one picture is decoded at a time for those who look
        self._title = ""
        self._rows: list[NamedPicture] = []
        self._cosines: list[Tensor] = []
        self._head_scores: list[Tensor] = []
        self._unreadable: list[Unreadable] = []
        self._notes: list[str] = []
        self._result: ScoreResult | None = None
        self._thumbnails: dict[int, bytes] = {}

    # ---- from outside ----------------------------------------------------------------------------------------------

    def watch(self) -> ScoreWatched:
        """How it stands now."""
        with self._changed:
            return ScoreWatched(
                self.id,
                cast(State, self._state),
                self._message,
                self._done,
                self._total,
                self._seconds_left(),
                self._title,
                self._result,
            )

    @property
    def bytes_kept(self) -> int:
        """How much memory its figures and small pictures take, about."""
        with self._changed:
            return sum(map(len, self._thumbnails.values())) + 200 * len(self._rows)

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

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _do(self) -> str:
        with self._turns or contextlib.nullcontext():
            self._be("scoring")
            self._begin_anew()
            pictures = self._gathered()
            check_count(len(pictures), len(self._request.labels))
            with self._changed:
                self._total = self._done + len(pictures)
            model = self._host.clips.named(self._request.model)
            measure = self._yardstick(model)
            try:
                self._score(model, measure, pictures)
            except Interrupted:
                self._keep(self._summed_up(measure))
                raise
            self._keep(self._summed_up(measure))
        return "" if self._rows else NONE_READ

    def _begin_anew(self) -> None:
        """What was scored before a pause is known by its file, and scored again in a moment."""
        with self._changed:
            self._done = self._done_before = 0
            self._rows, self._cosines, self._head_scores = [], [], []
            self._unreadable, self._notes, self._thumbnails, self._result = [], [], {}, None

    def _yardstick(self, model: ClipModel) -> Yardstick:
        with self._host.clips.using(model) as scorer:
            facts = ModelFacts.of(scorer)
        with self._changed:
            self._title = facts.title

        def features_of_texts(texts: Sequence[str]) -> Tensor:
            found = []
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                self._be("scoring", "Encoding the texts")
                # The model may be lent to others between two portions.
                with self._host.clips.using(model) as scorer:
                    portion = texts[start : start + TEXTS_AT_ONCE]
                    # Not remembered: on a server that runs for months there are many texts.
                    found.append(scorer.text_features(portion, self._request.long, remember=False))
            self._be("scoring")
            return torch.cat(found)

        return yardstick(self._request, scorer, facts, features_of_texts)

    def _score(self, model: ClipModel, measure: Yardstick, pictures: Sequence[NamedPicture]) -> None:
        names = {str(picture.path): picture for picture in pictures}
        paths = [str(picture.path) for picture in pictures]
        with self._host.clips.using(model) as scorer:
            identity = scorer.identity
        using = partial(self._host.clips.using, model)
        with (
            FeatureCache(self._host.features, identity) as cache,
            contextlib.closing(folder_features(paths, scorer, cache, at_once=AT_ONCE, using=using)) as portions,
        ):
            self._start_clock()
            self._go_on()
            for portion in portions:
                self._add(portion, names, measure)
                self._heard()
                self._go_on()
            problem = cache.problem
        if problem is not None:
            self._notes.append(problem)

    def _add(self, portion: Portion, pictures: dict[str, NamedPicture], measure: Yardstick) -> None:
        with self._changed:
            self._count(len(portion.paths) + len(portion.unreadable))
            self._rows += [pictures[path] for path in portion.paths]
            self._unreadable += [Unreadable(pictures[one.path].name, one.reason) for one in portion.unreadable]
        if portion.paths and measure.labels is not None:
            self._cosines.append(cosines_of(portion.features, measure.labels))
        if portion.paths and measure.head is not None:
            self._head_scores.append(measure.head.scores(portion.features))

    def _gathered(self) -> list[NamedPicture]:
        """All pictures of the request, as files; what cannot be is noted."""
        found: list[NamedPicture | Unreadable] = list(self._request.pictures)
        if self._request.folder is not None:
            found += pictures_in(self._request.folder, self._host, len(self._request.labels))
        for number, address in enumerate(self._request.addresses):
            self._be("scoring", f"Fetching {address[:200]}")
            target = partial(self._own_file, f"fetched-{number:03d}")
            found.append(fetched(address, target, self._ways))
        self._be("scoring")
        unreadable = [one for one in found if isinstance(one, Unreadable)]
        with self._changed:
            self._unreadable += unreadable
            self._done = self._done_before = len(self._unreadable)
        return [one for one in found if isinstance(one, NamedPicture)]

    def _own_file(self, name: str) -> Path:
        """Where a file of its own is kept."""
        if self._place is None:
            self._place = TemporaryDirectory(prefix="pseudoword-", ignore_cleanup_errors=True)
        return Path(self._place.name) / name

    def _keep(self, result: ScoreResult) -> None:
        """Let what was scored by now be seen."""
        with self._changed:
            self._result = result

    def _summed_up(self, measure: Yardstick) -> ScoreResult:
        scores = None
        if self._cosines:
            scores = Scores(torch.cat(self._cosines), measure.model.logit_scale, measure.model.title)
        return ScoreResult(
            model=measure.model.title,
            width=measure.model.width,
            logit_scale=measure.model.logit_scale,
            pictures=tuple(row.name for row in self._rows),
            labels=self._request.labels,
            are_classes=bool(self._request.templates),
            scores=scores,
            head="" if measure.head is None else measure.head.name,
            head_scores=tuple(torch.cat(self._head_scores).tolist()) if self._head_scores else (),
            notes=(*measure.notes, *self._notes),
            unreadable=tuple(self._unreadable),
        )


def small_jpeg(picture: Image.Image) -> bytes:
    """`picture` (mode RGB) with its longer side at most `THUMBNAIL_SIDE` pixels."""
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()
