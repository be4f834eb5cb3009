"""A team on the studio at once: errors, lost or doubled jobs, how fast the jobs page is, and the server's memory.

`python -m benchmarks.crowd --people 3 --seconds 45` is a shorter one; it prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pseudoword.embedding import load_embedding
from pseudoword.errors import PseudowordError
from pseudoword.training.settings import TrainSettings
from tools.pages import table

from .crowd_people import OPEN_STATES, PREFIX, SETTINGS, Told, crowd
from .crowd_studio import ADMIN, CrowdStudio, make_old_jobs
from .webui.place import circumstances
from .webui.waits import spread

PEOPLE, SECONDS, OLD_JOBS = 20, 600.0, 1000
SAMPLED_EVERY_S = 2.0
DRAINED_WITHIN_S = 120.0
GOAL_PAGE_S = 0.5


def measure(work: Path, people: int = PEOPLE, seconds: float = SECONDS, old_jobs: int = OLD_JOBS) -> dict[str, Any]:
    """Let `people` work for `seconds` on a studio whose list holds `old_jobs`; then look at what became of it all."""
    names, told = names_of(people), Told()
    old = make_old_jobs(work / "runs", names, old_jobs, old_settings())
    memory = list[float]()
    with CrowdStudio(work, names) as studio:
        with crowd(studio, names, told):
            around = circumstances()
            ends = time.monotonic() + seconds
            while time.monotonic() < ends and studio.is_alive:
                memory.append(studio.megabytes)
                time.sleep(SAMPLED_EVERY_S)
            around["load average"] = circumstances()["load average"]
        died = not studio.is_alive
        drain(studio)
        jobs = studio.jobs(PREFIX)
        found = standing(jobs, told)
        still_old = {job["title"] for job in studio.jobs("zxqv-old") if job["state"] == "finished"}
        exit_code = studio.interrupt()
        finished = [job["title"] for job in jobs if job["state"] == "finished"]
        return {
            **around,
            "people": people,
            "seconds": seconds,
            "old jobs": old_jobs,
            **answers(told),
            "errors nobody caught, in the log": studio.tracebacks,
            "server died": died,
            "exit code at the end": exit_code,
            **found,
            "old jobs missing": len(set(old) - still_old),
            **words_lost(studio.runs, [*finished, *still_old], told),
            "jobs page, seconds": spread(told.page_s),
            "goal of the jobs page, p95, seconds": GOAL_PAGE_S,
            "others, seconds": {route: spread(each) for route, each in sorted(told.other_s.items())},
            "memory, MB": quarters(memory),
        }


def names_of(people: int) -> list[str]:
    """What they are called."""
    return [f"person-{number}" for number in range(people)]


def old_settings() -> dict[str, Any]:
    """The settings of an old job."""
    return TrainSettings.from_dict({**SETTINGS, "name": f"{PREFIX}-old"}).to_dict()


def answers(told: Told) -> dict[str, Any]:
    """What all requests together came to."""
    return {
        "requests": sum(told.statuses.values()),
        "refused or failed, unexpectedly": len(told.problems),
        "which": sorted(set(told.problems))[:10],
        "without an answer": told.cut_off,
        "answers": dict(sorted(told.statuses.items())),
    }


def drain(studio: CrowdStudio) -> None:
    """Cancel, as the admin, whatever has not ended, and wait for that."""
    ends = time.monotonic() + DRAINED_WITHIN_S
    while time.monotonic() < ends:
        is_open = [job for job in studio.jobs(PREFIX) if job["state"] in OPEN_STATES]
        if not is_open:
            return
        for job in is_open:
            studio.ask(ADMIN, "POST", f"jobs/{job['id']}/cancel", {})
        time.sleep(1.0)


def standing(jobs: Sequence[dict[str, Any]], told: Told) -> dict[str, Any]:
    """How the jobs stand beside what people were told of them."""
    there = Counter(job["title"] for job in jobs)
    finished = {job["title"] for job in jobs if job["state"] == "finished"}
    return {
        "jobs queued": len(told.taught),
        "jobs at the end": dict(sorted(Counter(job["state"] for job in jobs).items())),
        "jobs deleted": len(told.deleted),
        "jobs of whose request no answer came": len(told.unsure),
        "jobs lost": len(told.taught - told.deleted - told.unsure - set(there)),
        "jobs doubled": sum(count > 1 for count in there.values()),
        "jobs that nobody queued": len(set(there) - told.taught - told.unsure),
        "deleted jobs that are there": len(told.deleted & set(there)),
        "jobs without an end": sum(job["state"] in OPEN_STATES for job in jobs),
        "finished jobs that are no longer": len(told.finished - told.deleted - told.unsure - finished),
    }


def unreadable(runs: Path, finished: Collection[str]) -> list[str]:
    """Those of these words that do not load from the file in their run's folder."""
    missing = []
    for title in finished:
        try:
            load_embedding(runs / title / f"{title}.safetensors")
        except PseudowordError:
            missing.append(title)
    return missing


def words_lost(runs: Path, finished: Collection[str], told: Told) -> dict[str, int]:
    """How many of these words cannot be read, and of how many of them somebody had asked for the deletion."""
    missing = unreadable(runs, finished)
    asked = sum(title in told.deleted | told.unsure for title in missing)
    return {"finished words that cannot be read": len(missing), "of which somebody deletes": asked}


def quarters(memory: Sequence[float]) -> dict[str, int]:
    """The middle of the samples in each quarter of the time, and the highest."""
    size = max(1, len(memory) // 4)
    parts = {f"quarter {number + 1}": memory[number * size : (number + 1) * size] for number in range(4)}
    return {name: round(median(part)) for name, part in parts.items() if part} | {"highest": round(max(memory))}


def as_table(figures: dict[str, Any]) -> str:
    """What was counted and timed, beside the goals."""
    page, goal = figures["jobs page, seconds"], figures["goal of the jobs page, p95, seconds"]
    none = (
        "refused or failed, unexpectedly",
        "without an answer",
        "errors nobody caught, in the log",
        "jobs lost",
        "jobs doubled",
        "jobs that nobody queued",
        "jobs without an end",
        "finished jobs that are no longer",
        "old jobs missing",
        "finished words that cannot be read",
    )
    rows: list[list[object]] = [["requests", figures["requests"], ""]]
    rows += [[name, figures[name], "0"] for name in none]
    rows += [
        ["jobs queued", figures["jobs queued"], ""],
        ["at the end", ", ".join(f"{count} {state}" for state, count in figures["jobs at the end"].items()), ""],
        ["jobs page, median, s", page["median"], ""],
        ["jobs page, 95 %, s", page["p95"], f"below {goal:g}"],
        ["jobs page, longest, s", page["max"], ""],
    ]
    rows += [[f"memory, {name}, MB", value, ""] for name, value in figures["memory, MB"].items()]
    title = f"{figures['people']} people for {figures['seconds']:g} s, {figures['old jobs']} old jobs"
    return table([title, "Measured", "Goal"], rows)


def run_smaller(measure: Callable[..., dict[str, Any]], program: str, about: str | None, **usual: float) -> None:
    """Run `measure` with what the command line of `program` gives in the place of `usual`, and print its figures."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    for name, value in usual.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pseudoword-bench-") as folder:
        figures = measure(Path(folder), **vars(chosen))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    run_smaller(measure, "benchmarks.crowd", __doc__, people=PEOPLE, seconds=SECONDS, old_jobs=OLD_JOBS)
