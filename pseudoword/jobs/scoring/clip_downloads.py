"""A CLIP model that somebody asked for explicitly, on its way to this disk."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ...errors import NotYours, SettingsError
from ...scoring.downloading import DONE, PATH, PROBLEM, TOTAL
from ..server.people import ALONE, Person
from .clip_models import ClipModels

log = logging.getLogger(__name__)

State: TypeAlias = Literal["downloading", "finished", "failed", "cancelled"]
_ROOT = Path(__file__).parents[3]  # of the package, which the WebUI's Python does not know by itself
_PATIENCE_S = 5
ADMINS_ONLY = (
    "Only admins download CLIP models to a server for several people, since they have gigabytes: ask one, or whoever "
    "runs it, who names admins with --admin (in the WebUI --pseudoword-admin)."
)


@dataclass(frozen=True)
class Download:
    """How the download of a model stands, after so many `seconds`; `message` is a sentence about its end.

    `done` of `total` bytes are here; None before the server has told how many there are.
    """

    name: str
    state: State
    message: str = ""
    seconds: float = 0
    done: int | None = None
    total: int | None = None


class ClipDownloads:
    """Fetches models of `clips`, one at a time, each in a process, which can be ended whatever the network does."""

    def __init__(self, clips: ClipModels) -> None:
        self._clips = clips
        self._lock = threading.Lock()
        self._latest: Download | None = None
        self._began_at = 0.0
        self._process: subprocess.Popen[str] | None = None
        self._follower = threading.Thread()
        self._is_cancelled = False

    @staticmethod
    def refusal(person: Person) -> str:
        """Why `person` may download nothing here; "" where he may."""
        return "" if person.is_admin else ADMINS_ONLY

    def start(self, name: str, person: Person = ALONE) -> None:
        """Begin to fetch the model called `name`, which `person` wants.

        Raises NotYours where he may not, SettingsError where it is here, or another is on its way.
        """
        if refusal := self.refusal(person):
            raise NotYours(refusal)
        model = self._clips.named(name) if name else None
        if model is None:
            raise SettingsError("No model is chosen; choose one that is not on this disk.")
        if model.weights is not None:
            raise SettingsError(f"{model.name} is on this disk already; choose it above.")
        with self._lock:
            if self._latest is not None and self._latest.state == "downloading":
                raise SettingsError(f"{self._latest.name} is being downloaded; wait for it, or cancel it.")
            try:
                self._process = _program(model.name)
            except OSError as problem:
                raise SettingsError(
                    f"{model.name} cannot be downloaded: no program can be started ({problem})."
                ) from problem
            self._latest, self._began_at = Download(model.name, "downloading"), time.monotonic()
            self._is_cancelled = False
            name = f"download {model.name}"
            self._follower = threading.Thread(target=self._follow, args=[self._process], name=name, daemon=True)
            self._follower.start()

    def cancel(self, person: Person = ALONE) -> None:
        """End what is being downloaded, and wait for that. Raises NotYours, SettingsError where there is nothing."""
        if refusal := self.refusal(person):
            raise NotYours(refusal)
        with self._lock:
            process, follower = self._process, self._follower
            if process is None:
                raise SettingsError("Nothing is being downloaded.")
            self._is_cancelled = True
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()  # which it takes for its end
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        follower.join()

    def end(self) -> None:
        """Cancel what is under way, where anything is."""
        with suppress(SettingsError):
            self.cancel()

    @property
    def latest(self) -> Download | None:
        """The latest since the program began."""
        with self._lock:
            latest, began_at = self._latest, self._began_at
        if latest is None or latest.state != "downloading":
            return latest
        return replace(latest, seconds=time.monotonic() - began_at)

    def _follow(self, process: subprocess.Popen[str]) -> None:
        """Keep up with what the program tells, to its end."""
        told: dict[str, Any] = {}
        with process, suppress(OSError):  # of its input, which may be closed in both threads
            assert process.stdout is not None
            for line in process.stdout:
                with suppress(ValueError):
                    told.update(json.loads(line))
                if DONE in told:
                    with self._lock:
                        assert self._latest is not None
                        self._latest = replace(self._latest, done=told[DONE], total=told[TOTAL])
        code = process.returncode
        with self._lock:
            assert self._latest is not None
            name = self._latest.name
            state: State
            if PATH in told:
                state, message = "finished", f"{name} is on this disk now."
            elif self._is_cancelled:
                state, message = "cancelled", f"The download of {name} was cancelled."
            else:
                state = "failed"
                message = told.get(PROBLEM, f"The download of {name} ended unexpectedly (code {code}); try again.")
                log.warning("A download of a CLIP model failed")
            self._process = None
            self._latest = replace(
                self._latest, state=state, message=message, seconds=time.monotonic() - self._began_at
            )


def _program(name: str) -> subprocess.Popen[str]:
    """The process that downloads the model called `name`."""
    known = os.environ.get("PYTHONPATH")
    return subprocess.Popen(
        [sys.executable, "-m", "pseudoword.scoring.downloading", name],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), *([known] if known else [])]), "PYTHONUTF8": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
