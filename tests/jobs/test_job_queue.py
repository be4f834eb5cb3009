"""Whose turn it is: one job at a time on the GPU, people in turns, and everything is found again after a restart."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pseudoword.errors import JobError, LimitReached
from pseudoword.jobs import job_queue
from pseudoword.jobs.job_queue import CPU, GPU, JobQueue, Standing, Work
from pseudoword.jobs.store.job_states import ENDED, JobState
from pseudoword.jobs.store.job_store import Job
from pseudoword.jobs.turn_order import Estimate, estimates, in_turn, position_between


class Task:
    """A work that does nothing until it is told to."""

    def __init__(self, queue: JobQueue, id: str, state: JobState = "waiting", message: str = "") -> None:
        self.id = id
        self._queue = queue
        self.now = Standing(state, message)

    def begin(self) -> bool:
        if self.now.state != "waiting":
            return False
        self.now = Standing("running", total=10)
        return True

    def standing(self) -> Standing:
        return self.now

    def become(self, state: JobState, done: int = 0, **more: object) -> None:
        self.now = Standing(state, done=done, total=10, **more)  # type: ignore[arg-type]
        self._queue.heard(self.id)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    queue = JobQueue(tmp_path / "runs")
    yield queue
    queue.end()


def ask(queue: JobQueue, title: str, owner: str = "ann", **more: object) -> Task:
    """A job that waits for its turn, or has it at once."""
    job = Job("training", owner, title, {}, title, **more)  # type: ignore[arg-type]
    queue.submit(job, Task(queue, job.id))
    return task(queue, job.id)


def task(queue: JobQueue, id: str) -> Task:
    found = queue.work(id)
    assert isinstance(found, Task)
    return found


def states(queue: JobQueue, *tasks: Task) -> list[str]:
    """As they are in the store, which must be what the works say."""
    found: list[str] = [queue.store.job(one.id).state for one in tasks]
    assert found == [one.now.state for one in tasks]
    return found


def titles(queue: JobQueue) -> list[str]:
    return [job.title for job in queue.order()]


def test_one_has_its_turn_and_the_next_follows(queue: JobQueue) -> None:
    first, second, third = (ask(queue, title) for title in ("first", "second", "third"))
    assert states(queue, first, second, third) == ["running", "waiting", "waiting"]
    first.become("finished", result={"loss": 0.1})
    assert states(queue, first, second, third) == ["finished", "running", "waiting"]
    assert queue.store.job(first.id).result == {"loss": 0.1}
    second.become("failed", message="The disk is full.")
    assert states(queue, first, second, third) == ["finished", "failed", "running"]


def test_who_pauses_gives_the_turn_away_and_waits_for_it_again(queue: JobQueue) -> None:
    first, second = ask(queue, "first"), ask(queue, "second")
    first.become("paused")
    assert states(queue, first, second) == ["paused", "running"]
    first.become("waiting")
    assert states(queue, first, second) == ["waiting", "running"]
    second.become("stopped")
    assert states(queue, first, second) == ["running", "stopped"]


def test_people_take_turns(queue: JobQueue) -> None:
    for title in ("a1", "a2", "a3", "b1", "b2", "c1"):
        ask(queue, title, title[0])
    assert titles(queue) == ["b1", "c1", "a2", "b2", "a3"]
    began = []
    while running := queue.store.jobs(states=["running"])[0]:
        began.append(running[0].title)
        task(queue, running[0].id).become("finished")
    assert began == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_higher_priority_comes_first(queue: JobQueue) -> None:
    ask(queue, "running")
    ask(queue, "usual")
    ask(queue, "later", priority=-1)
    ask(queue, "urgent", owner="bob", priority=1)
    assert titles(queue) == ["urgent", "usual", "later"]


def test_ones_own_jobs_are_put_in_another_order(queue: JobQueue) -> None:
    running = ask(queue, "running")
    one, two, three = ask(queue, "one"), ask(queue, "two"), ask(queue, "three")
    queue.move(three.id, before=one.id)
    assert titles(queue) == ["three", "one", "two"]
    queue.move(three.id, before=two.id)
    assert titles(queue) == ["one", "three", "two"]
    queue.move(one.id, before=None)
    assert titles(queue) == ["three", "two", "one"]
    theirs = ask(queue, "theirs", "bob")
    for id, before in ((running.id, None), (one.id, theirs.id), (one.id, "none")):
        with pytest.raises(JobError, match="Only jobs that wait"):
            queue.move(id, before)


def test_several_run_at_a_time_where_the_setting_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "LANES", {"training": GPU, "indexing": CPU})
    queue = JobQueue(tmp_path / "runs", {GPU: 1, CPU: 2})
    tasks = [ask(queue, f"gpu-{number}") for number in range(2)]
    for number in range(3):
        job = Job("indexing", "ann", f"cpu-{number}", {}, f"cpu-{number}")
        tasks.append(Task(queue, job.id))
        queue.submit(job, tasks[-1])
    assert states(queue, *tasks) == ["running", "waiting", "running", "running", "waiting"]
    tasks[3].become("finished")
    assert states(queue, *tasks) == ["running", "waiting", "running", "finished", "running"]
    queue.end()


def test_nothing_begins_before_the_server_is_ready(tmp_path: Path) -> None:
    ready = False
    queue = JobQueue(tmp_path / "runs", is_ready=lambda: ready)
    first = ask(queue, "first")
    assert states(queue, first) == ["waiting"]
    ready = True
    queue.begin_next()
    assert states(queue, first) == ["running"]
    queue.end()


def test_limits_are_checked_before_a_job_is_taken_in(queue: JobQueue) -> None:
    ask(queue, "first")
    with pytest.raises(LimitReached):
        queue.submit(Job("training", "ann", "second", {}, "second"), Task(queue, "second"), most_open=1)
    assert queue.store.jobs()[1] == 1


def test_warnings_go_into_the_log_once(queue: JobQueue) -> None:
    first = ask(queue, "first")
    for _ in range(2):
        first.become("running", done=1, warnings=("There was too little memory.",))
    first.become("running", done=2, warnings=("There was too little memory.", "Half the rate."))
    lines = [line for _, line in queue.store.log(first.id)]
    assert lines == ["Waiting.", "Running.", "There was too little memory.", "Half the rate."]


def test_how_far_it_is_is_written_down_now_and_then(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ask(queue, "first")
    first.become("running", done=1)
    first.become("running", done=2)
    assert queue.store.job(first.id).done == 1  # that was written a moment ago
    monkeypatch.setattr(job_queue, "WRITTEN_EVERY_S", 0)
    first.become("running", done=4)
    assert queue.store.job(first.id).done == 4


# ---- after a restart -----------------------------------------------------------------------------------------------


def recovering(queue: JobQueue, running: JobState = "paused") -> Callable[[Job], Work]:
    def recover(job: Job) -> Task:
        return Task(queue, job.id, running if job.state == "running" else job.state, job.message)

    return recover


def test_a_restart_finds_every_job_again(queue: JobQueue, tmp_path: Path) -> None:
    first, second, third = (ask(queue, title) for title in ("first", "second", "third"))
    first.become("finished")
    queue.end()
    later = JobQueue(tmp_path / "runs")
    later.take_over(recovering(later))
    assert later.work(first.id) is None and later.store.job(first.id).state == "finished"
    assert states(later, task(later, second.id), task(later, third.id)) == ["paused", "running"]
    later.end()


def test_what_was_running_goes_on_before_others_where_the_setting_says_so(queue: JobQueue, tmp_path: Path) -> None:
    first, second = ask(queue, "first"), ask(queue, "second", "bob", priority=1)
    queue.end()
    later = JobQueue(tmp_path / "runs")
    later.take_over(recovering(later, running="waiting"))
    assert states(later, task(later, first.id), task(later, second.id)) == ["running", "waiting"]
    later.end()


def test_jobs_of_a_server_that_is_alive_stay_there(queue: JobQueue, tmp_path: Path) -> None:
    first, second = ask(queue, "first"), ask(queue, "second")
    other = JobQueue(tmp_path / "runs")
    other.take_over(recovering(other))
    theirs = ask(other, "theirs")
    assert other.work(first.id) is None and states(other, theirs) == ["running"]
    assert states(queue, first, second) == ["running", "waiting"]
    assert not other.is_here(other.store.job(first.id)) and other.is_here(other.store.job(theirs.id))
    queue.end()
    assert other.is_here(other.store.job(first.id))
    other.take_over(recovering(other))
    assert states(other, task(other, first.id), task(other, second.id)) == ["paused", "waiting"]
    other.end()


def test_servers_that_were_killed_leave_nothing_behind(queue: JobQueue, tmp_path: Path) -> None:
    left = tmp_path / "runs" / ".servers" / "killed"
    left.parent.mkdir(parents=True)
    left.touch()
    os.utime(left, (0, 0))
    ask(queue, "first")
    assert not left.exists() and len(list(left.parent.iterdir())) == 1


# ---- order and time ------------------------------------------------------------------------------------------------


def job(title: str, owner: str, position: float, priority: int = 0) -> Job:
    return Job("training", owner, title, {}, position=position, priority=priority, id=title)


def test_the_next_is_whoever_s_turn_is_longest_ago() -> None:
    waiting = [job("a1", "ann", 0), job("a2", "ann", 1), job("b1", "bob", 2), job("c1", "cyd", 3), job("b2", "bob", 4)]
    assert [one.title for one in in_turn(waiting, {"ann": 5.0})] == ["b1", "c1", "a1", "b2", "a2"]
    assert [one.title for one in in_turn(waiting, {})] == ["a1", "b1", "c1", "a2", "b2"]
    assert [one.title for one in in_turn(waiting, {"bob": 9.0, "cyd": 5.0})] == ["a1", "c1", "b1", "a2", "b2"]


def test_when_a_job_begins_and_ends_is_estimated() -> None:
    order = [job("one", "ann", 0), job("two", "bob", 1), job("unknown", "ann", 2), job("after", "bob", 3)]
    seconds = {"one": 10.0, "two": 20.0, "unknown": None, "after": 5.0}
    found = estimates(order, 1, [30.0], lambda one: seconds[one.id])
    assert found == {
        "one": Estimate(30.0, 40.0),
        "two": Estimate(40.0, 60.0),
        "unknown": Estimate(60.0, None),
        "after": Estimate(None, None),
    }
    two_places = estimates(order[:2], 2, [30.0], lambda one: seconds[one.id])
    assert two_places == {"one": Estimate(0.0, 10.0), "two": Estimate(10.0, 30.0)}
    assert estimates(order[:1], 1, [None], lambda one: 1.0) == {"one": Estimate(None, None)}


def test_a_position_lies_between_its_neighbours() -> None:
    own = [job("one", "ann", 1), job("two", "ann", 2), job("three", "ann", 3)]
    assert position_between(own, "three", "one") < 1 < position_between(own, "three", "two") < 2
    assert position_between(own, "one", None) > 3 and position_between(own[:1], "one", None) == 0
    with pytest.raises(ValueError):
        position_between(own, "four", "one")


def test_ended_works_leave_the_memory(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "KEPT", 2)
    for number in range(5):
        ask(queue, f"job-{number}").become("finished")
    waits = ask(queue, "last")
    assert len(queue.works()) == 3 and waits.id in queue.works()
    assert all(one.state in ENDED for one in queue.store.jobs(states=["finished"])[0])
