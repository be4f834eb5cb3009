"""One training in a thread of its own, in slices, which can be watched, paused, resumed and ended meanwhile."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..diffusion import BetweenPasses
from ..embedding import save_embedding
from ..errors import PseudowordError, TrainingError
from ..training.events import Event, Finished, Preparing, StepDone, Warned
from ..training.run_folder import RunFolder
from ..training.settings import TrainSettings
from ..training.trainer import TrainingRun
from .slices import SLICE_S, Interrupted, Slices

log = logging.getLogger(__name__)

State: TypeAlias = Literal["preparing", "training", "paused", "finished", "stopped", "cancelled", "failed"]
Order: TypeAlias = Literal["go on", "pause", "stop", "cancel"]
ENDED: tuple[State, ...] = ("finished", "stopped", "cancelled", "failed")


@dataclass(frozen=True)
class Watched:
    """What a training looks like at one moment. `seconds_left` is None as long as nothing is known about it."""

    state: State
    message: str
    name: str
    prepared: tuple[int, int]  # pictures encoded, of how many
    step: int
    steps: int
    seconds_left: float | None
    warnings: tuple[str, ...]
    records: tuple[dict[str, Any], ...]  # the run's history (see `training.history`)


class TrainingJob:
    """A training that is under way. It begins at once; every method may be called from any thread.

    `make_run` is called in the job's thread. The model is used inside `turns` only, about `slice_s()` seconds at a
    time. `publish` is called with the file of the word that was learned, outside of `turns`.
    """

    def __init__(
        self,
        settings: TrainSettings,
        files: RunFolder,
        make_run: Callable[[BetweenPasses], TrainingRun],
        turns: AbstractContextManager[None],
        slice_s: Callable[[], float] = lambda: SLICE_S,
        publish: Callable[[Path], None] = lambda word: None,
    ) -> None:
        self.settings = settings
        self.files = files
        self._make_run = make_run
        self._turns = turns
        self._slices = Slices(turns, self._borrowed, slice_s, lambda: self._order == "go on")
        self._publish = publish
        self._changed = threading.Condition()  # guards what follows
        self._order: Order = "go on"
        self._state: State = "preparing"
        self._message = ""
        self._prepared = (0, 0)
        self._latest: StepDone | None = None
        self._warnings: list[str] = []
        self._run: TrainingRun | None = None
        self._thread = threading.Thread(target=self._work, name=f"training {settings.name}", daemon=True)
        self._thread.start()

    # ---- from outside ----------------------------------------------------------------------------------------------

    def watch(self) -> Watched:
        """How it stands now."""
        with self._changed:
            records = [] if self._run is None else self._run.records
            latest = self._latest
            return Watched(
                self._state,
                self._message,
                self.settings.name,
                self._prepared,
                0 if latest is None else latest.step,
                self.settings.steps,
                None if latest is None or self._state != "training" else latest.seconds_left,
                tuple(self._warnings),
                tuple(records),
            )

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        with self._changed:
            return self._state in ENDED

    def pause(self) -> None:
        """Save, and free the model after the step that is under way."""
        self._give("pause", among=("go on",))

    def resume(self) -> None:
        """Go on after a pause."""
        self._give("go on", among=("pause",))

    def stop(self) -> None:
        """End now and keep the word as it was at its best step."""
        self._give("stop", among=("go on", "pause"))

    def cancel(self) -> None:
        """End now and remove the run."""
        self._give("cancel", among=("go on", "pause", "stop"))

    def pause_and_wait(self, timeout_s: float = 60.0) -> None:
        """Pause, and wait until all is saved."""
        self.pause()
        with self._changed:
            self._changed.wait_for(lambda: self._state in (*ENDED, "paused"), timeout_s)

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def _give(self, order: Order, among: tuple[Order, ...]) -> None:
        with self._changed:
            if self._order in among and self._state not in ENDED:
                self._order = order
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

    def _train(self) -> None:
        with self._turns:
            run = self._make_run(self._slices.between_passes)
        with self._changed:
            self._run = run
        finished = False
        while not finished and self._wait_for_order() == "go on":
            try:
                with contextlib.closing(run.events()) as events:  # closing it saves
                    finished = self._go_on(events)
            except TrainingError as problem:  # a full disk and the like: nothing is lost, and it can be put right
                if not run.has_begun:
                    raise
                self._give("pause", among=("go on",))
                self._become("paused", str(problem))
        if run.has_begun and (finished or self._order == "stop"):
            self._keep(run, finished)
        else:
            self._remove()

    def _wait_for_order(self) -> Order:
        """Wait while paused; returns what to do then."""
        with self._changed:
            if self._order == "pause" and self._state != "paused":
                self._state, self._message = "paused", "Paused and saved."
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._order != "pause")
            if self._order == "go on":
                self._state, self._message = "preparing", ""
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
                self._latest = event
            elif isinstance(event, Warned):
                self._warnings.append(event.message)

    def _keep(self, run: TrainingRun, finished: bool) -> None:
        path = self.files.path / f"{self.settings.name}.safetensors"
        save_embedding(run.result("best"), path, overwrite=True)
        said = f"Write {self.settings.name} in a prompt to use it."
        try:
            self._publish(path)
        except PseudowordError as problem:
            said = str(problem)
        if finished:
            self._become("finished", f"Learned. {said}")
        else:
            self._become("stopped", f"Stopped, and kept as it was at its best step. {said}")

    def _remove(self) -> None:
        """Remove the run's folder, which is the job's own."""
        with self._changed:
            self._run = None  # with it what could be seen of it
        try:
            shutil.rmtree(self.files.path)
        except OSError as problem:
            self._become("cancelled", f"Cancelled, but {problem.filename} could not be removed ({problem.strerror}).")
        else:
            self._become("cancelled", "Cancelled; nothing of it is left.")

    def _become(self, state: State, message: str) -> None:
        with self._changed:
            self._state, self._message = state, message
            self._changed.notify_all()
