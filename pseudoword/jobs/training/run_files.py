"""A run's folder and its training pictures: copied to it, found again, and removed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ...errors import TrainingError
from ...training.dataset import PictureSet, find_pictures
from ...training.run_folder import RunFolder
from ...training.settings import TrainSettings
from ..copied_files import copies_of
from ..store.found_runs import read_source

UPLOADED = "pictures"  # in the run's folder: those that were uploaded


def remove_folder(folder: Path) -> None:
    """Remove `folder`, where it is there, with all that is in it. Raises TrainingError."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as problem:
        raise TrainingError(f"The run {folder.name!r} could not be removed whole ({problem.strerror}).") from problem


def put_away(folder: Path, away: Path) -> None:
    """Let `folder`, where it is there, be at `away` all at once; removing takes longer. Raises TrainingError."""
    try:
        away.parent.mkdir(exist_ok=True)
        folder.replace(away)
    except FileNotFoundError:
        return
    except OSError as problem:
        raise TrainingError(f"The run {folder.name!r} could not be removed ({problem.strerror}).") from problem


def changed_at(folder: Path) -> float:
    """When `folder` last changed, in seconds since 1970; 0 where it is gone, as others may remove it meanwhile."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def copy_to(folder: Path, pictures: Sequence[Path]) -> list[Path]:
    """Copy files to `folder`, by names that are told apart; returns the folder."""
    copies_of(pictures, folder)
    return [folder]


def pictures_of(files: RunFolder, settings: TrainSettings) -> PictureSet:
    """The training pictures of the run in `files`. Raises TrainingError and DatasetError where they are gone."""
    return find_pictures(read_source(files), settings)
