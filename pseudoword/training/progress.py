"""Which step was best so far, and whether going on is still worth it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

GAIN_THAT_COUNTS = 0.02  # of all that was gained since the start


@dataclass
class Progress:
    """The validation curve in five numbers. Losses are None until the first validation.

    A validation counts as progress when it beats the last one that did by at least `GAIN_THAT_COUNTS` of the whole gain
    since the start: a measure without a unit, so that it holds for every model and picture set. Everything lower than
    before becomes the best step, however little it gained.
    """

    start_loss: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    milestone_loss: float | None = None
    stale: int = 0

    def observe(self, step: int, loss: float) -> bool:
        """Take in the validation `loss` at `step`; True where it is the lowest so far."""
        if self.start_loss is None or self.milestone_loss is None or self.best_loss is None:
            self.start_loss = self.best_loss = self.milestone_loss = loss
            self.best_step = step
            return True
        needed = GAIN_THAT_COUNTS * max(self.start_loss - self.milestone_loss, 0.0)
        if loss < self.milestone_loss - needed:
            self.milestone_loss, self.stale = loss, 0
        else:
            self.stale += 1
        if loss >= self.best_loss:
            return False
        self.best_loss, self.best_step = loss, step
        return True

    def copy(self) -> Progress:
        """An independent copy."""
        return dataclasses.replace(self)
