"""Simulated people on a studio: each looks at the jobs as the page does, teaches words, watches, cancels, scores."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tools.pages import ROOT

from .crowd_studio import Answer, CrowdStudio, CutOff

SAMPLES = ROOT / "pseudoword" / "builtin" / "samples"
PREFIX = "zxqv-crowd"
# Short, with checkpoints on the way; the start is a word, as CLIP would take longer to choose one.
SETTINGS: dict[str, Any] = {
    "start": "cat",
    "steps": 8,
    "size": 64,
    "batch": 1,
    "early_stop": False,
    "validate_every": 0,
    "preview_every": 0,
    "save_every": 2,
}
MOST_OPEN = 2  # a person waits for his jobs before he queues more
LOOKS_EVERY_S = 1.5  # as the page does
REFUSED_WAIT_S = 0.5
OPEN_STATES = ("running", "waiting", "paused")


class Refused(Exception):
    """An answer that should not have been; it is noted already."""


@dataclass
class Told:
    """What all people together were answered, and what they therefore know of their jobs, by title.

    `unsure` are those of which no answer came: they may be there or not. Only whole values are put in and taken out.
    """

    page_s: list[float] = field(default_factory=list)
    other_s: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    cut_off: int = 0
    taught: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    done: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class SimulatedPerson:
    """Does one thing after the other on `studio` until told to `leave`."""

    def __init__(self, studio: CrowdStudio, name: str, told: Told, seed: int) -> None:
        self._studio, self._name, self._told, self._random = studio, name, told, random.Random(seed)
        self._leaves = threading.Event()
        self._etags: dict[str, str] = {}
        self._mine: list[dict[str, Any]] = []
        self._words = 0

    def leave(self) -> None:
        """End after what is under way."""
        self._leaves.set()

    def run(self) -> None:
        """Look at the page, do something, think."""
        self._leaves.wait(self._random.uniform(0, LOOKS_EVERY_S))  # not all at the same moment
        while not self._leaves.is_set():
            try:
                self._look()
                self._do_something()
            except CutOff:
                with self._told.lock:
                    self._told.cut_off += 1
                self._leaves.wait(REFUSED_WAIT_S)
            except Refused:
                pass
            except Exception as problem:  # of the simulation, or an answer that cannot be read: neither may go unseen
                self._note(f"{type(problem).__name__}: {problem}")
            self._leaves.wait(self._random.uniform(0.7, 1.3) * LOOKS_EVERY_S)

    # ---- what a person does ----------------------------------------------------------------------------------------

    def _look(self) -> None:
        """The page's own question, mine or everyone's, and as the page: only what has changed is sent."""
        whose = self._random.choice(("mine", "mine", "all"))
        path = f"jobs?whose={whose}"
        answer = self._ask("GET", path, (200, 304), etag=self._etags.get(path, ""), route="jobs page")
        if answer.status != 200:
            return
        self._etags[path] = answer.etag
        jobs = answer.json["jobs"]
        with self._told.lock:
            for job in jobs:
                if job["title"].startswith(PREFIX):
                    self._told.done[job["title"]] = max(job["done"], self._told.done.get(job["title"], 0))
                    if job["state"] == "finished":
                        self._told.finished.add(job["title"])
        if whose == "mine":
            self._mine = [job for job in jobs if job["title"].startswith(PREFIX)]

    def _do_something(self) -> None:
        mine = [job for job in self._mine if job["state"] in OPEN_STATES]
        ended = [job for job in self._mine if job["state"] in ("finished", "stopped", "cancelled")]
        if len(mine) < MOST_OPEN and self._random.random() < 0.5:
            return self._teach()
        doings = [self._score, self._open_page, self._watch]
        if mine:
            doings += [lambda: self._look_into(self._random.choice(mine))] * 2
            doings += [lambda: self._cancel(self._random.choice(mine))] * (self._random.random() < 0.3)
        if ended:
            doings += [lambda: self._look_into(self._random.choice(ended))]
            doings += [lambda: self._delete(self._random.choice(ended))] * (self._random.random() < 0.2)
        self._random.choice(doings)()

    def _teach(self) -> None:
        word = f"{PREFIX}-{self._name}-{self._words}"
        self._words += 1
        settings = {**SETTINGS, "name": word, "seed": self._random.randrange(1000)}
        with self._unsure_of(word):
            self._ask("POST", "trainings", (201,), {"settings": settings, "pictures": self._pictures(3)})
        with self._told.lock:
            self._told.taught.add(word)
        self._mine = [*self._mine, {"title": word, "state": "waiting", "id": ""}]

    def _cancel(self, job: dict[str, Any]) -> None:
        if job["id"]:
            # 409: it ended meanwhile.
            self._ask("POST", f"jobs/{job['id']}/cancel", (200, 409), {}, route="cancel")

    def _delete(self, job: dict[str, Any]) -> None:
        with self._unsure_of(job["title"]):
            self._ask("DELETE", f"jobs/{job['id']}", (200,), route="delete")
        with self._told.lock:
            self._told.deleted.add(job["title"])
        self._mine = [one for one in self._mine if one["id"] != job["id"]]

    def _look_into(self, job: dict[str, Any]) -> None:
        if job["id"]:
            self._ask("GET", f"jobs/{job['id']}", (200,), route="one job")
            # 404: nothing was recorded yet, or it was cancelled and nothing is left.
            picture = self._random.choice(("curve.png", "pictures/0.jpg", "contact-sheet.png"))
            self._ask("GET", f"jobs/{job['id']}/{picture}", (200, 404), route="its pictures")

    def _watch(self) -> None:
        self._ask("GET", "training", (200,))

    def _open_page(self) -> None:
        self._ask("GET", "me", (200,))
        self._ask("GET", "settings", (200,))

    def _score(self) -> None:
        body = {"pictures": self._pictures(2), "texts": ["a red pizza", "a castle"]}
        answer = self._ask("POST", "scores", (200,), body)
        # 404: the scores are in the memory of a server that was killed meanwhile.
        self._ask("GET", f"scores/{answer.json['id']}", (200, 404), route="scores again")

    # ---- how ---------------------------------------------------------------------------------------------------------

    def _pictures(self, count: int) -> list[dict[str, str]]:
        folder = self._random.choice(sorted(path for path in SAMPLES.iterdir() if path.is_dir()))
        files = self._random.sample(sorted(folder.glob("*.png")), count)
        return [{"name": file.name, "data": base64.b64encode(file.read_bytes()).decode()} for file in files]

    @contextmanager
    def _unsure_of(self, word: str) -> Iterator[None]:
        with self._told.lock:
            self._told.unsure.add(word)
        yield
        with self._told.lock:
            self._told.unsure.discard(word)

    def _ask(
        self, method: str, path: str, expected: Collection[int], body: Any = None, etag: str = "", route: str = ""
    ) -> Answer:
        """The answer; one that was not `expected` is noted as a problem. Raises CutOff, Refused."""
        answer = self._studio.ask(self._name, method, path, body, etag)
        route = route or f"{method} {path}"
        with self._told.lock:
            self._told.statuses[f"{route}: {answer.status}"] += 1
            seconds = self._told.page_s if route == "jobs page" else self._told.other_s.setdefault(route, [])
            seconds.append(answer.seconds)
        if answer.status not in expected:
            text = answer.content[:300].decode("utf-8", "replace")
            self._note(f"{method} {path}: {answer.status} {text}")
            raise Refused
        return answer

    def _note(self, problem: str) -> None:
        with self._told.lock:
            self._told.problems.append(problem)


@contextmanager
def crowd(studio: CrowdStudio, names: Collection[str], told: Told) -> Iterator[None]:
    """All of these people at once on `studio`; they leave at the end."""
    people = [SimulatedPerson(studio, name, told, seed) for seed, name in enumerate(names)]
    threads = [threading.Thread(target=person.run, daemon=True) for person in people]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for person in people:
            person.leave()
        ends = time.monotonic() + 60
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
