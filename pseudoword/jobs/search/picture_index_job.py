"""An index of pictures that is brought up to date in a thread of its own, and can be watched and paused meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from ...embedding.whole_file import write_whole
from ...errors import JobError
from ...scoring.index_update import bring_up_to_date
from ...scoring.picture_index import PictureIndex
from ..watched_job import Queued, WatchedJob

if TYPE_CHECKING:
    from ...scoring.clip import Using

State: TypeAlias = Literal["waiting", "looking", "reading", "paused", "up to date", "failed"]
UNDER_WAY: tuple[State, ...] = ("waiting", "looking", "reading")
REQUEST = "request.json"  # in the folder of a job of the queue
AT_ONCE = 8  # a large model on a CPU takes a second for one: so others have their turn, and one sees it going on


@dataclass(frozen=True)
class IndexWatched:
    """How it stands: `done` of `total` new pictures; `seconds_left` is None as long as nothing is known about it."""

    state: State
    message: str
    done: int
    total: int
    seconds_left: float | None


class PictureIndexJob(WatchedJob):
    """Brings an index up to date; its files are its checkpoint, from which another job goes on, too.

    `opened` opens the index, in the job's thread, with what lends the model. Half of the processors at most are used
    for decoding, so that the others are left alone.
    """

    KIND = "indexing"
    TOO_LITTLE_MEMORY = "There is too little memory for this CLIP model; choose a smaller one."

    def __init__(
        self,
        id: str,
        opened: Callable[[], tuple[PictureIndex, Using]],
        roots: Sequence[str],
        features: Path | None,
        queued: Queued | None = None,
    ) -> None:
        super().__init__(id, "index", queued)
        self.roots = tuple(roots)
        self.ended_at = 0.0
        self._opened, self._features = opened, features
        self._is_queued = queued is not None
        self._says: list[str] = []

    def watch(self) -> IndexWatched:
        """How it stands now."""
        with self._changed:
            shown = {"finished": "up to date", "cancelled": "paused"}.get(self._state, self._state)
            message = self._message if self._state == "failed" else ""
            return IndexWatched(cast(State, shown), message, self._done, self._total, self._seconds_left())

    @property
    def is_under_way(self) -> bool:
        """Whether more will happen by itself."""
        return self.watch().state in UNDER_WAY

    def _do(self) -> str:
        self._be("looking")
        index, using = self._opened()
        workers = max((os.cpu_count() or 1) // 2, 1)
        steps = bring_up_to_date(index, self.roots, using, self._features, AT_ONCE, workers)
        with contextlib.closing(steps):
            for progress in steps:
                is_first = progress.stage == "reading" and self._state == "looking"
                self._be(progress.stage)
                if is_first:
                    self._start_clock()
                with self._changed:
                    self._done, self._total, self._latest_at = progress.done, progress.total, time.monotonic()
                self._heard()
        if self._is_queued:
            known, unreadable = index.count(self.roots), len(index.unreadable(self.roots))
            told = [f"{known:,} {'picture' if known == 1 else 'pictures'} can be found."]
            self._says = [*told, f"{unreadable:,} could not be read."] if unreadable else told
        return ""

    def _result_of_queue(self) -> Mapping[str, Any]:
        return {**super()._result_of_queue(), "says": self._says}

    def _left(self) -> None:
        self.ended_at = time.monotonic()


def write_request(asked: Mapping[str, Any], folder: Path) -> None:
    """Put what an index is to be made of into the job's `folder`. Raises EmbeddingFileError."""
    write_whole(folder / REQUEST, (json.dumps(asked, indent=2) + "\n").encode(), overwrite=True)


def read_request(folder: Path) -> dict[str, Any]:
    """What `write_request` put there. Raises JobError where it cannot be read."""
    try:
        asked = json.loads((folder / REQUEST).read_bytes())
        return {"model": str(asked["model"]), "identity": str(asked["identity"]), "roots": tuple(asked["roots"])}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise JobError(f"Which folders were to be read is not known any more ({problem}); start anew.") from problem
