"""The folder of one training run, and files that arrive in it whole or not at all.

settings.json            what was asked for
checkpoint.safetensors   all that is needed to go on
history.jsonl            one event a line
best/NAME.safetensors    the word at its best step, ready to be used
last/NAME.safetensors    the word at its last step
previews/                pictures of the word, one row a file
curve.png, contact-sheet.png
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..embedding import whole_file
from ..errors import EmbeddingFileError, TrainingError

UNFINISHED = ".pseudoword-*.tmp"  # what `whole_file` leaves of a file when the process is killed meanwhile


class RunFolder:
    """Names of the files in the run's folder `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "settings.json"
        self.checkpoint = path / "checkpoint.safetensors"
        self.history = path / "history.jsonl"
        self.previews = path / "previews"
        self.curve = path / "curve.png"
        self.contact_sheet = path / "contact-sheet.png"

    def word(self, name: str, which: str) -> Path:
        """Where the embedding of the "best" or "last" step is; its file name is the word, as every program expects."""
        return self.path / which / f"{name}.safetensors"

    def preview(self, step: int, kind: str = "") -> Path:
        """Where the pictures made at `step` are."""
        return self.previews / f"step-{step:06d}{kind}.png"

    def make(self) -> None:
        """Create the folder and those in it. Raises TrainingError where that is not possible."""
        with reporting_failed_writes(self.path):
            for folder in self._folders():
                folder.mkdir(parents=True, exist_ok=True)

    def remove_unfinished(self) -> None:
        """Remove what a killed process left of files it was writing; only safe while the folder is `locked`."""
        with reporting_failed_writes(self.path):
            for folder in self._folders():
                for leftover in folder.glob(UNFINISHED):
                    leftover.unlink()

    def _folders(self) -> tuple[Path, ...]:
        return self.path, self.previews, self.path / "best", self.path / "last"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in `folder` meanwhile. The lock goes with the process, however it ends.

    Raises TrainingError where another run is at work, or the folder may not be written to.
    """
    path = folder / "in-use.lock"
    with reporting_failed_writes(path):
        file = open(path, "ab")  # noqa: SIM115 - closed below
    with file:
        try:
            lock_file(file.fileno())
        except OSError as error:
            raise TrainingError(
                f"Another run is training in {folder} right now; wait for it to end, or choose another folder."
            ) from error
        yield


def lock_file(descriptor: int) -> None:
    """Lock an open file for this process alone; the lock goes with it. Raises OSError where another has it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def reporting_failed_writes(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write (disk full, no permission, quota) into a TrainingError about `path`."""
    try:
        yield
    except (OSError, EmbeddingFileError) as error:
        system = error if isinstance(error, OSError) else error.__cause__
        reason = getattr(system, "strerror", None) or str(error)
        raise TrainingError(
            f"Writing to {path} failed ({reason}), so the run paused; its last checkpoint is whole. "
            "Make room or choose another disk, then start the run again to go on."
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that, whatever happens meanwhile, a reader finds the old file or the new one.

    Raises TrainingError where it cannot be written; the old file is untouched then.
    """
    with reporting_failed_writes(path):
        whole_file.write_whole(path, content, overwrite=True)
