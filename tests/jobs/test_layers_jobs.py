"""Comparisons of layers as jobs of the list: found again after a restart with what was made, and not made twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pseudoword.diffusion import Conditioning
from pseudoword.errors import LimitReached, NotYours, SettingsError
from pseudoword.inspect.strips import layers_row
from pseudoword.jobs import queued_jobs, steering
from pseudoword.jobs.host import Host
from pseudoword.jobs.job_board import JobBoard
from pseudoword.jobs.job_view import detailed, listed
from pseudoword.jobs.server.limits import Limits
from pseudoword.jobs.server.people import ALONE, Person
from pseudoword.jobs.store.job_store import Job
from pseudoword.jobs.strips.strip_job import StripJob
from pseudoword.jobs.strips.strips import Strips
from pseudoword.jobs.training.trainings import Trainings
from pseudoword.scoring import ClipScorer
from pseudoword.text.layer_choice import one_layer
from tests import tiny_models
from tests.inspect.words import random_rows, word
from tests.jobs.small_host import small_host, wait_until
from tests.jobs.small_strips import ROW as SHORT
from tests.jobs.small_strips import ended
from tests.training.small_runs import draw_pictures, settings

WORD = word(random_rows(2), "my-cup")
ROW = layers_row("a red my-cup", {"my-cup": WORD.vectors}, [one_layer(1), one_layer(2)], "gray")
ANN, BOB = Person("name:ann", "ann"), Person("name:bob", "bob")


class Counting(tiny_models.TinyModel):
    """Counts what it makes, and may stop after so many shots until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.shots = 0
        self.stops_before = 10**9
        self.stops: list[StripJob] = []

    def generate(
        self, conditioning: Conditioning, negative: Conditioning, *more: Any, **other: Any
    ) -> list[Image.Image]:
        if self.shots == self.stops_before:
            for job in self.stops:
                job.pause()
        found = super().generate(conditioning, negative, *more, **other)
        self.shots += 1
        return found


class Server:
    """A server with the folder `runs`; ended without a word to its list, as one that is killed."""

    def __init__(self, host: Host) -> None:
        self.board = JobBoard(host)
        self.trainings = Trainings(host, self.board)
        self.strips = Strips(host, self.board)

    def compare(self, person: Person = ALONE) -> StripJob:
        return self.strips.start([ROW], [7, 8], 2, 5.0, person)

    def row(self) -> Job:
        """The only job."""
        self.board.open()
        self.board.queue.settle()
        [job] = self.board.queue.store.jobs(kinds=["layers"])[0]
        return job

    def kill(self) -> None:
        """End as a process does that is killed: its lock goes, and nothing is written."""
        self.board.queue._is_open = False
        self.board.queue.store.close()
        self.board.queue._server.end()


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ClipScorer:
    pytest.importorskip("open_clip")
    folder = tiny_models.save_open_clip(tmp_path_factory.mktemp("clip"))
    return ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture
def host(tmp_path: Path, scorer: ClipScorer, model: Counting) -> Host:
    """It gives its model back after every pass."""
    return replace(small_host(tmp_path), model=lambda: model, scorer=lambda: scorer, slice_s=lambda: 0.0)


@pytest.fixture
def server(host: Host) -> Iterator[Server]:
    found = Server(host)
    yield found
    found.board.close()
    found.strips.end()


def paused_in_the_middle(server: Server, model: Counting) -> StripJob:
    """A comparison of which one of two shots is made."""
    model.stops_before = model.shots + 1
    with server.board.host.turns:
        job = server.compare()
        model.stops.append(job)
    wait_until(lambda: server.row().state == "paused")
    model.stops.clear()
    assert job.watch().done == 2 and job.watch().state == "paused"
    return job


def test_a_comparison_is_on_the_list_and_its_figures_are_found_by_the_secret_id_alone(server: Server) -> None:
    job = ended(server.compare())
    row = server.row()
    assert (row.state, row.kind, row.done, row.total, row.owner) == ("finished", "layers", 4, 4, "")
    [said] = row.result["says"]
    assert "layer" in said and row.result["seconds"] > 0
    seen = detailed(server.board, ALONE, row.id)
    assert seen["result"] == f"strips/{job.id}" and seen["about"] == "a red my-cup" and seen["says"] == [said]
    assert (
        seen["settings"]["layers"] == "1; 2" and seen["settings"]["model"] == "tiny" and "about" not in seen["settings"]
    )
    with pytest.raises(SettingsError, match="no longer kept"):
        server.strips.job(row.id)
    [other] = listed(server.board, BOB, mine=False)["jobs"]
    assert not other["may_look"] and job.id not in str(other) and "my-cup" not in str(other) and other["about"] == ""


def test_short_strips_are_on_no_list(server: Server) -> None:
    ended(server.strips.start([SHORT], [7], 1, 5.0))
    assert server.board.queue.store.jobs() == ([], 0)


def test_what_is_finished_is_there_after_a_restart(server: Server, host: Host, model: Counting) -> None:
    job = ended(server.compare())
    before, sheet = job.watch(), job.sheet()
    server.board.queue.settle()
    server.kill()
    later = Server(host)
    found = later.strips.job(job.id)
    assert found is not job and found.watch() == before and found.sheet() == sheet and model.shots == 2
    assert found.picture(0, 1) == job.picture(0, 1) is not None and found.picture(0, 2) is None
    assert later.row().state == "finished"
    later.board.close()


def test_one_that_was_killed_just_before_the_list_was_written_is_finished(server: Server, host: Host) -> None:
    job = ended(server.compare())
    server.board.queue.settle()
    with server.board.queue.store._writing() as connection:
        connection.execute("UPDATE jobs SET state = 'running', result = '{}', ended = NULL")
    server.kill()
    later = Server(host)
    assert later.row().state == "finished" and later.row().result["says"]
    assert later.strips.job(job.id).watch().state == "finished"
    later.board.close()


@pytest.mark.parametrize("resumes", [True, False])
def test_one_that_was_killed_in_the_middle_goes_on_or_waits(
    host: Host, model: Counting, resumes: bool, scorer: ClipScorer
) -> None:
    first = Server(host)
    wanted = ended(first.compare()).watch()
    steering.delete(first.board, first.row().id, ALONE)
    job = paused_in_the_middle(first, model)
    first.board.queue.store.become(first.row().id, "running")  # as if it were killed just then
    first.kill()
    made = model.shots
    later = Server(replace(host, resumes=resumes))
    if not resumes:
        row = later.row()
        assert row.state == "paused" and "goes on from its last checkpoint" in row.message
        assert later.strips.job(job.id).watch().done == 2 and later.strips.job(job.id).picture(0, 0) is not None
        steering.steer(later.board, row.id, "resume", ALONE)
    later.board.open()
    now = ended(later.strips.job(job.id)).watch()
    assert model.shots == made + 1, "the first shot was not made again"
    assert replace(now, id=wanted.id) == wanted
    later.board.close()


def test_one_that_waited_has_its_turn_after_a_restart(server: Server, host: Host) -> None:
    server.board.queue._is_ready = lambda: False  # nothing begins
    job = server.compare()
    assert server.row().state == "waiting" and job.watch().state == "waiting"
    server.kill()
    later = Server(host)
    later.board.open()
    assert ended(later.strips.job(job.id)).watch().state == "finished"
    later.board.close()


def test_it_pauses_where_another_checkpoint_is_loaded_and_goes_on_with_its_own(
    server: Server, host: Host, model: Counting
) -> None:
    other = Counting()
    other.sha256 = "f" * 64
    server.board.queue._is_ready = lambda: False
    job = server.compare()
    server.kill()
    later = Server(replace(host, model=lambda: other))
    wait_until(lambda: later.row().state == "paused")
    assert (
        later.row().message == "The comparison was started for the model tiny; choose that one again, then resume it."
    )
    assert other.shots == 0 and later.strips.job(job.id).watch().checkpoint == (model.sha256, model.title)
    later.kill()
    last = Server(host)
    steering.steer(last.board, last.row().id, "resume", ALONE)
    assert ended(last.strips.job(job.id)).watch().state == "finished"
    last.board.close()


def test_pictures_of_another_clip_model_are_made_again(
    server: Server, host: Host, model: Counting, tmp_path_factory: pytest.TempPathFactory
) -> None:
    job = paused_in_the_middle(server, model)
    server.kill()
    folder = tiny_models.save_open_clip(tmp_path_factory.mktemp("other") / "clip")
    other = ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")
    object.__setattr__(other, "_described", "another")
    made = model.shots
    later = Server(replace(host, scorer=lambda: other))
    steering.steer(later.board, later.row().id, "resume", ALONE)
    assert ended(later.strips.job(job.id)).watch().state == "finished" and model.shots == made + 2
    later.board.close()


def test_who_cancels_in_the_panel_keeps_what_was_made_and_on_the_list_nothing(
    server: Server, host: Host, model: Counting
) -> None:
    job = paused_in_the_middle(server, model)
    job.cancel()
    assert ended(job).watch().state == "cancelled" and server.row().state == "stopped" and job.picture(0, 0) is not None
    steering.delete(server.board, server.row().id, ALONE)
    folders = host.runs / queued_jobs.FOLDER
    assert not list(folders.iterdir())
    with pytest.raises(SettingsError):
        server.strips.job(job.id)
    discarded = paused_in_the_middle(server, model)
    steering.steer(server.board, server.row().id, "cancel", ALONE)
    assert server.row().state == "cancelled" and not list(folders.iterdir()) and ended(discarded).has_ended


def test_one_that_waits_is_cancelled_at_once_and_the_panel_is_told(server: Server) -> None:
    server.board.queue._is_ready = lambda: False
    job = server.compare()
    job.cancel()
    assert ended(job).watch().state == "cancelled" and server.row().state == "cancelled"
    assert "before anything" in server.strips.job(job.id).watch().message


def test_a_minute_s_comparison_never_waits_for_a_training_and_one_for_another(
    server: Server, host: Host, tmp_path: Path
) -> None:
    training = server.trainings.start(
        settings(steps=100_000, validate_every=0, preview_every=0), [draw_pictures(tmp_path / "given")], uploaded=False
    )
    wait_until(lambda: training.watch().step > 1)
    with host.turns:
        jobs = [server.compare() for _ in range(2)]
        states = sorted(row.state for row in server.board.queue.store.jobs(kinds=["layers"])[0])
        assert states == ["running", "waiting"]
    for job in jobs:
        assert ended(job).watch().state == "finished"
    assert training.standing().state == "running"


def test_estimates_go_by_the_pace_of_the_same_kind(server: Server, host: Host) -> None:
    ended(server.compare())
    server.board.queue.settle()
    store = server.board.queue.store
    store.change(server.row().id, result={"seconds": 40.0})
    store.add(Job("training", "", "zxqv", {}, state="finished", done=10, total=10, result={"seconds": 1000.0}))
    server.board.queue._is_ready = lambda: False
    server.compare()
    [waits] = listed(server.board, ALONE, states="open")["jobs"]
    assert (waits["begins_in"], waits["ends_in"]) == (0.0, 40.0)


def test_limits_count_them_and_others_may_not_steer_them(host: Host) -> None:
    server = Server(replace(host, limits=Limits(jobs=1), is_ready=lambda: False))
    server.compare(ANN)
    with pytest.raises(LimitReached):
        server.compare(ANN)
    assert len(list((host.runs / queued_jobs.FOLDER).iterdir())) == 1, "what was refused leaves nothing"
    for order in steering.ORDERS:
        with pytest.raises(NotYours):
            steering.steer(server.board, server.row().id, order, BOB)
    server.board.close()


def test_the_oldest_that_ended_are_forgotten_with_their_folders(
    server: Server, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queued_jobs, "KEPT_ENDED", 2)
    jobs = [ended(server.compare()) for _ in range(4)]
    ended(server.compare())
    assert server.board.queue.store.jobs()[1] <= 4
    with pytest.raises(SettingsError):
        server.strips.job(jobs[0].id)
    assert len(list((host.runs / queued_jobs.FOLDER).iterdir())) == server.board.queue.store.jobs()[1]


def test_a_list_that_is_lost_is_made_anew_from_the_folders(server: Server, host: Host, model: Counting) -> None:
    job = ended(server.compare())
    server.board.queue.settle()
    before = server.row()
    server.kill()
    for file in host.runs.glob(".jobs.sqlite3*"):
        file.unlink()
    later = Server(host)
    found = later.row()
    assert found.ended is not None and before.ended is not None and abs(found.ended - before.ended) < 60
    assert replace(found, server="", ended=None) == replace(before, server="", ended=None)
    assert later.strips.job(job.id).watch().state == "finished"
    later.board.close()


def test_a_folder_that_is_damaged_is_told(server: Server, host: Host) -> None:
    server.board.queue._is_ready = lambda: False
    job = server.compare()
    (host.runs / queued_jobs.FOLDER / job.id / "request.json").write_text("{}")
    server.kill()
    later = Server(host)
    assert later.row().state == "failed" and "cannot be read" in later.row().message
    later.board.close()
