"""A studio with logins, with old jobs in its list; and what is asked of it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import torch
from PIL import Image

from pseudoword.embedding import Embedding, save_embedding
from pseudoword.jobs.store.found_runs import SOURCE, word_of, write_facts
from pseudoword.jobs.store.job_store import FILE, Job, JobStore
from pseudoword.training.run_folder import RunFolder

from .studio_process import PATIENCE_S, StudioProcess

ADMIN, PASSWORD = "admin", "crowd"
OLD_WORD_S = 600.0  # between the ends of two old jobs


class CutOff(Exception):
    """There was no answer: the server is not there, or was killed meanwhile."""


@dataclass(frozen=True)
class Answer:
    """What came back of one request, after how many seconds."""

    status: int
    content: bytes
    etag: str
    seconds: float

    @property
    def json(self) -> Any:
        """The content, as JSON."""
        return json.loads(self.content)


class CrowdStudio(StudioProcess):
    """A studio in `folder` for `people` with logins, and an admin."""

    def __init__(self, folder: Path, people: Collection[str]) -> None:
        logins = [f"--login={name}:{PASSWORD}" for name in (*people, ADMIN)]
        super().__init__(folder, *logins, "--admin", ADMIN)
        self.runs = folder / "runs"

    def ask(self, name: str, method: str, path: str, body: Any = None, etag: str = "") -> Answer:
        """What `name` gets for one request under the routes' prefix. Raises CutOff."""
        login = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        if etag:
            headers["If-None-Match"] = etag
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.address}/pseudoword/v1/{path}", data, headers, method=method)
        began = time.monotonic()
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=PATIENCE_S) as answer:
                content, status, found = answer.read(), answer.status, answer.headers
        except HTTPError as problem:  # also 304
            with problem:
                content, status, found = problem.read(), problem.code, problem.headers
        except Exception as problem:  # one of many, by where in the answer the process was killed
            raise CutOff(f"{type(problem).__name__}: {problem}") from problem
        return Answer(status, content, found.get("ETag") or "", time.monotonic() - began)

    def jobs(self, search: str) -> list[dict[str, Any]]:
        """Everybody's jobs with `search` in their title, as the admin sees them."""
        answer = self.ask(ADMIN, "GET", f"jobs?whose=all&count=2000&search={search}")
        if answer.status != 200:
            raise RuntimeError(f"the list of jobs cannot be read: {answer.content!r}")
        jobs: list[dict[str, Any]] = answer.json["jobs"]
        return jobs


def make_old_jobs(runs: Path, owners: Collection[str], count: int, settings: Mapping[str, Any]) -> list[str]:
    """Fill the list with `count` finished trainings of `owners` by turns, each with its folder; returns their words."""
    store, now = JobStore(runs / FILE), time.time()
    owners = list(owners)
    figures = {"best_step": 8, "best_loss": 0.1, "best likeness": 0.5, "best editability": 0.3, "seconds": 60.0}
    words = []
    for number in range(count):
        word, ended = f"zxqv-old-{number}", now - number * OLD_WORD_S
        files = RunFolder(runs / word)
        files.make()
        facts = {**settings, "name": word}
        job = Job(
            "training",
            f"name:{owners[number % len(owners)]}",
            word,
            facts,
            word,
            state="finished",
            message="Learned.",
            done=8,
            total=8,
            created=ended - 60,
            started=ended - 60,
            ended=ended,
            result=figures,
        )
        store.add(job)
        write_facts(files, job)
        files.settings.write_text(json.dumps(facts), encoding="utf-8")
        (files.path / SOURCE).write_text("[]", encoding="utf-8")
        Image.new("RGB", (128, 64), (number % 256, 90, 160)).save(files.preview(8))
        save_embedding(Embedding(word, {"clip_l": torch.randn(1, 64)}), word_of(files), "safetensors")
        words.append(word)
    store.close()
    return words
