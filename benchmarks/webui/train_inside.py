"""Run by the WebUI's own Python in its own process, without a server: its trainer and ours, by turns.

The job, a JSON file, is the only argument besides the WebUI's flags. It says `pictures`, `size`, `batch`, `steps`,
`rounds` and `sides`; the answer is a list of what each training of a side took, in the order that they came.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

job: dict[str, Any] = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
sys.path[0] = os.environ["PSEUDOWORD_WEBUI_DIR"]

from modules import initialize  # noqa: E402 - the WebUI must be found first

initialize.imports()
initialize.check_versions()
initialize.initialize()

import tqdm  # noqa: E402
from modules import call_queue, sd_hijack, shared  # noqa: E402
from modules.textual_inversion import textual_inversion  # noqa: E402
from modules.textual_inversion import ui as training_tab  # noqa: E402

sys.path.append(job["root"])

WORD_BEFORE = "cat"
TEMPLATE = "subject.txt"
NEVER = 10**9  # steps
stamps: list[tuple[float, float]] = []  # after every step: by the clock, and what this process has computed for

wanting: list[int] = []  # one number for each training


def stamp() -> None:
    """Note that a step is done, and at the first one, how many weights collect a gradient of their own."""
    if not stamps:
        wanting.append(sum(weight.requires_grad for weight in shared.sd_model.parameters()))
    stamps.append((time.perf_counter(), time.process_time()))


class StampingBar(tqdm.tqdm):  # type: ignore[misc]
    """The progress bar of the WebUI's trainer, which it moves after every step."""

    def update(self, n: float | None = 1) -> bool | None:
        stamp()
        moved: bool | None = super().update(n)
        return moved


textual_inversion.tqdm = types.SimpleNamespace(tqdm=StampingBar)


def theirs(name: str, optimised: bool) -> None:
    """What the button Train Embedding does, with the form's own values but for those of the job; nothing is saved or
    drawn in between. `optimised` is the setting "Use cross attention optimizations while training"."""
    textual_inversion.create_embedding(name, 1, True, init_text=WORD_BEFORE)
    database = sd_hijack.model_hijack.embedding_db
    database.load_textual_inversion_embeddings(force_reload=True)
    before = database.word_embeddings[name].vec.clone()
    shared.opts.data["training_xattention_optimizations"] = optimised
    size, logs = job["size"], str(Path.cwd() / "logs")
    form = ["0.005", job["batch"], 1, job["pictures"], logs, size, size, False, job["steps"], "disabled", "0.1"]
    form += [False, 0, "once", False, 0, NEVER, TEMPLATE, True]  # no weights, no pictures, no copies; it wants a number
    unused_preview = [False, "", "", 20, "Euler a", 7, -1, size, size]
    with call_queue.queue_lock:
        training_tab.train_embedding("", name, *form, *unused_preview)
    after = database.word_embeddings[name]
    assert after.step == job["steps"] and not before.equal(after.vec.detach()), "the WebUI did not train"


def ours(name: str) -> None:
    """What the extension does in its thread, from the start of the training until the word is kept."""
    from pseudoword.diffusion import BetweenPasses
    from pseudoword.hosts.webui.model import WebuiModel
    from pseudoword.hosts.webui.queue_turns import QueueTurns
    from pseudoword.jobs.training.training_job import TrainingJob
    from pseudoword.training.dataset import find_pictures
    from pseudoword.training.events import Event, StepDone
    from pseudoword.training.run_folder import RunFolder
    from pseudoword.training.settings import TrainSettings
    from pseudoword.training.trainer import TrainingRun

    class StampedRun(TrainingRun):
        def events(self) -> Iterator[Event]:  # type: ignore[override]
            for event in super().events():
                if isinstance(event, StepDone):
                    stamp()
                yield event

    settings = TrainSettings(
        name=name,
        start=WORD_BEFORE,
        templates=str(Path(shared.cmd_opts.textual_inversion_templates_dir) / TEMPLATE),
        batch=job["batch"],
        size=job["size"],
        steps=job["steps"],
        validate_every=0,
        preview_every=0,
        save_every=0,
        early_stop=False,
    )
    files = RunFolder(Path.cwd() / "runs" / str(os.getpid()) / name)

    def make_run(between_passes: BetweenPasses) -> TrainingRun:
        pictures = find_pictures(Path(job["pictures"]), settings)
        return StampedRun(WebuiModel(), settings, pictures, files.path, None, between_passes)

    training = TrainingJob(settings, files, make_run, QueueTurns(call_queue.queue_lock))
    training.begin()
    training.wait()
    assert training.watch().state == "finished", training.watch().message


SIDES: dict[str, Callable[[str], None]] = {
    "WebUI": lambda name: theirs(name, optimised=False),
    "WebUI, optimised": lambda name: theirs(name, optimised=True),
    "Pseudoword": ours,
}


def measured(side: str, name: str) -> dict[str, Any]:
    """One training, in a thread, as both have it: seconds of all and of its steps, and memory in MB."""
    gc.collect()
    stamps.clear()
    before = status_mb("VmRSS")
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
    problems: list[BaseException] = []

    def work() -> None:
        try:
            SIDES[side](name)
        except BaseException as problem:
            problems.append(problem)

    began = time.perf_counter()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    seconds = time.perf_counter() - began
    if problems:
        raise problems[0]
    assert len(stamps) == job["steps"], f"{len(stamps)} steps"
    kept = [weight.grad for weight in shared.sd_model.parameters() if weight.grad is not None]
    return {
        "side": side,
        "seconds": seconds,
        "steps per second": (len(stamps) - 1) / (stamps[-1][0] - stamps[0][0]),
        "steps per CPU second": (len(stamps) - 1) / (stamps[-1][1] - stamps[0][1]),
        "peak, MB": max(peak_before, status_mb("VmHWM")),
        "growth, MB": status_mb("VmHWM") - before,
        "gradients of weights kept, MB": sum(grad.nbytes for grad in kept) / 2**20,
        "weights that want a gradient": wanting[-1],
    }


def status_mb(field: str) -> float:
    """A figure of this process that Linux gives in KiB, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def main() -> None:
    """All rounds; the sides take turns."""
    assert shared.sd_model is not None  # waits until it is loaded
    results = [
        measured(side, f"bench-{number}-{place}")
        for number in range(job["rounds"])
        for place, side in enumerate(job["sides"])
    ]
    Path(job["result"]).write_text(json.dumps(results), encoding="utf-8")
    os._exit(0)  # the WebUI leaves threads that never end


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
