"""Scored folders and indexes as jobs of the list: found again after a restart, paused, resumed, ended and discarded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from pseudoword.errors import NotYours, SettingsError
from pseudoword.jobs import steering
from pseudoword.jobs.host import Host
from pseudoword.jobs.job_board import JobBoard
from pseudoword.jobs.job_view import detailed
from pseudoword.jobs.queued_jobs import FOLDER
from pseudoword.jobs.scoring import score_job
from pseudoword.jobs.scoring.score_job import ScoreJob
from pseudoword.jobs.scoring.score_request import ScoreRequest
from pseudoword.jobs.scoring.score_result import result_table
from pseudoword.jobs.scoring.scorings import Scorings
from pseudoword.jobs.search.picture_search import OpenIndex
from pseudoword.jobs.server.people import ALONE, Person
from pseudoword.jobs.store.job_store import Job
from tests.jobs.small_host import PATIENCE_S, wait_until
from tests.jobs.small_scorings import ended, named_pictures, result_of, scoring_host
from tests.scoring.pictures import fill

pytest.importorskip("open_clip")

TEXTS = ("a cat", "a dog", "a house by the sea")
ANN, BOB = Person("name:ann", "ann"), Person("name:bob", "bob")


class Server:
    """A server that scores; ended without a word to its list, as one that is killed."""

    def __init__(self, host: Host) -> None:
        self.board = JobBoard(host)
        self.scorings = Scorings(host, self.board)
        self.search = self.scorings.search

    def score(self, request: ScoreRequest, person: Person = ALONE) -> ScoreJob:
        return self.scorings.start(request, person=person)

    def row(self) -> Job:
        """The only job."""
        self.board.open()
        self.board.queue.settle()
        [job] = self.board.queue.store.jobs()[0]
        return job

    def hold(self) -> None:
        """Let nothing begin."""
        self.board.queue._is_ready = lambda: False

    def kill(self) -> None:
        """End as a process does that is killed: its lock goes, and nothing is written."""
        self.board.queue._is_open = False
        self.board.queue.store.close()
        self.board.queue._server.end()

    def end(self) -> None:
        self.board.close()
        self.scorings.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures."""
    fill(tmp_path / "pictures", 6)
    return tmp_path / "pictures"


@pytest.fixture
def host(tmp_path: Path, folder: Path, clip: Path) -> Host:
    return scoring_host(tmp_path, clip, features=tmp_path / "cache" / "clip.sqlite", outputs=lambda: [folder])


@pytest.fixture
def server(host: Host) -> Iterator[Server]:
    found = Server(host)
    yield found
    found.end()


def pausing(server: Server, request: ScoreRequest, monkeypatch: pytest.MonkeyPatch) -> ScoreJob:
    """A job that was paused after its first pictures."""
    jobs: list[ScoreJob] = []
    add = ScoreJob._add

    def noting(self: ScoreJob, *given: object) -> None:
        add(self, *given)  # type: ignore[arg-type]
        jobs[0].pause()

    with monkeypatch.context() as patch:
        patch.setattr(score_job, "AT_ONCE", 2)
        patch.setattr(ScoreJob, "_add", noting)
        ready, server.board.queue._is_ready = server.board.queue._is_ready, lambda: False
        jobs.append(server.score(request))
        server.board.queue._is_ready = ready
        server.board.queue.begin_next()
        wait_until(lambda: server.row().state == "paused")
    return jobs[0]


# ---- scores --------------------------------------------------------------------------------------------------------


def test_a_folder_is_scored_by_a_job_of_the_list_and_pasted_pictures_are_not(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    ended(server.score(ScoreRequest(named_pictures(tmp_path / "pasted", 2), labels=TEXTS)))
    assert server.board.queue.store.jobs() == ([], 0)
    job = ended(server.score(ScoreRequest(folder=folder, labels=TEXTS), ANN))
    row = server.row()
    assert (row.kind, row.state, row.done, row.owner) == ("scoring", "finished", 6, ANN.owner)
    seen = detailed(server.board, ANN, row.id)
    assert seen["result"] == f"scores/{job.id}" and seen["about"] == "pictures" and str(folder) not in str(seen)
    assert seen["says"][0].startswith("6 pictures scored by tiny-clip") and "Best for “a cat”" in seen["says"][1]
    with pytest.raises(SettingsError, match="no longer kept"):
        server.scorings.job(row.id)


def test_scores_are_there_after_a_restart_to_the_bit(server: Server, host: Host, folder: Path, tmp_path: Path) -> None:
    (folder / "broken.png").write_text("no picture")
    place = TemporaryDirectory()
    uploads = named_pictures(Path(place.name), 2)
    job = ended(server.scorings.start(ScoreRequest(uploads, folder, labels=TEXTS), place))
    before = job.watch()
    assert before.result is not None and not Path(place.name).exists()
    thumbnails = [job.thumbnail(row) for row in range(8)]
    server.board.queue.settle()
    server.kill()
    later = Server(host)
    found = later.scorings.job(job.id)
    now = found.watch()
    assert now.result is not None and found is not job
    assert (now.state, now.message, now.done, now.total, now.model) == ("finished", "", 9, 9, before.model)
    assert now.result.scores is not None and before.result.scores is not None
    assert torch.equal(now.result.scores.cosines, before.result.scores.cosines)
    assert result_table(now.result) == result_table(before.result) and now.result.unreadable == before.result.unreadable
    assert [found.thumbnail(row) for row in range(8)] == thumbnails and None not in thumbnails
    closed = Server(replace(host, folders=[tmp_path / "elsewhere"]))
    shown = closed.scorings.job(job.id)
    assert shown.thumbnail(0) is not None, "what was uploaded is the job's own"
    assert shown.thumbnail(2) is None, "a folder that is closed today is not looked into"
    for one in (later, closed):
        one.end()


def test_paused_it_goes_on_and_finds_the_same(
    server: Server, host: Host, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ScoreRequest(folder=folder, labels=TEXTS)
    job = pausing(server, request, monkeypatch)
    assert 0 < job.watch().done < 6 and job.watch().state == "paused"
    server.kill()
    later = Server(host)
    assert later.row().state == "paused"
    steering.steer(later.board, later.row().id, "resume", ALONE)
    result = ended(later.scorings.job(job.id)).watch().result
    assert result is not None and result_table(result) == result_table(result_of(Scorings(host), request))
    later.end()


@pytest.mark.parametrize("resumes", [True, False])
def test_one_that_ran_when_the_server_was_killed(host: Host, folder: Path, resumes: bool) -> None:
    first = Server(host)
    first.hold()
    job = first.score(ScoreRequest(folder=folder, labels=TEXTS))
    first.board.queue.store.become(first.row().id, "running")
    first.kill()
    later = Server(replace(host, resumes=resumes))
    assert later.row().state in (("running", "finished") if resumes else ("paused",))
    if not resumes:
        steering.steer(later.board, later.row().id, "resume", ALONE)
    assert ended(later.scorings.job(job.id)).watch().state == "finished"
    later.end()
    first.scorings.end()


def test_cancelled_in_the_panel_it_keeps_what_there_is_and_on_the_list_nothing(
    server: Server, host: Host, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ScoreRequest(folder=folder, labels=TEXTS)
    job = pausing(server, request, monkeypatch)
    job.cancel()
    watched = ended(job).watch()
    assert watched.state == "cancelled" and server.row().state == "stopped"
    assert watched.result is not None and len(watched.result.pictures) == watched.done
    steering.delete(server.board, server.row().id, ALONE)
    job = pausing(server, request, monkeypatch)
    steering.steer(server.board, server.row().id, "cancel", ALONE)
    assert server.row().state == "cancelled" and not list((host.runs / FOLDER).iterdir())


def test_as_many_run_at_a_time_as_the_setting_says(host: Host, folder: Path) -> None:
    server = Server(replace(host, cpu_jobs=1))
    with server.board.queue._lock:
        jobs = [server.score(ScoreRequest(folder=folder, labels=TEXTS)) for _ in range(2)]
        server.board.queue.settle()
        assert sorted(row.state for row in server.board.queue.store.jobs()[0])[-1] == "waiting"
    for job in jobs:
        assert ended(job).watch().state == "finished"
    server.end()


def test_a_folder_that_is_gone_is_told_on_the_list(server: Server, folder: Path, tmp_path: Path) -> None:
    server.hold()
    job = server.score(ScoreRequest(folder=folder, labels=TEXTS))
    folder.rename(tmp_path / "moved")
    server.board.queue._is_ready = lambda: True
    server.board.queue.begin_next()
    assert ended(job).watch().state == "failed" and "is no folder" in server.row().message
    (tmp_path / "moved").rename(folder)
    steering.steer(server.board, server.row().id, "resume", ALONE)
    assert ended(server.scorings.job(job.id)).watch().state == "finished"


# ---- indexes -------------------------------------------------------------------------------------------------------


def read(server: Server, opened: OpenIndex) -> int:
    return opened.index.count(server.search.roots())


def test_pictures_are_read_for_the_search_by_a_job_of_the_list(server: Server, folder: Path) -> None:
    opened, roots = server.search.opened(), server.search.roots()
    job = server.search.start(opened, roots, ANN)
    job.wait(PATIENCE_S)
    row = server.row()
    assert (row.kind, row.state, row.owner) == ("indexing", "finished", ANN.owner) and read(server, opened) == 6
    assert row.result["says"] == ["6 pictures can be found."] and row.settings["folders"] == "pictures"


def test_a_look_for_new_pictures_that_nobody_asked_for_is_no_job(server: Server, folder: Path) -> None:
    opened, roots = server.search.opened(), server.search.roots()
    server.search.start(opened, roots).wait(PATIENCE_S)
    fill(folder, 8)
    server.search.keep_up(opened, roots, at_once=True)
    job = server.search.job(opened)
    assert job is not None
    job.wait(PATIENCE_S)
    assert read(server, opened) == 8 and server.row().state == "finished"


def test_one_that_ran_when_the_server_was_killed_waits_and_is_gone_on_with_from_the_tab(
    host: Host, folder: Path
) -> None:
    first = Server(host)
    first.hold()
    opened, roots = first.search.opened(), first.search.roots()
    first.search.start(opened, roots, ANN)
    first.board.queue.store.become(first.row().id, "running")
    first.kill()
    first.search.end()
    later = Server(host)
    assert later.row().state == "paused"
    opened = later.search.opened()
    later.search.keep_up(opened, roots)
    assert later.row().state == "paused" and read(later, opened) == 0, "who looks does not go on with what is paused"
    later.search.start(opened, roots, ANN).wait(PATIENCE_S)
    assert later.row().state == "finished" and read(later, opened) == 6
    later.end()


def test_only_the_owner_pauses_it_and_others_may_have_it_read_meanwhile(server: Server, folder: Path) -> None:
    opened, roots = server.search.opened(), server.search.roots()
    server.hold()
    job = server.search.start(opened, roots, ANN)
    assert server.search.start(opened, roots, BOB) is job, "it is under way already"
    with pytest.raises(NotYours):
        server.search.pause(opened, BOB)
    server.search.pause(opened, ANN)
    assert job.watch().state == "paused" and server.search.is_paused(opened) and server.row().state == "paused"
    server.board.queue._is_ready = lambda: True
    other = server.search.start(opened, roots, BOB)
    assert other is not job
    other.wait(PATIENCE_S)
    states = {row.owner: row.state for row in server.board.queue.store.jobs()[0]}
    assert states == {ANN.owner: "paused", BOB.owner: "finished"} and read(server, opened) == 6
