"""How long requests for pictures wait while a training runs in the same WebUI, and whether anything is lost.

Four clients ask for one picture after the other. The queue is fair: who comes waits for the requests before it, for
which it would wait without a training, too, and for the training's slices in between. What counts here is the rest of
the wait: from a request's arrival at the queue until it has the lock, less the time that other requests held it.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from pseudoword.training.history import read_history
from tools.pages import table

from .training import object_folders
from .webui.place import Server, Webui, circumstances
from .webui.waits import Hold, Wait, holds, overtaken, spread, waits

LAUNCH = Path(__file__).parent / "webui" / "launch_logged.py"
CLIENTS, SEEDS = 4, 16
ALONE_S, TOGETHER_S, TRAINING_ALONE_S = 60.0, 300.0, 20.0
SLICE_S = 1.0
WORD = "bench-word"
# As by default, but without an end; previews at 250 steps are made in slices, too.
SETTINGS = {"name": WORD, "start": "cat", "steps": 1_000_000, "early_stop": False}
PICTURE = {"prompt": "a photo of a red cat", "steps": 10, "width": 64, "height": 64, "sampler_name": "DPM++ 2M"}


@dataclass(frozen=True)
class Request:
    """One that was answered, or was not: then `pixels` is empty and `problem` says why."""

    seed: int
    seconds: float
    pixels: bytes
    problem: str = ""


def measure(
    work: Path, alone_s: float = ALONE_S, together_s: float = TOGETHER_S, training_s: float = TRAINING_ALONE_S
) -> dict[str, Any]:
    """The clients alone, the training alone, and both together, on one server."""
    webui = Webui.named()
    data = webui.furnished(work / "data")
    log = work / "queue.jsonl"
    with Server(webui, data, LAUNCH, log) as server:
        lone = [request(server, seed) for seed in range(SEEDS)]
        since = time.monotonic()
        alone = clients(server, alone_s)
        alone_holds = holds(log, since)
        undisturbed = Training(server, data)
        pace = undisturbed.pace(training_s)
        expected = undisturbed.end()
        training = Training(server, data)
        with training.watched() as during:
            since = time.monotonic()
            together = clients(server, together_s)
            until = time.monotonic()
        around = circumstances()
        learned = training.end()
    found = holds(log, since, until)
    result = {
        **around,
        "clients": CLIENTS,
        "seconds": together_s,
        "a lone request, seconds": spread(one.seconds for one in lone),
        "clients alone": answered(alone, alone_holds),
        "clients and training": answered(together, found),
        "pictures that differ from those of the same seeds before": differing(lone, [*alone, *together]),
        "slices, seconds": spread(hold.held for hold in found if hold.is_training),
        "slices": sum(hold.is_training for hold in found),
        "waits": told_of(waits(found)),
        "training, steps per second": {"alone": round(pace, 2), "with clients": round(during[0], 2)},
        "training steps compared with the undisturbed ones": min(len(expected), len(learned)),
        "training steps that differ": sum(a != b for a, b in zip(expected, learned, strict=False)),
        "goal": f"no wait beside other requests' time longer than a slice, {SLICE_S:g} s, and the pass under way",
    }
    print(as_table(result), flush=True)
    return result


def clients(server: Server, seconds: float) -> list[Request]:
    """What `CLIENTS` threads get, each asking for one picture after the other for `seconds`."""
    ends = time.monotonic() + seconds
    answers: list[Request] = []

    def ask(number: int) -> None:
        seed = number
        while time.monotonic() < ends:
            answers.append(request(server, seed % SEEDS))
            seed += 1

    threads = [threading.Thread(target=ask, args=(number * SEEDS // CLIENTS,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def request(server: Server, seed: int) -> Request:
    """Ask for the picture of `seed`."""
    began = time.monotonic()
    try:
        answer = server.ask("/sdapi/v1/txt2img", {**PICTURE, "seed": seed})
    except OSError as problem:
        return Request(seed, time.monotonic() - began, b"", f"{type(problem).__name__}: {problem}")
    seconds = time.monotonic() - began
    with Image.open(BytesIO(base64.b64decode(answer["images"][0]))) as picture:
        return Request(seed, seconds, picture.convert("RGB").tobytes())


class Training:
    """A training on `server`, which has its data in `data`, that has begun to learn; always the same one."""

    def __init__(self, server: Server, data: Path) -> None:
        self._server = server
        self._history = data / "pseudoword" / "runs" / WORD / "history.jsonl"
        server.ask("/pseudoword/v1/trainings", {"settings": SETTINGS, "folder": str(object_folders()[0])})
        while self._watch()["step"] < 1:
            time.sleep(0.05)

    def _watch(self) -> dict[str, Any]:
        seen: dict[str, Any] = self._server.ask(f"/pseudoword/v1/trainings/{WORD}")
        if seen["state"] not in ("preparing", "training", "paused"):
            raise RuntimeError(f"the training is {seen['state']}: {seen['message']}")
        return seen

    def pace(self, seconds: float) -> float:
        """Steps per second over `seconds`."""
        with self.watched() as during:
            time.sleep(seconds)
        return during[0]

    @contextmanager
    def watched(self) -> Iterator[list[float]]:
        """A list that holds, afterwards, the steps per second meanwhile."""
        result: list[float] = []
        began, first = time.monotonic(), self._watch()["step"]
        yield result
        result.append((self._watch()["step"] - first) / (time.monotonic() - began))

    def end(self) -> list[float]:
        """Cancel it; gives back the losses of its steps."""
        self._order("pause", "paused")  # saves
        steps = [record for record in read_history(self._history) if record["event"] == "step"]
        assert [record["step"] for record in steps] == list(range(1, len(steps) + 1)), "a step is missing"
        self._server.ask(f"/pseudoword/v1/trainings/{WORD}/cancel", {})
        while self._history.exists():
            time.sleep(0.05)
        return [record["loss"] for record in steps]

    def _order(self, order: str, state: str) -> None:
        self._server.ask(f"/pseudoword/v1/trainings/{WORD}/{order}", {})
        while self._watch()["state"] != state:
            time.sleep(0.05)


def answered(requests: list[Request], found: list[Hold]) -> dict[str, Any]:
    """How many, and what they took."""
    in_queue = sum(hold.released - hold.wanted for hold in found if not hold.is_training)
    done = [one.seconds for one in requests if not one.problem]
    return {
        "done": len(done),
        "failed": len(requests) - len(done),
        "why": sorted({one.problem for one in requests if one.problem}),
        "seconds in all": spread(done),
        "turns out of order": overtaken(found),
        "seconds that a request held the model": spread(hold.held for hold in found if not hold.is_training),
        "seconds outside of the queue, mean": round((sum(done) - in_queue) / max(1, len(done)), 3),
    }


def differing(before: list[Request], after: list[Request]) -> int:
    """How many pictures of `after` are not bit for bit those of the same seeds in `before`."""
    known = {one.seed: one.pixels for one in before}
    return sum(one.pixels != known[one.seed] for one in after if not one.problem)


def told_of(found: list[Wait]) -> dict[str, Any]:
    """The parts of the requests' waits, in seconds."""
    return {
        "until its turn": spread(one.total for one in found),
        "behind other requests": spread(one.behind_requests for one in found),
        "behind the training": spread(one.behind_training for one in found),
        "not behind other requests": spread(one.not_behind_requests for one in found),
        "slices of the training in a wait": {
            str(number): sum(one.slices == number for one in found) for number in sorted({one.slices for one in found})
        },
    }


def as_table(result: dict[str, Any]) -> str:
    """One row for each thing that was timed."""
    alone, together = result["clients alone"], result["clients and training"]
    rows: list[list[object]] = [
        ["Request, alone", *result["a lone request, seconds"].values()],
        [f"Request, {CLIENTS} clients", *alone["seconds in all"].values()],
        [f"Request, {CLIENTS} clients and training", *together["seconds in all"].values()],
        ["Held by a request meanwhile", *together["seconds that a request held the model"].values()],
        ["Held by a slice meanwhile", *result["slices, seconds"].values()],
    ]
    parts = {name: part for name, part in result["waits"].items() if "median" in part}
    rows += [[f"Wait: {name}", *part.values()] for name, part in parts.items()]
    told = f"{together['done']} requests done and {together['failed']} failed in {result['seconds']:g} s; "
    told += (
        f"turns out of order: {together['turns out of order']}, without the training {alone['turns out of order']}; "
    )
    told += f"slices in a wait: {result['waits']['slices of the training in a wait']}; "
    told += f"steps/s of the training: {result['training, steps per second']}\n\n"
    return told + table(["Seconds", "Median", "95 %", "Longest"], rows)
