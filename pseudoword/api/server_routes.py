"""How the server does, under `/pseudoword/v1`: `health` for everybody, `metrics` for who watches over it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

import pseudoword

from ..errors import JobError, NotYours
from ..jobs.server.limits import bytes_below
from ..jobs.training.trainings import Trainings
from .prometheus_text import CONTENT_TYPE, Figure, Histogram, counter, gauge, prometheus_text

PREFIX = "/pseudoword/v1"
HEALTH = f"{PREFIX}/health"
MEASURED_EVERY_S = 30.0  # how much room the runs take: all their files are looked at
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")  # what a proxy adds


def add_server_routes(
    app: FastAPI, trainings: Trainings, may_watch: Callable[[Request], bool] = lambda request: False
) -> None:
    """Add the routes to `app`. Metrics are for admins, programs on this computer, and who `may_watch`."""
    room = RoomTaken(trainings.host.runs)

    def health() -> Response:
        """Whether the server can work; 503 where its list of jobs cannot be read."""
        found = health_of(trainings)
        return JSONResponse(found, 200 if found["status"] == "ok" else 503)

    def metrics(request: Request) -> Response:
        """All figures."""
        if not (is_of_this_computer(request) or may_watch(request) or is_admin(trainings, request)):
            raise HTTPException(403, "The metrics are for admins and for programs on this computer.")
        text = prometheus_text(figures_of(trainings, room))
        return Response(text, headers={"Content-Type": CONTENT_TYPE})  # as a media type it would be added to

    app.add_api_route(HEALTH, health, methods=["GET"], response_model=None)
    app.add_api_route(f"{PREFIX}/metrics", metrics, methods=["GET"], response_model=None)


def health_of(trainings: Trainings) -> dict[str, Any]:
    """What `health` answers."""
    try:
        trainings.queue.store.version()
        is_sound = True
    except JobError:
        is_sound = False
    return {
        "status": "ok" if is_sound else "degraded",
        "version": pseudoword.__version__,
        "model_loaded": bool(trainings.host.is_ready()),
        "store_sound": is_sound,
        "free_disk_bytes": free_bytes(trainings.host.runs),
    }


def figures_of(trainings: Trainings, room: RoomTaken) -> list[Figure | Histogram]:
    """What `metrics` answers. A list of jobs that cannot be read is left out, as `health` tells."""
    measures, store = trainings.host.measures, trainings.queue.store
    try:
        counts = store.counts()
    except JobError:
        counts = {}
    jobs = tuple(({"kind": kind, "state": state}, float(count)) for (kind, state), count in sorted(counts.items()))
    errors = tuple(({"place": place}, float(count)) for place, count in sorted(measures.errors.items()))
    free = free_bytes(trainings.host.runs)
    return [
        Figure("pseudoword_info", "gauge", "The version that runs.", (({"version": pseudoword.__version__}, 1),)),
        gauge("pseudoword_model_loaded", "Whether a model is loaded.", bool(trainings.host.is_ready())),
        Figure("pseudoword_jobs", "gauge", "Jobs in the list by kind and state.", jobs),
        counter("pseudoword_training_steps_total", "Training steps since the start.", measures.steps),
        gauge("pseudoword_training_steps_per_second", "Pace of the last 30 seconds.", measures.steps_per_second),
        Histogram("pseudoword_slice_wait_seconds", "How long work waited for the model.", measures.slice_waits.read()),
        Histogram("pseudoword_job_wait_seconds", "How long jobs waited to begin.", measures.job_waits.read()),
        Figure("pseudoword_errors_total", "counter", "Errors logged, by the part of the program.", errors),
        gauge("pseudoword_runs_bytes", "Room that the runs take on the disk.", room.read()),
        *([] if free is None else [gauge("pseudoword_free_disk_bytes", "Room left beside the runs.", free)]),
    ]


class RoomTaken:
    """How much room a folder takes, looked at now and then."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._bytes, self._ends = 0, 0.0

    def read(self) -> int:
        """Bytes, as they were a while ago at most."""
        with self._lock:
            if time.monotonic() >= self._ends:
                self._bytes, self._ends = bytes_below(self._folder), time.monotonic() + MEASURED_EVERY_S
            return self._bytes


def free_bytes(folder: Path) -> int | None:
    """What is free on the disk that `folder` is on, or will be; None where nobody knows."""
    there = next((place for place in (folder, *folder.absolute().parents) if place.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def is_of_this_computer(request: Request) -> bool:
    """Whether a program on this computer asks, and no proxy on behalf of somebody else."""
    try:
        is_near = request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False
    return is_near and not any(name in request.headers for name in FORWARDED)


def is_admin(trainings: Trainings, request: Request) -> bool:
    """Whether an admin asks, or who has the computer to himself."""
    try:
        return trainings.host.people.of(request, is_program=True).is_admin
    except NotYours:
        return False
