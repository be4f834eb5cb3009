"""The list of jobs, of which every change is logged and measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..server.measures import Measures
from ..server.server_log import tell
from .job_states import ENDED, JobState
from .job_store import Job, JobStore


class ObservedStore(JobStore):
    """The jobs in the file at `path`; `measures` and the log are told what becomes of them."""

    def __init__(self, path: Path, measures: Measures) -> None:
        super().__init__(path)
        self._measures = measures

    def add(self, job: Job, most_open: int | None = None) -> Job:
        """As in `JobStore`."""
        added = super().add(job, most_open)
        tell("queued" if added.state == "waiting" else f"found {added.state}", added)
        return added

    def become(self, id: str, state: JobState, message: str = "", **changes: Any) -> Job:
        """As in `JobStore`."""
        with self._lock:  # nobody else's change comes in between
            before = self.job(id)
            job = super().become(id, state, message, **changes)
        if job.state != before.state:
            self._observe(before, job)
        return job

    def delete(self, id: str) -> None:
        """As in `JobStore`."""
        with self._lock:
            job = self.job(id)
            super().delete(id)
        tell("deleted", job)

    def _observe(self, before: Job, job: Job) -> None:
        now = time.time()
        if job.state == "running":
            waited = now - job.created
            if before.started is None:
                self._measures.job_waits.add(max(waited, 0.0))
            tell("started", job, waited if before.started is None else None)
        elif job.state == "waiting":
            tell("resumed" if before.state in ("paused", "failed") else "waits again", job)
        else:
            tell(job.state, job, None if job.started is None else now - job.started)
            if job.state in ENDED:
                self._measures.forget(job.id)
