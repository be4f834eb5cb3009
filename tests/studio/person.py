"""Somebody who asks a studio over its routes."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.studio.process import PATIENCE_S, Studio
from tests.training.small_runs import SMALL

LONG: dict[str, Any] = {**SMALL, "steps": 100_000, "validate_every": 0, "preview_every": 0, "save_every": 5}


class Person:
    """Somebody who asks a studio, with or without a login."""

    def __init__(self, studio: Studio, login: str = "") -> None:
        self._studio = studio
        self._headers = {"Content-Type": "application/json"}
        if login:
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"

    def ask(self, path: str, body: Any = None, method: str = "GET") -> tuple[int, Any]:
        """Status and JSON of the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self._studio.address}/pseudoword/v1/{path}", data, self._headers, method=method)
        try:
            with urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as problem:
            with problem:
                return problem.code, json.loads(problem.read())

    def teach(self, name: str, settings: dict[str, Any] = LONG) -> int:
        asked = {"settings": {**settings, "name": name}, "folder": str(self._studio.pictures)}
        return self.ask("trainings", asked, "POST")[0]

    def jobs(self) -> dict[str, dict[str, Any]]:
        """The jobs by title; there must be one of each."""
        jobs = self.ask("jobs?whose=all")[1]["jobs"]
        assert len({job["title"] for job in jobs}) == len(jobs)
        return {job["title"]: job for job in jobs}

    def states(self) -> dict[str, str]:
        return {title: job["state"] for title, job in self.jobs().items()}

    def waits_until(self, is_so: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < ends, self.jobs()
            time.sleep(0.05)
