"""A studio with logins as a process of its own, on loopback, with old jobs in its list; and what is asked of it."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
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
from pseudoword.jobs.found_runs import SOURCE, word_of, write_facts
from pseudoword.jobs.job_store import FILE, Job, JobStore
from pseudoword.training.run_folder import RunFolder
from tools.pages import ROOT

from .webui.place import free_port, last_lines

ADMIN, PASSWORD = "admin", "crowd"
PATIENCE_S = 120  # for a start, and for an answer: a guard against hanging, not a measure
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


class CrowdStudio:
    """A studio in `folder` for `people` with logins, and an admin; for `with`, which ends it."""

    def __init__(self, folder: Path, people: Collection[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.runs = folder / "runs"
        self._folder = folder
        self._output = folder / "studio.txt"
        self._port = free_port()
        logins = [f"--login={name}:{PASSWORD}" for name in (*people, ADMIN)]
        self._command = [sys.executable, "-m", "pseudoword", "studio", "--no-browser", "--port", str(self._port)]
        self._command += [*logins, "--admin", ADMIN]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> CrowdStudio:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> float:
        """Start it; returns after how many seconds it answered."""
        began = time.monotonic()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(self._folder / "cache")}
        with open(self._output, "ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=environment, stdout=output, stderr=output
            )
        while not self._answers():
            if not self.is_alive or time.monotonic() > began + PATIENCE_S:
                raise RuntimeError(f"the studio did not start:\n{last_lines(self._output)}")
            time.sleep(0.05)
        return time.monotonic() - began

    def kill(self) -> None:
        """kill -9, where it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(PATIENCE_S)

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def megabytes(self) -> float:
        """Memory of its process now (Linux)."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    @property
    def tracebacks(self) -> int:
        """How many errors nobody caught it has told of so far."""
        return self._output.read_text(encoding="utf-8", errors="replace").count("Traceback (most recent call last)")

    def ask(self, name: str, method: str, path: str, body: Any = None, etag: str = "") -> Answer:
        """What `name` gets for one request under the routes' prefix. Raises CutOff."""
        login = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        if etag:
            headers["If-None-Match"] = etag
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self._port}/pseudoword/v1/{path}", data, headers, method=method)
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

    def _answers(self) -> bool:
        try:
            return self.ask("", "GET", "health").status == 200
        except CutOff:
            return False


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
