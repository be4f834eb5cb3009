"""An index of pictures that is brought up to date in a thread of its own, and can be watched and paused meanwhile."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..errors import ModelError, PseudowordError
from ..scoring.index_update import Progress, bring_up_to_date
from ..scoring.picture_index import PictureIndex
from ..training.memory import out_of_memory_as

if TYPE_CHECKING:
    from ..scoring import ClipScorer

log = logging.getLogger(__name__)

State: TypeAlias = Literal["looking", "reading", "paused", "up to date", "failed"]
UNDER_WAY: tuple[State, ...] = ("looking", "reading")
AT_ONCE = 8  # a large model on a CPU takes a second for one: so others have their turn, and one sees it going on
TOO_LITTLE_MEMORY = "There is too little memory for this CLIP model; choose a smaller one."


@dataclass(frozen=True)
class IndexWatched:
    """How it stands: `done` of `total` new pictures; `seconds_left` is None as long as nothing is known about it."""

    state: State
    message: str
    done: int
    total: int
    seconds_left: float | None


class PictureIndexJob:
    """It begins at once; every method may be called from any thread.

    `using` lends the model; half of the processors at most are used for decoding, so that the others are left alone.
    """

    def __init__(
        self,
        index: PictureIndex,
        roots: Sequence[str],
        using: Callable[[], AbstractContextManager[ClipScorer]],
        features: Path | None,
    ) -> None:
        self.roots = tuple(roots)
        self.ended_at = 0.0
        self._index, self._using, self._features = index, using, features
        self._changed = threading.Lock()  # guards what follows
        self._should_pause = False
        self._state: State = "looking"
        self._message = ""
        self._progress = Progress("looking", 0, 0)
        self._began_at = 0.0
        self._thread = threading.Thread(target=self._work, name="pseudoword-index", daemon=True)
        self._thread.start()

    def watch(self) -> IndexWatched:
        """How it stands now."""
        with self._changed:
            now = self._progress
            return IndexWatched(self._state, self._message, now.done, now.total, self._seconds_left())

    @property
    def is_under_way(self) -> bool:
        """Whether more will happen."""
        with self._changed:
            return self._state in UNDER_WAY

    def pause(self) -> None:
        """End after the pictures that are being encoded; another job goes on from there."""
        with self._changed:
            self._should_pause = True

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def _seconds_left(self) -> float | None:
        now = self._progress
        if not now.done or self._state != "reading":
            return None
        return (time.monotonic() - self._began_at) / now.done * (now.total - now.done)

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        state: State = "failed"
        message = ""
        try:
            with out_of_memory_as(lambda: ModelError(TOO_LITTLE_MEMORY)):
                state = "up to date" if self._bring_up_to_date() else "paused"
        except PseudowordError as problem:
            message = str(problem)
        except BaseException as problem:
            log.exception("The index of pictures could not be brought up to date")
            message = f"This should not have happened ({type(problem).__name__}: {problem})."
        with self._changed:
            self._state, self._message, self.ended_at = state, message, time.monotonic()

    def _bring_up_to_date(self) -> bool:
        """Whether it came to its end."""
        workers = max((os.cpu_count() or 1) // 2, 1)
        steps = bring_up_to_date(self._index, self.roots, self._using, self._features, AT_ONCE, workers)
        with contextlib.closing(steps):
            for progress in steps:
                with self._changed:
                    if progress.stage == "reading" and self._state == "looking":
                        self._began_at = time.monotonic()
                    self._state, self._progress = progress.stage, progress
                    if self._should_pause:
                        return False
        return True
