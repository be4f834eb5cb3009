"""The server's log and its figures: what became of whose job, and nothing that is nobody's business."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pseudoword.jobs.server.measures import Measures
from pseudoword.jobs.server.people import Person
from pseudoword.jobs.server.server_log import FILE, MOST_BYTES, logging_to
from pseudoword.jobs.training.trainings import Trainings
from tests.jobs.small_host import small_host
from tests.training.small_runs import draw_pictures, settings

ANN = Person("name:ann", "ann")


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Trainings]:
    trainings = Trainings(small_host(tmp_path / "runs"))
    with logging_to(trainings.host.runs, trainings.host.measures):
        yield trainings
        trainings.end()


def lines(trainings: Trainings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (trainings.host.runs / FILE).read_text().splitlines()]


def test_what_becomes_of_a_job_is_one_line_each(trainings: Trainings, tmp_path: Path) -> None:
    job = trainings.start(settings(), [draw_pictures(tmp_path / "pictures")], uploaded=False, person=ANN)
    job.wait(60)
    found = lines(trainings)
    assert [line["event"] for line in found] == ["job queued", "job started", "job finished"]
    assert all((line["owner"], line["kind"], line["id"]) == ("ann", "training", job.id) for line in found)
    assert found[2]["seconds"] > 0 and found[0]["at"] <= found[2]["at"]
    measures = trainings.host.measures
    assert measures.steps == job.watch().steps - 1 or measures.steps == job.watch().steps
    assert sum(measures.job_waits.read().counts) == 1 and sum(measures.slice_waits.read().counts) > 0


def test_pauses_and_ends_are_told(trainings: Trainings, tmp_path: Path) -> None:
    asked = settings(steps=100_000, early_stop=False)
    job = trainings.start(asked, [draw_pictures(tmp_path / "pictures")], uploaded=False, person=ANN)
    job.pause()
    job.wait_for_rest(60)
    job.resume()
    job.cancel()
    job.wait(60)
    trainings.queue.settle()
    trainings.queue.delete(job.id)
    events = [line["event"] for line in lines(trainings)]
    assert events[:3] == ["job queued", "job started", "job paused"]
    assert events[-2:] == ["job cancelled", "job deleted"]


def test_neither_words_nor_folders_nor_values_of_an_error_are_in_the_log(trainings: Trainings, tmp_path: Path) -> None:
    trainings.start(settings(), [draw_pictures(tmp_path / "pictures")], uploaded=False, person=ANN).wait(60)
    try:
        raise OSError(2, "a secret prompt", str(tmp_path / "secret.png"))
    except OSError:
        logging.getLogger("pseudoword.jobs.strips.strip_job").exception("The strip %s failed", ["a secret prompt"])
    said = (trainings.host.runs / FILE).read_text()
    assert str(tmp_path) not in said and "secret" not in said and "zxqv" not in said
    line = lines(trainings)[-1]
    assert (line["level"], line["event"], line["error"]) == ("error", "The strip %s failed", "FileNotFoundError")
    assert line["frames"][-1].startswith("jobs/test_server_log.py:")
    assert trainings.host.measures.errors == {"jobs.strips.strip_job": 1}


def test_nothing_is_written_before_there_is_a_job(trainings: Trainings) -> None:
    assert not trainings.host.runs.exists()


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    with logging_to(tmp_path, Measures()):
        for _ in range(3):
            logging.getLogger("pseudoword.test").error("x" * (MOST_BYTES // 2))
    assert (tmp_path / FILE).stat().st_size < MOST_BYTES and (tmp_path / f"{FILE}.1").exists()


def test_a_disk_that_is_full_ends_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").write_text("a file where the folder is to be")
    with logging_to(tmp_path / "runs", Measures()):
        logging.getLogger("pseudoword.test").error("x")
    assert "Traceback" not in capfd.readouterr().err


def test_the_package_s_logger_is_as_before_afterwards(tmp_path: Path) -> None:
    log = logging.getLogger("pseudoword")
    before = (log.level, list(log.handlers))
    with logging_to(tmp_path, Measures()):
        assert (log.level, list(log.handlers)) != before
    assert (log.level, list(log.handlers)) == before


def test_steps_are_those_since_the_start() -> None:
    measures = Measures()
    for id, done in (("a", 100), ("a", 101), ("b", 1), ("a", 104), ("b", 3)):
        measures.trained(id, done)
    assert measures.steps == 6 and 0 < measures.steps_per_second <= 6 / 30
    assert replace(measures.slice_waits.read(), seconds=0.0).counts == (0,) * 8
