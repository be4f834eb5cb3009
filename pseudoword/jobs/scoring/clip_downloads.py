"""A CLIP model that somebody asked for explicitly, on its way to this disk."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ...errors import PseudowordError, SettingsError
from ...scoring.models import ClipModel
from .clip_models import ClipModels

log = logging.getLogger(__name__)

State: TypeAlias = Literal["downloading", "finished", "failed"]


@dataclass(frozen=True)
class Download:
    """How the download of a model stands, after so many `seconds`; `message` says why it failed."""

    name: str
    state: State
    message: str
    seconds: float


class ClipDownloads:
    """Fetches models of `clips`, one at a time, in a thread of its own; nothing ends it but the program's end."""

    def __init__(self, clips: ClipModels) -> None:
        self._clips = clips
        self._lock = threading.Lock()
        self._latest: Download | None = None
        self._began_at = 0.0

    def start(self, name: str) -> None:
        """Begin to fetch the model called `name`. Raises SettingsError where it is here, or another is on its way."""
        model = self._clips.named(name) if name else None
        if model is None:
            raise SettingsError("No model is chosen; choose one that is not on this disk.")
        if model.weights is not None:
            raise SettingsError(f"{model.name} is on this disk already; choose it above.")
        with self._lock:
            if self._latest is not None and self._latest.state == "downloading":
                raise SettingsError(f"{self._latest.name} is being downloaded; wait for it.")
            self._latest, self._began_at = Download(model.name, "downloading", "", 0), time.monotonic()
        threading.Thread(target=self._fetch, args=[model], name=f"download {model.name}", daemon=True).start()

    @property
    def latest(self) -> Download | None:
        """The latest since the program began."""
        with self._lock:
            latest, began_at = self._latest, self._began_at
        if latest is None or latest.state != "downloading":
            return latest
        return Download(latest.name, latest.state, "", time.monotonic() - began_at)

    def _fetch(self, model: ClipModel) -> None:
        state: State = "failed"
        try:
            self._clips.download(model)
            state, message = "finished", f"{model.name} is on this disk now."
        except PseudowordError as problem:
            message = str(problem)
        except BaseException as problem:
            log.exception("The download of %s failed", model.name)
            message = f"This should not have happened ({type(problem).__name__}: {problem})."
        with self._lock:
            self._latest = Download(model.name, state, message, time.monotonic() - self._began_at)
