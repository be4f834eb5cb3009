"""What a run has learned so far, and the way back when its numbers break."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ..diffusion import DiffusionModel
from .checkpoint import Checkpoint, RunIdentity, RunState
from .settings import TrainSettings
from .vectors import LearnedWord, Start, kept_norms


@dataclass(frozen=True)
class _GoodState:
    """A moment to go back to: `word` is `LearnedWord.state()`, `best` the best vectors by then."""

    state: RunState
    word: Mapping[str, Tensor]
    best: Mapping[str, Tensor]


class Learner:
    """The word being learned, all else that changes from step to step, and the last moment known to be good.

    `start` is where the word began, `word` is it now, and `best` its vectors (n, D) by encoder at the best step.
    """

    def __init__(self, model: DiffusionModel, settings: TrainSettings, start: Start, state: RunState) -> None:
        self.start = start
        self.state = state
        self.best: Mapping[str, Tensor] = start.vectors
        self.word = LearnedWord(
            start.vectors,
            model.device,
            norms=kept_norms(model, start.vectors) if settings.norm == "vocabulary" else None,
            weight_decay=settings.weight_decay,
            clip_grad=settings.clip_grad,
            hold=settings.hold,
        )
        self.word.restore({**self.word.state(), **start.moments})
        self.is_whole = True
        self.remember()

    @classmethod
    def resumed(cls, model: DiffusionModel, settings: TrainSettings, checkpoint: Checkpoint) -> Learner:
        """As it was when `checkpoint` was made."""
        learner = cls(model, settings, Start(checkpoint.start, checkpoint.start_words), checkpoint.state)
        learner.word.restore(checkpoint.word)
        learner.best = checkpoint.best
        learner.remember()
        return learner

    def checkpoint(self, identity: RunIdentity) -> Checkpoint:
        """All of it, to be saved."""
        return Checkpoint(identity, self.state, self.start.words, self.start.vectors, self.best, self.word.state())

    def vectors(self, which: Literal["best", "last"]) -> Mapping[str, Tensor]:
        """The vectors (n, D) by encoder of the best or the last step, on the CPU."""
        return self.best if which == "best" else self.word.copied_vectors()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Things that must change together: `is_whole` is False meanwhile, and stays so after an interruption."""
        self.is_whole = False
        yield
        self.is_whole = True

    def observe(self, loss: float) -> None:
        """Take in the validation `loss` of the present vectors."""
        with self.changing():
            self.state.validated_at = self.state.step
            if self.state.progress.observe(self.state.step, loss):
                self.best = self.word.copied_vectors()

    def remember(self) -> None:
        """Make this the moment that `go_back` goes back to."""
        if self.state.step > self.state.last_setback_step:
            self.state.setbacks = 0
        self._good = _GoodState(self.state.copy(), self.word.state(), self.best)

    def go_back(self, step: int) -> None:
        """Return to the moment remembered, at half the learning rate, after `step` failed."""
        with self.changing():
            failed, self.state = self.state, self._good.state.copy()
            self.state.setbacks = failed.setbacks + 1
            self.state.last_setback_step = max(step, failed.last_setback_step)
            self.state.rate_factor = failed.rate_factor / 2
            # What was learned about the machine, and the time that passed, stay.
            self.state.micro_batch, self.state.seconds = failed.micro_batch, failed.seconds
            self.state.loss_scale = failed.loss_scale
            self.word.restore(self._good.word)
            self.best = self._good.best
