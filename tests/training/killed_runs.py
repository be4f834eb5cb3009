"""Starts runs that kill themselves with SIGKILL: python -m tests.training.killed_runs FOLDER MOMENT…

Each MOMENT has a run in FOLDER/MOMENT, in a process of its own that is forked from this one, since importing torch
takes longer than the run. Prints one line of JSON: the signal that ended each. Moments with a file's name come from the
interpreter's own audit events, so the kill hits between two system calls of the code as it is.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from pseudoword.diffusion import Conditioning
from pseudoword.training.events import Saved
from tests.tiny_models import TinyModel
from tests.training.small_runs import one_thread, run_in, settings

IN_THE_MODEL = {
    "in-a-step": {"predict_calls": 42},
    "in-a-validation": {"predict_calls": 78},
    "in-a-preview": {"generate_calls": 7},
}
"""Moments by the call of `DeadlyModel`."""

AT_A_FILE = {
    "while-the-first-checkpoint-is-written": ("os.rename", "last/", 1),
    "before-history-is-appended": ("open", "history.jsonl", 2),
    "while-a-checkpoint-is-written": ("open", "run/.pseudoword-", 3),
    "before-the-best-is-renamed": ("os.rename", "best/", 3),
    "before-the-checkpoint-is-renamed": ("os.rename", "checkpoint.safetensors", 3),
    "before-the-contact-sheet": ("os.rename", "contact-sheet.png", 1),
}
"""Moments by the arguments of `die_at_file`."""

JUST_AFTER = "just-after-the-checkpoint"
MOMENTS = (*IN_THE_MODEL, *AT_A_FILE, JUST_AFTER)


def die() -> None:
    """End this process at once, without any clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyModel(TinyModel):
    """Kills the process at the given call of `predict`, or of `generate`; 0: never."""

    def __init__(self, predict_calls: int = 0, generate_calls: int = 0) -> None:
        super().__init__()
        self._left = {"predict": predict_calls, "generate": generate_calls}

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's answer, unless this is the call."""
        self._count("predict")
        return super().predict(latents, timesteps, conditioning)

    def generate(self, *arguments: Any) -> Any:
        """Pictures, unless this is the call."""
        self._count("generate")
        return super().generate(*arguments)

    def _count(self, call: str) -> None:
        self._left[call] -= 1
        if self._left[call] == 0:
            die()


def die_at_file(event: str, name: str, count: int) -> None:
    """Die at the `count`th audit `event` ("open" or "os.rename") that is about a file whose name contains `name`."""
    left = [count]

    def audit(happening: str, arguments: tuple[Any, ...]) -> None:
        if happening != event:
            return
        path = arguments[1 if event == "os.rename" else 0]
        writes = event == "os.rename" or any(letter in str(arguments[1]) for letter in "awx")
        if writes and name in str(path):
            left[0] -= 1
            if left[0] == 0:
                die()

    sys.addaudithook(audit)


def run_until(moment: str, folder: Path) -> None:
    """Train in `folder` until `moment` comes, and die."""
    if moment in AT_A_FILE:
        die_at_file(*AT_A_FILE[moment])
    model = DeadlyModel(**IN_THE_MODEL.get(moment, {}))
    for event in run_in(folder, model, settings()).events():
        if moment == JUST_AFTER and isinstance(event, Saved) and event.step == 5:
            die()


def main() -> None:
    """Run all moments of the command line, one after the other."""
    import matplotlib.figure
    import transformers  # noqa: F401 - once, not in each child

    assert matplotlib.figure
    one_thread()
    TinyModel()
    folder, moments = Path(sys.argv[1]), sys.argv[2:]
    signals = {}
    for moment in moments:
        child = os.fork()
        if child == 0:
            try:
                run_until(moment, folder / moment)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        signals[moment] = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1
    print(json.dumps(signals))


if __name__ == "__main__":
    main()
