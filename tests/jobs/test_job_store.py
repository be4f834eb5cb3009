"""The list of jobs on the disk: what is written stays, whoever else writes and whenever a process is killed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pseudoword.errors import JobError, LimitReached, NoSuchJob
from pseudoword.jobs.store.job_store import MOST_LINES, Job, JobStore

ROOT = Path(__file__).parents[2]

# Adds jobs and lets them run and finish, as fast as it can; tells each that has finished, once that is on the disk.
WORKER = """
import sys
from pathlib import Path
from pseudoword.jobs.store.job_store import Job, JobStore
store = JobStore(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    job = store.add(Job("training", "", f"{sys.argv[2]}-{number}", {"number": number}, f"{sys.argv[2]}-{number}"))
    store.become(job.id, "running")
    store.note(job.id, "half of it")
    store.become(job.id, "finished", "Learned.", done=number, result={"loss": 0.5})
    print(job.id, number, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "jobs.sqlite3")
    yield store
    store.close()


def job(title: str = "cup", owner: str = "ann", **more: object) -> Job:
    return Job("training", owner, title, {"name": title}, **more)  # type: ignore[arg-type]


def worker(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that writes into the store at `path`."""
    command = [sys.executable, "-c", WORKER, str(path), name, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> dict[str, int]:
    """The jobs that it said were finished, with what was done in each."""
    assert process.stdout is not None
    lines = [line.split() for line in process.stdout if line.endswith("\n")]
    process.stdout.close()
    return {id: int(number) for id, number in lines}


def is_sound(path: Path) -> bool:
    connection = sqlite3.connect(path)
    answer = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return bool(answer == [("ok",)])


def test_reading_makes_no_file(store: JobStore, tmp_path: Path) -> None:
    assert store.jobs() == ([], 0) and store.folders() == set() and store.last_begun() == {}
    with pytest.raises(NoSuchJob):
        store.job("none")
    assert list(tmp_path.iterdir()) == []


def test_a_job_is_found_as_it_was_written(store: JobStore, tmp_path: Path) -> None:
    added = store.add(job(folder="cup", total=500, shared=True, result={"loss": 0.25}))
    other = JobStore(tmp_path / "jobs.sqlite3")
    assert other.job(added.id) == added and other.folders() == {"cup"} and other.of_folder("cup") == added
    other.close()


def test_a_job_goes_its_way_with_times_and_a_log(store: JobStore) -> None:
    id = store.add(job()).id
    store.become(id, "running")
    store.change(id, done=3, total=10)
    store.note(id, "There was too little memory.")
    ended = store.become(id, "finished", "Learned.", result={"loss": 0.1})
    assert (ended.state, ended.done, ended.result) == ("finished", 3, {"loss": 0.1})
    assert ended.started is not None and ended.ended is not None and ended.created <= ended.started <= ended.ended
    assert [line for _, line in store.log(id)] == [
        "Waiting.", "Running.", "There was too little memory.", "Finished: Learned.",
    ]  # fmt: skip
    with pytest.raises(JobError, match="that is finished cannot become running"):
        store.become(id, "running")
    assert store.job(id) == ended


def test_one_that_is_tried_again_has_not_ended(store: JobStore) -> None:
    id = store.add(job()).id
    store.become(id, "failed", "The disk is full.")
    assert store.become(id, "waiting").ended is None


def test_jobs_are_listed_with_those_under_way_first_and_can_be_searched(store: JobStore) -> None:
    old, new, waiting, running = (store.add(job(title)) for title in ("old", "new", "waiting", "Läuft"))
    theirs = store.add(job("theirs", "bob"))
    for one in (old, new):
        store.become(one.id, "running")
        store.become(one.id, "finished")
    store.become(running.id, "running")
    titles = [one.title for one in store.jobs(owner="ann")[0]]
    assert titles == ["Läuft", "waiting", "new", "old"]
    assert [one.title for one in store.jobs(states=["waiting"])[0]] == ["theirs", "waiting"]
    assert [one.title for one in store.jobs(search="W")[0]] == ["waiting", "new"]
    page, total = store.jobs(count=2, start=1)
    assert (len(page), total) == (2, 5)
    assert store.last_begun()["ann"] > 0 and theirs.owner not in store.last_begun()
    assert waiting.position > new.position > old.position


def test_a_folder_belongs_to_one_job(store: JobStore) -> None:
    first = store.add(job(folder="cup"))
    with pytest.raises(JobError, match="There is a job for 'cup' already"):
        store.add(job(folder="cup"))
    store.become(first.id, "cancelled", folder="")
    store.add(job(folder="cup"))


def test_one_person_may_have_so_many_that_have_not_ended(store: JobStore) -> None:
    first = store.add(job("one"), most_open=2)
    store.add(job("two"), most_open=2)
    with pytest.raises(LimitReached, match="2 of your jobs have not ended"):
        store.add(job("three"), most_open=2)
    store.add(job("three", "bob"), most_open=2)
    store.become(first.id, "cancelled")
    store.add(job("three"), most_open=2)


def test_the_version_changes_with_every_change_here_and_elsewhere(store: JobStore, tmp_path: Path) -> None:
    seen = [store.version()]
    added = store.add(job())
    seen.append(store.version())
    other = JobStore(tmp_path / "jobs.sqlite3")
    other.become(added.id, "running")
    other.close()
    seen.append(store.version())
    store.delete(added.id)
    seen.append(store.version())
    assert len(set(seen)) == 4 and store.version() == seen[-1]


def test_a_deleted_job_leaves_no_log(store: JobStore) -> None:
    added = store.add(job())
    store.delete(added.id)
    assert store.log(added.id) == [] and store.jobs() == ([], 0)
    with pytest.raises(NoSuchJob):
        store.delete(added.id)


def test_a_log_does_not_grow_for_ever(store: JobStore) -> None:
    id = store.add(job()).id
    for number in range(MOST_LINES + 20):
        store.note(id, f"line {number}")
    lines = store.log(id)
    assert len(lines) == MOST_LINES and lines[-1][1] == f"line {MOST_LINES + 19}"


def test_what_files_are_called_can_be_no_text(store: JobStore) -> None:
    added = store.add(job("cup\ud800", message="'\ud800.png' was skipped"))
    assert store.job(added.id).title == "cup?" and store.jobs(search="\ud800")[1] == 1


def test_jobs_of_a_server_that_is_gone_go_to_one_alone(store: JobStore) -> None:
    waiting, ended = store.add(job("one", server="gone")), store.add(job("two", server="gone"))
    store.become(ended.id, "cancelled")
    assert store.servers() == {"gone"}
    assert [one.id for one in store.take_over("gone", "new")] == [waiting.id]
    assert store.take_over("gone", "late") == [] and store.job(waiting.id).server == "new"


def test_threads_write_at_the_same_time(store: JobStore) -> None:
    def write(name: str) -> None:
        for number in range(20):
            id = store.add(job(f"{name}-{number}")).id
            store.become(id, "running")
            store.become(id, "finished")

    threads = [threading.Thread(target=write, args=[f"thread-{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, total = store.jobs(states=["finished"])
    assert total == 80 and len({one.position for one in found}) == 80


def test_processes_write_at_the_same_time(store: JobStore, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    processes = [worker(path, name, 30) for name in ("one", "two", "three")]
    finished: dict[str, int] = {}
    for process in processes:
        finished.update(told(process))
        assert process.wait() == 0
    found, total = store.jobs(states=["finished"])
    assert total == len(finished) == 90 and {one.id: one.done for one in found} == finished


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_process_that_is_killed_at_any_moment_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    path, moments = tmp_path / "jobs.sqlite3", random.Random(7)
    finished: dict[str, int] = {}
    for attempt in range(8):
        process = worker(path, f"attempt-{attempt}", 100_000)
        assert process.stdout is not None
        first = process.stdout.readline().split()  # it is in the midst of it
        time.sleep(moments.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        finished.update({first[0]: int(first[1])}, **told(process))
        assert is_sound(path)
        store = JobStore(path)
        found = {one.id: one for one in store.jobs()[0]}
        assert {id: found[id].done for id in finished} == finished
        assert all(found[id].state == "finished" and found[id].result == {"loss": 0.5} for id in finished)
        assert {one.state for one in found.values()} <= {"waiting", "running", "finished"}
        store.add(job(f"after-{attempt}"))
        store.close()


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    path.write_bytes(b"no database at all " * 100)
    store = JobStore(path)
    assert store.jobs() == ([], 0)
    store.add(job())
    store.close()
    assert [file.read_bytes()[:11] for file in tmp_path.glob("*.damaged-*")] == [b"no database"]


def test_a_file_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    store = JobStore(path)
    with pytest.raises(JobError, match="later version"):
        store.add(job())
    store.close()
    assert path.read_bytes()[60:64] == before[60:64]  # its version


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = JobStore(tmp_path / "file" / "jobs.sqlite3")
    with pytest.raises(JobError, match="cannot be used"):
        store.add(job())
