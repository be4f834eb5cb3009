"""One training in a thread of its own, in slices, which can be watched, paused, resumed and ended meanwhile.

It waits until its turn comes (`begin`), and has none while it is paused.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ...diffusion import BetweenPasses
from ...embedding import save_embedding
from ...errors import ModelError, PseudowordError, TrainingError
from ...training.events import Event, Finished, Preparing, StepDone, Warned
from ...training.memory import give_back_memory
from ...training.run_folder import RunFolder, write_whole
from ...training.settings import TrainSettings
from ...training.trainer import TrainingRun
from ..job_queue import Standing, SteeringOrder
from ..slices import SLICE_S, Interrupted, Slices
from .run_results import result_of, without_steps

log = logging.getLogger(__name__)

State: TypeAlias = Literal["waiting", "preparing", "training", "paused", "finished", "stopped", "cancelled", "failed"]
Order: TypeAlias = Literal["go on", "pause", "stop", "cancel"]
ENDED: tuple[State, ...] = ("finished", "stopped", "cancelled", "failed")
WAITS = "It waits for its turn."
HELD_BACK = "Paused; it waits until it is resumed."


@dataclass(frozen=True)
class Watched:
    """What a training looks like at one moment. `seconds_left` is None as long as nothing is known about it.

    `records` are of the run's history (see `training.history`); after its end without the single steps but the last.
    """

    state: State
    message: str
    name: str
    prepared: tuple[int, int]  # pictures encoded, of how many
    step: int
    steps: int
    seconds_left: float | None
    warnings: tuple[str, ...]
    records: tuple[dict[str, Any], ...]


class TrainingJob:
    """A training, from `begin` on; every method may be called from any thread.

    `make_run` is called in the job's thread. The model is used inside `turns` only, about `slice_s()` seconds at a
    time. `publish` is called with the file of the word that was learned, outside of `turns`, and `heard` whenever
    anything has changed, without any lock of this object. A run that was found again after a restart may be "paused",
    with a `message`, and have done `step` steps.
    """

    def __init__(
        self,
        settings: TrainSettings,
        files: RunFolder,
        make_run: Callable[[BetweenPasses], TrainingRun],
        turns: AbstractContextManager[None],
        slice_s: Callable[[], float] = lambda: SLICE_S,
        publish: Callable[[Path], None] = lambda word: None,
        heard: Callable[[], None] = lambda: None,
        id: str = "",
        owner: str = "",
        state: Literal["waiting", "paused"] = "waiting",
        message: str = WAITS,
        step: int = 0,
    ) -> None:
        self.settings = settings
        self.files = files
        self.id = id
        self.owner = owner
        self.changed_at = time.monotonic()  # its state
        self._make_run = make_run
        self._turns = turns
        self._slices = Slices(turns, self._borrowed, slice_s, lambda: self._order == "go on")
        self._publish = publish
        self._heard = heard
        self._changed = threading.Condition()  # guards what follows
        self._order: Order = "pause"
        self._state: State = state
        self._message = message
        self._prepared = (0, 0)
        self._step = step
        self._seconds_left: float | None = None
        self._warnings: list[str] = []
        self._run: TrainingRun | None = None
        self._records: tuple[dict[str, Any], ...] = ()  # after the end
        self._thread: threading.Thread | None = None

    # ---- from outside ----------------------------------------------------------------------------------------------

    def begin(self) -> bool:
        """Its turn has come: train until it ends or is paused. False where it does not wait any more."""
        with self._changed:
            if self._state != "waiting" or self._order != "pause":
                return False
            self._enter("preparing", "")
            self._order = "go on"
            self._wake()
            return True

    def watch(self) -> Watched:
        """How it stands now."""
        with self._changed:
            return Watched(
                self._state,
                self._message,
                self.settings.name,
                self._prepared,
                self._step,
                self.settings.steps,
                self._seconds_left if self._state == "training" else None,
                tuple(self._warnings),
                self._records if self._run is None else tuple(self._run.records),
            )

    def standing(self) -> Standing:
        """How it stands now, as the queue wants to know it."""
        with self._changed:
            return Standing(
                "running" if self._state == "preparing" or self._state == "training" else self._state,
                self._message,
                self._step,
                self.settings.steps,
                self._seconds_left if self._state == "training" else None,
                tuple(self._warnings),
                result_of(self._records),
            )

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        with self._changed:
            return self._state in ENDED

    @property
    def is_at_rest(self) -> bool:
        """Whether it is paused and never began here, as after a restart: there is nothing of it but its folder."""
        with self._changed:
            return self._state == "paused" and self._thread is None

    def pause(self) -> None:
        """Save, and free the model after the step that is under way; where it waits, do not begin."""
        with self._changed:
            is_held_back = self._state == "waiting" and self._order == "pause"
            if is_held_back:
                self._enter("paused", HELD_BACK)
        if is_held_back:
            self._heard()
        else:
            self._give("pause", among=("go on",))

    def resume(self) -> None:
        """Go on after a pause, as soon as its turn comes."""
        with self._changed:
            if self._order != "pause":
                return
            if self._state != "paused":  # the pause was not followed yet; or it waits already
                if self._state != "waiting":
                    self._order = "go on"
                return
            self._enter("waiting", WAITS)
        self._heard()

    def stop(self) -> None:
        """End now and keep the word as it was at its best step."""
        self._give("stop", among=("go on", "pause"))

    def cancel(self) -> None:
        """End now and remove the run."""
        self._give("cancel", among=("go on", "pause", "stop"))

    def follow(self, order: SteeringOrder) -> None:
        """Do what somebody wants of it."""
        getattr(self, order)()

    def wait_for_rest(self, timeout_s: float) -> None:
        """Wait until it has ended, or is paused and all is saved."""
        with self._changed:
            self._changed.wait_for(lambda: self._state in (*ENDED, "paused"), timeout_s)

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""
        with self._changed:
            self._changed.wait_for(lambda: self._state in ENDED, timeout_s)
            thread = self._thread
        if thread is not None and self.has_ended:
            thread.join(timeout_s)

    def _give(self, order: Order, among: tuple[Order, ...]) -> None:
        with self._changed:
            if self._order in among and self._state not in ENDED:
                self._order = order
                self._wake()

    def _enter(self, state: State, message: str) -> None:
        """Be in another state; called with the lock held."""
        self._state, self._message, self.changed_at = state, message, time.monotonic()
        self._changed.notify_all()

    def _wake(self) -> None:
        """Let the thread see what changed; called with the lock held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"training {self.settings.name}", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._train()
        except PseudowordError as problem:
            self._become("failed", str(problem))
        except BaseException as problem:
            log.exception("The training of %s failed", self.settings.name)
            self._become("failed", f"This should not have happened ({type(problem).__name__}: {problem}).")
        give_back_memory()

    def _train(self) -> None:
        finished = False
        while not finished and self._wait_for_order() == "go on":
            run = self._made()
            if run is None:
                continue
            try:
                with contextlib.closing(run.events()) as events:  # closing it saves
                    finished = self._go_on(events)
            except TrainingError as problem:  # a full disk and the like: nothing is lost, and it can be put right
                if not run.has_begun:
                    raise
                self._pause_because(problem)
        with self._changed:
            has_begun, is_stopped = self._run is not None and self._run.has_begun, self._order == "stop"
        earlier = self.files.word(self.settings.name, "best")  # of a run that was found again, and never resumed
        if has_begun and (finished or is_stopped):
            self._keep(finished)
        elif not has_begun and is_stopped and earlier.is_file():
            self._keep_earlier(earlier)
        else:
            self._remove()

    def _made(self) -> TrainingRun | None:
        """The run, made when it is first needed. None where the model is not there: it is paused then."""
        if self._run is None:
            try:
                with self._turns:
                    run = self._make_run(self._slices.between_passes)
            except ModelError as problem:
                self._pause_because(problem)
                return None
            with self._changed:
                self._run = run
        return self._run

    def _pause_because(self, problem: PseudowordError) -> None:
        self._give("pause", among=("go on",))
        self._become("paused", str(problem))

    def _wait_for_order(self) -> Order:
        """Wait while paused; returns what to do then."""
        with self._changed:
            is_new = self._order == "pause" and self._state not in ("paused", "waiting")
            if is_new:
                self._enter("paused", "Paused and saved.")
        if is_new:
            self._heard()
        with self._changed:
            self._changed.wait_for(lambda: self._order != "pause")
            return self._order

    def _go_on(self, events: Iterator[Event]) -> bool:
        """Train in slices until the run has finished, which is returned, or another order came."""
        with contextlib.suppress(Interrupted), self._slices.one():
            while True:
                self._slices.between_passes()
                event = next(events)
                self._note(event)
                if isinstance(event, Finished):
                    return True
        return False

    def _borrowed(self) -> AbstractContextManager[None]:
        assert self._run is not None
        return self._run.model.borrowed()

    def _note(self, event: Event) -> None:
        with self._changed:
            if isinstance(event, Preparing):
                self._prepared = (event.done, event.total)
            else:
                self._state = "training"
            if isinstance(event, StepDone):
                self._step, self._seconds_left = event.step, event.seconds_left
            elif isinstance(event, Warned):
                self._warnings.append(event.message)
        self._heard()

    def _keep(self, finished: bool) -> None:
        assert self._run is not None
        path = self.files.path / f"{self.settings.name}.safetensors"
        save_embedding(self._run.result("best"), path, overwrite=True)
        said = self._published(path)
        if finished:
            self._become("finished", f"Learned. {said}")
        else:
            self._become("stopped", f"Stopped, and kept as it was at its best step. {said}")

    def _keep_earlier(self, best: Path) -> None:
        path = self.files.path / f"{self.settings.name}.safetensors"
        write_whole(path, best.read_bytes())
        self._become("stopped", f"Stopped, and kept as it was when it was last saved. {self._published(path)}")

    def _published(self, path: Path) -> str:
        try:
            self._publish(path)
        except PseudowordError as problem:
            return str(problem)
        return f"Write {self.settings.name} in a prompt to use it."

    def _remove(self) -> None:
        """Remove the run's folder, which is the job's own."""
        with self._changed:
            self._run = None  # with it what could be seen of it
        try:
            shutil.rmtree(self.files.path)
        except FileNotFoundError:
            self._become("cancelled", "Cancelled; nothing of it is left.")
        except OSError as problem:
            self._become("cancelled", f"Cancelled, but {problem.filename} could not be removed ({problem.strerror}).")
        else:
            self._become("cancelled", "Cancelled; nothing of it is left.")

    def _become(self, state: State, message: str) -> None:
        with self._changed:
            self._enter(state, message)
            if state in ENDED and self._run is not None:
                self._records = without_steps(self._run.records)
                self._run = None  # pictures and optimiser need their memory no more
        self._heard()
