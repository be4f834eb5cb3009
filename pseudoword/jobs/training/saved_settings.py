"""Training settings that people saved under a name, in one file beside the runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...embedding.whole_file import write_whole
from ...errors import SettingsError
from ...training.settings import TrainSettings

FILE = "saved-settings.json"
LONGEST_NAME = 60
NOT_SAVED = ("name", "start")  # what belongs to one word


def saved_settings(runs: Path) -> dict[str, dict[str, Any]]:
    """All that were saved, by name: values by setting. A file that cannot be read holds none."""
    try:
        found = json.loads((runs / FILE).read_bytes())
        return {str(name): dict(values) for name, values in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def save_settings(runs: Path, name: str, settings: TrainSettings) -> None:
    """Save `settings` as `name`, in the place of any that were called so.

    Raises SettingsError for a name that is none, EmbeddingFileError where the file cannot be written.
    """
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise SettingsError(f"Give the settings a name of 1 to {LONGEST_NAME} letters, such as 'portraits'.")
    values = {key: value for key, value in settings.to_dict().items() if key not in NOT_SAVED}
    _write(runs, saved_settings(runs) | {name: values})


def forget_settings(runs: Path, name: str) -> None:
    """Remove those called `name`. Raises SettingsError where there are none."""
    found = saved_settings(runs)
    if name not in found:
        raise SettingsError(f"There are no saved settings called {name!r}.")
    del found[name]
    _write(runs, found)


def _write(runs: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    write_whole(runs / FILE, (json.dumps(found, indent=2, sort_keys=True) + "\n").encode(), overwrite=True)
