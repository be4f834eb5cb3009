"""Work in a thread of its own, which can be watched, paused, resumed and ended meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from ..errors import ModelError, PseudowordError
from ..training.memory import give_back_memory, out_of_memory_as
from .job_queue import Standing, SteeringOrder
from .slices import Interrupted
from .store.job_states import JobState
from .turns import WantedTurns

log = logging.getLogger(__name__)

State: TypeAlias = Literal[
    "waiting",
    "making",
    "scoring",
    "looking",
    "reading",
    "round trips",
    "paused",
    "finished",
    "cancelled",
    "failed",
]
"""What work says of itself; each kind knows some of them. What is cancelled keeps what was made by then."""
Wanted: TypeAlias = Literal["go on", "pause", "cancel", "discard"]
ENDED: tuple[State, ...] = ("finished", "cancelled", "failed")
WAITS = "It waits for its turn."
HELD_BACK = "Paused; it waits until it is resumed."
OF_QUEUE: Mapping[State, JobState] = {"finished": "finished", "failed": "failed", "paused": "paused"}


class HeldUp(Exception):
    """It cannot go on as things are, which can be put right: a job of the queue is paused, for this reason."""


@dataclass(frozen=True)
class Queued:
    """What a job of the queue needs besides: its `folder`, and whom to tell that something has changed (`heard`).

    One that is found again is in `state`, with a `message`, `done` of its work and `seconds` that it took by then.
    """

    folder: Path
    heard: Callable[[], None]
    state: State = "waiting"
    message: str = WAITS
    done: int = 0
    total: int = 0
    seconds: float = 0.0


class WatchedJob(ABC):
    """It works from `begin` on, in `_do`; every method may be called from any thread.

    What waits has its place among others in `_turns`, if there are any. Without `queued` nobody pauses it.
    """

    KIND: ClassVar[str] = ""  # of jobs of the queue
    CANCELLING: ClassVar[str] = "Cancelling, after the pass that is under way."
    CANCELLED: ClassVar[str] = "Cancelled; what was made by then is kept."
    NOTHING: ClassVar[str] = "Cancelled, before anything was made."
    TOO_LITTLE_MEMORY: ClassVar[str]

    def __init__(self, id: str, name: str, queued: Queued | None = None) -> None:
        self.id = id
        self._name = name
        self._heard = (lambda: None) if queued is None else queued.heard
        self._turns: WantedTurns | None = None
        self._changed = threading.Condition()  # guards what follows
        self._wanted: Wanted = "go on"
        self._state: State = "waiting" if queued is None else queued.state
        self._message = "" if queued is None else queued.message
        self._done, self._total = (0, 0) if queued is None else (queued.done, queued.total)
        self._thread: threading.Thread | None = None  # the latest
        self._works = False
        self._began_at = self._latest_at = 0.0
        self._done_before = 0
        self._seconds = 0.0 if queued is None else queued.seconds  # that it took before it began the last time

    # ---- from outside ----------------------------------------------------------------------------------------------

    def begin(self) -> bool:
        """Work until the end or a pause. False where it does not wait any more."""
        with self._changed:
            if self._state != "waiting" or self._wanted != "go on" or self._works:
                return False
            self._message, self._works = "", True
            self._thread = threading.Thread(target=self._work, name=f"{self._name} {self.id}", daemon=True)
            self._thread.start()
            return True

    def standing(self) -> Standing:
        """How it stands now, as the queue wants to know it."""
        with self._changed:
            state: JobState = OF_QUEUE.get(self._state, "running")
            if self._state == "waiting" and not self._works:
                state = "waiting"
            elif self._state == "cancelled":
                state = "stopped" if self._done and self._wanted != "discard" else "cancelled"
            result = self._result_of_queue() if state in ("finished", "stopped") else {}
            return Standing(state, self._message, self._done, self._total, self._seconds_left(), result=result)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        with self._changed:
            return self._state in ENDED

    def pause(self) -> None:
        """Free the model soon; where it waits, do not begin."""
        with self._changed:
            if self._state in ENDED or self._wanted != "go on":
                return
            if self._works:
                self._wanted = "pause"
            elif self._state == "waiting":
                self._enter("paused", HELD_BACK)
        self._tell()

    def resume(self) -> None:
        """Go on after a pause, or try again after a failure, as soon as its turn comes."""
        with self._changed:
            if self._wanted == "pause":  # which was not followed yet
                self._wanted = "go on"
            elif not self._works and self._state in ("paused", "failed"):
                self._enter("waiting", WAITS)
        self._tell()

    def cancel(self) -> None:
        """End soon, and at once where it waits; what was made by then is kept."""
        self._end("cancel")

    def discard(self) -> None:
        """End soon, and keep nothing."""
        self._end("discard")

    def follow(self, order: SteeringOrder) -> None:
        """Do what somebody wants of it who sees the list of jobs."""
        {"pause": self.pause, "resume": self.resume, "stop": self.cancel, "cancel": self.discard}[order]()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end, or for a pause."""
        with self._changed:
            self._changed.wait_for(self._is_over, timeout_s)
            is_stuck = self._works and not self._began_at  # it only has to find out that nobody wants it any more
            thread = self._thread if self._is_over() and not is_stuck else None
        if thread is not None:
            thread.join(timeout_s)

    def wait_for_rest(self, timeout_s: float) -> None:
        """Wait until nobody works at it."""
        self.wait(timeout_s)

    def forget(self) -> None:  # noqa: B027 - most keep nothing there
        """Let go of what it keeps on the disk; nobody finds it any more."""

    # ---- what each kind says ---------------------------------------------------------------------------------------

    @abstractmethod
    def _do(self) -> str:
        """Do the work; returns what to say in the end. Raises Interrupted where `_go_on` or a turn does."""

    def _result_of_queue(self) -> Mapping[str, Any]:
        """What the list of jobs is to know of the result; called with the lock held."""
        return {"seconds": round(self._seconds_so_far(), 3)}

    def _left(self) -> None:  # noqa: B027
        """Nobody works any more, for now or at all; called in the thread."""

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        state: State = "failed"
        try:
            with out_of_memory_as(lambda: ModelError(self.TOO_LITTLE_MEMORY)):
                message = self._do()
            state = "finished"
        except Interrupted:
            state, message = self._interrupted()
        except HeldUp as problem:
            state, message = "paused", str(problem)
        except PseudowordError as problem:
            message = str(problem)
        except BaseException as problem:
            log.exception("Work of the kind %r failed", self._name)  # not by its id, which is a secret
            message = f"This should not have happened ({type(problem).__name__}: {problem})."
        self._left()
        with self._changed:
            self._seconds, self._began_at = self._seconds_so_far(), 0.0
            self._works = False
            if self._state not in ENDED:  # it was cancelled while it waited
                self._enter(state, message)
        self._tell()
        give_back_memory()

    def _interrupted(self) -> tuple[State, str]:
        with self._changed:
            if self._wanted in ("cancel", "discard"):
                return "cancelled", self.CANCELLED
            is_paused, self._wanted = self._wanted == "pause", "go on"
        return ("paused", "Paused.") if is_paused else ("waiting", WAITS)  # resumed before it was followed

    def _go_on(self, done: int = 0) -> None:
        """Count what was `done`. Raises Interrupted where the work is no longer wanted."""
        if done:
            self._count(done)
        if not self._is_wanted():
            raise Interrupted

    def _count(self, done: int) -> None:
        with self._changed:
            self._done += done
            self._latest_at = time.monotonic()

    def _start_clock(self) -> None:
        """Estimate from now on; what was done before took another time."""
        with self._changed:
            self._seconds, self._began_at = self._seconds_so_far(), time.monotonic()
            self._latest_at, self._done_before = self._began_at, self._done

    def _is_wanted(self) -> bool:
        with self._changed:
            return self._wanted == "go on"

    def _be(self, state: State, message: str = "") -> None:
        """Work in that way from now on. Raises Interrupted where the work is no longer wanted."""
        with self._changed:
            if self._wanted != "go on":
                raise Interrupted
            if not self._began_at:
                self._start_clock()
            self._state, self._message = state, message

    # ---- with or without the lock ----------------------------------------------------------------------------------

    def _end(self, wanted: Wanted) -> None:
        with self._changed:
            if self._state in ENDED:
                return
            self._wanted = wanted
            if not self._works or self._state == "waiting":
                self._enter("cancelled", self.CANCELLED if self._done else self.NOTHING)
            else:
                self._message = self.CANCELLING
        self._tell()

    def _enter(self, state: State, message: str) -> None:
        """Be in another state; called with the lock held."""
        self._state, self._message = state, message
        self._changed.notify_all()

    def _tell(self) -> None:
        if self._turns is not None:
            self._turns.look_again()
        self._heard()

    def _is_over(self) -> bool:
        return self._state in (*ENDED, "paused")

    def _seconds_so_far(self) -> float:
        return self._seconds + (time.monotonic() - self._began_at if self._began_at else 0.0)

    def _seconds_left(self) -> float | None:
        """Called with the lock held."""
        done = self._done - self._done_before
        if not self._began_at or done <= 0 or self._state in ("waiting", *ENDED):
            return None
        each = (self._latest_at - self._began_at) / done
        return max(0.0, each * (self._total - self._done) - (time.monotonic() - self._latest_at))
