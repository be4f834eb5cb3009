"""A team on a studio that is killed again and again: after each restart its list is sound, and no result is gone.

`python -m benchmarks.crowd_kills --people 3 --kills 3` is a shorter one; it prints its figures as JSON.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pseudoword.errors import JobError
from pseudoword.jobs.store.job_file import connected
from pseudoword.jobs.store.job_store import FILE
from tools.pages import table

from .crowd import (
    OLD_JOBS,
    PEOPLE,
    answers,
    drain,
    names_of,
    old_settings,
    run_smaller,
    standing,
    unreadable,
    words_lost,
)
from .crowd_people import PREFIX, SETTINGS, Told, crowd
from .crowd_studio import ADMIN, CrowdStudio, make_old_jobs
from .webui.place import circumstances
from .webui.waits import spread

KILLS = 50
UP_S = (2.0, 15.0)  # how long the server may work before it is killed
CHECKPOINT_EVERY = SETTINGS["save_every"]


def measure(work: Path, people: int = PEOPLE, kills: int = KILLS, old_jobs: int = OLD_JOBS) -> dict[str, Any]:
    """Let `people` work on a studio that gets `kills` times a kill -9, and look at what there is after each restart."""
    names, told, chance = names_of(people), Told(), random.Random(0)
    old = make_old_jobs(work / "runs", names, old_jobs, old_settings())
    restarts, lost_steps, problems = list[float](), list[int](), list[str]()
    began = time.monotonic()
    with CrowdStudio(work, names) as studio:
        with crowd(studio, names, told):
            for number in range(kills):
                time.sleep(chance.uniform(*UP_S))
                if not studio.is_alive:
                    problems.append(f"before kill {number + 1} the server had ended by itself")
                with told.lock:
                    before = dict(told.done)
                studio.kill()
                restarts.append(studio.start())
                lost_steps += resumed(studio, before)
                problems += [f"after kill {number + 1}: {one}" for one in unsound(studio, told)]
                with told.lock:
                    told.done.clear()
        drain(studio)
        jobs = studio.jobs(PREFIX)
        finished = [job["title"] for job in jobs if job["state"] == "finished"]
        problems += unsound(studio, told)
        return {
            **circumstances(),
            "people": people,
            "kills": kills,
            "seconds": round(time.monotonic() - began),
            "old jobs": old_jobs,
            **answers(told),
            "errors nobody caught, in the log": studio.tracebacks,
            **standing(jobs, told),
            "what was not sound after a restart": problems,
            **words_lost(studio.runs, [*finished, *old], told),
            "interrupted trainings that went on": len(lost_steps),
            "steps lost of one that went on, most": max(lost_steps, default=0),
            "steps between checkpoints": CHECKPOINT_EVERY,
            "restart, seconds": spread(restarts),
        }


def resumed(studio: CrowdStudio, before: Mapping[str, int]) -> list[int]:
    """Let trainings that the kill interrupted go on; returns how many steps each had done more `before`."""
    lost = []
    for job in studio.jobs(PREFIX):
        if job["state"] == "paused":
            lost.append(max(0, before.get(job["title"], 0) - job["done"]))
            studio.ask(ADMIN, "POST", f"jobs/{job['id']}/resume", {})
    return lost


def unsound(studio: CrowdStudio, told: Told) -> list[str]:
    """What is wrong with the list of jobs and with results that people have seen to be finished; none in the end."""
    problems = [f"{path.name} was set aside" for path in studio.runs.glob(f"{FILE}.damaged-*")]
    try:
        with contextlib.closing(connected(studio.runs / FILE)) as connection:
            for check in ("PRAGMA integrity_check", "PRAGMA foreign_key_check"):
                problems += [str(row) for row in connection.execute(check) if row != ("ok",)]
    except (JobError, sqlite3.Error) as problem:
        problems.append(str(problem))
    with told.lock:
        finished = told.finished - told.deleted - told.unsure
    jobs = studio.jobs(PREFIX)
    there = {job["title"] for job in jobs if job["state"] == "finished"}
    with told.lock:  # somebody deletes jobs meanwhile
        finished -= told.deleted | told.unsure
    problems += [f"{title} is no longer finished" for title in finished - there]
    missing = [title for title in finished & there if unreadable(studio.runs, [title])]
    with told.lock:
        missing = [title for title in missing if title not in told.deleted | told.unsure]
    problems += [f"the word of {title} cannot be read" for title in missing]
    return problems


def as_table(figures: dict[str, Any]) -> str:
    """What was counted, beside the goals."""
    none = (
        "refused or failed, unexpectedly",
        "errors nobody caught, in the log",
        "jobs lost",
        "jobs doubled",
        "jobs that nobody queued",
        "jobs without an end",
        "finished jobs that are no longer",
        "finished words that cannot be read",
    )
    rows: list[list[object]] = [
        ["restarts after which something was not sound", len(figures["what was not sound after a restart"]), "0"]
    ]
    rows += [[name, figures[name], "0"] for name in none]
    rows += [
        ["steps lost at most", figures["steps lost of one that went on, most"], figures["steps between checkpoints"]],
        ["interrupted trainings that went on", figures["interrupted trainings that went on"], ""],
        ["jobs queued", figures["jobs queued"], ""],
        ["at the end", ", ".join(f"{count} {state}" for state, count in figures["jobs at the end"].items()), ""],
        ["requests answered", figures["requests"], ""],
        ["requests without an answer", figures["without an answer"], ""],
        ["restart, median, s", figures["restart, seconds"]["median"], ""],
        ["restart, longest, s", figures["restart, seconds"]["max"], ""],
    ]
    title = f"{figures['kills']} kills in {figures['seconds']} s, {figures['people']} people"
    return table([title, "Measured", "Goal"], rows)


if __name__ == "__main__":
    run_smaller(measure, "benchmarks.crowd_kills", __doc__, people=PEOPLE, kills=KILLS, old_jobs=OLD_JOBS)
