"""A training in the background: watched, paused, resumed, stopped, cancelled, and found again after a restart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pseudoword.embedding import load_embedding
from pseudoword.errors import DatasetError, SettingsError, TrainingError
from pseudoword.jobs.training.training_job import TrainingJob
from pseudoword.jobs.training.trainings import Trainings
from tests.jobs.small_host import small_host, wait_until
from tests.training.small_runs import WORD, draw_pictures, settings

LONG: dict[str, Any] = {"steps": 100_000, "validate_every": 0, "preview_every": 0, "save_every": 0}


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return sorted(draw_pictures(tmp_path / "given").iterdir())


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Trainings]:
    trainings = Trainings(small_host(tmp_path / "runs"))
    yield trainings
    trainings.end()


def start(trainings: Trainings, pictures: list[Path], **changes: Any) -> TrainingJob:
    return trainings.start(settings(**changes), pictures, uploaded=True)


def trained_for(job: TrainingJob, steps: int) -> None:
    """Wait until it has done `steps`."""
    wait_until(lambda: job.watch().step >= steps)


def test_a_finished_training_leaves_its_word_and_its_curve(
    trainings: Trainings, pictures: list[Path], tmp_path: Path
) -> None:
    job = start(trainings, pictures)
    job.wait(60)
    seen = job.watch()
    assert (seen.state, seen.step, seen.steps) == ("finished", 12, 12)
    assert seen.records[-1]["event"] == "finished"
    assert load_embedding(tmp_path / "runs" / WORD / f"{WORD}.safetensors").name == WORD
    assert job.files.curve.exists() and job.files.contact_sheet.exists()


def test_the_model_is_free_while_a_training_is_paused(trainings: Trainings, pictures: list[Path]) -> None:
    job = start(trainings, pictures, **LONG)
    trained_for(job, 3)
    job.pause()
    job.wait_for_rest(60)
    step = job.watch().step
    assert job.watch().state == "paused" and job.files.checkpoint.exists()
    with trainings._host.turns:
        pass
    assert job.watch().step == step
    job.resume()
    trained_for(job, step + 3)
    job.cancel()
    job.wait(60)


def test_others_get_the_model_while_a_training_goes_on(trainings: Trainings, pictures: list[Path]) -> None:
    job = start(trainings, pictures, **LONG)
    trained_for(job, 1)
    for _ in range(3):
        with trainings._host.turns:
            step = job.watch().step
        trained_for(job, step + 1)
    job.cancel()
    job.wait(60)


def test_a_stopped_training_keeps_the_word(trainings: Trainings, pictures: list[Path]) -> None:
    job = start(trainings, pictures, **LONG)
    trained_for(job, 5)
    job.stop()
    job.wait(60)
    assert job.watch().state == "stopped"
    assert load_embedding(job.files.path / f"{WORD}.safetensors").metadata.steps == job.watch().step


def test_a_paused_training_can_be_stopped(trainings: Trainings, pictures: list[Path]) -> None:
    job = start(trainings, pictures, **LONG)
    trained_for(job, 2)
    job.pause()
    job.wait_for_rest(60)
    job.stop()
    job.wait(60)
    assert job.watch().state == "stopped" and (job.files.path / f"{WORD}.safetensors").exists()


def test_a_cancelled_training_leaves_nothing_and_frees_the_name(trainings: Trainings, pictures: list[Path]) -> None:
    job = start(trainings, pictures, **LONG)
    trained_for(job, 2)
    job.cancel()
    job.wait(60)
    assert job.watch().state == "cancelled" and job.watch().records == ()
    assert not job.files.path.exists()
    start(trainings, pictures).wait(60)


def test_a_training_cancelled_before_its_first_step_leaves_nothing(trainings: Trainings, pictures: list[Path]) -> None:
    with trainings._host.turns:
        job = start(trainings, pictures)
        job.cancel()
    job.wait(60)
    assert job.watch().state == "cancelled" and not job.files.path.exists()


def test_there_is_one_training_at_a_time_and_another_waits(trainings: Trainings, pictures: list[Path]) -> None:
    job = start(trainings, pictures, **LONG)
    other = start(trainings, pictures, name="zxqv-other")
    trained_for(job, 2)
    assert other.watch().state == "waiting" and trainings.latest is job
    job.cancel()
    other.wait(60)
    assert other.watch().state == "finished"


def test_a_paused_training_gives_its_turn_to_the_next_and_waits_for_it_again(
    trainings: Trainings, pictures: list[Path]
) -> None:
    job = start(trainings, pictures, **LONG)
    other = start(trainings, pictures, name="zxqv-other", **LONG)
    trained_for(job, 2)
    job.pause()
    trained_for(other, 2)
    job.resume()
    step = other.watch().step
    trained_for(other, step + 2)
    assert (job.watch().state, other.watch().state) == ("waiting", "training")
    other.pause()
    trained_for(job, 4)


def test_a_training_that_waits_can_be_held_back_resumed_and_cancelled(
    trainings: Trainings, pictures: list[Path]
) -> None:
    job = start(trainings, pictures, **LONG)
    other = start(trainings, pictures, name="zxqv-other", **LONG)
    other.pause()
    assert other.watch().state == "paused"
    job.cancel()
    job.wait(60)
    assert other.watch().state == "paused"
    other.resume()
    trained_for(other, 1)
    third = start(trainings, pictures, name="zxqv-third")
    third.cancel()
    third.wait(60)
    assert third.watch().state == "cancelled" and not third.files.path.exists()


def test_a_run_that_was_interrupted_goes_on_after_a_restart(
    trainings: Trainings, pictures: list[Path], tmp_path: Path
) -> None:
    job = start(trainings, pictures, **(LONG | {"save_every": 2}))
    trained_for(job, 5)
    assert trainings.end() == [WORD]
    shutil.rmtree(pictures[0].parent)  # what was uploaded is the run's own
    later = Trainings(small_host(tmp_path / "runs"))
    assert later.interrupted() == [WORD]
    again = later.go_on(WORD)
    trained_for(again, job.watch().step + 1)
    assert later.interrupted() == []
    again.stop()
    again.wait(60)
    assert later.interrupted() == []
    later.end()


def test_a_word_that_was_learned_just_before_a_crash_is_found_and_published(
    trainings: Trainings, pictures: list[Path], tmp_path: Path
) -> None:
    job = start(trainings, pictures, **LONG)
    trained_for(job, 2)
    trainings.queue.stop()  # as if the process were killed before the list of jobs is written
    job.stop()
    job.wait(60)
    trainings.end()
    published: list[Path] = []
    later = Trainings(replace(small_host(tmp_path / "runs"), publish=published.append))
    later.open()
    assert later.queue.store.job(job.id).state == "stopped" and later.interrupted() == []
    assert published == [job.files.path / f"{WORD}.safetensors"]
    later.end()


def test_a_run_whose_settings_are_lost_fails_and_leaves_the_others_alone(
    trainings: Trainings, pictures: list[Path], tmp_path: Path
) -> None:
    job, other = start(trainings, pictures, **LONG), start(trainings, pictures, name="zxqv-other")
    trained_for(job, 2)
    trainings.end()
    job.files.settings.write_text("{")
    later = Trainings(small_host(tmp_path / "runs"))
    later.open()
    assert later.queue.store.job(job.id).state == "failed"
    wait_until(lambda: later.queue.store.job(other.id).state == "finished")
    later.end()


def test_a_training_that_waited_for_another_model_is_paused_with_the_reason(
    trainings: Trainings, pictures: list[Path], tmp_path: Path
) -> None:
    job = start(trainings, pictures, **LONG)
    waits = start(trainings, pictures, name="zxqv-other", **LONG)
    trainings.end()
    host = small_host(tmp_path / "runs")
    model = host.model()
    model.sha256 = "0" * 64
    later = Trainings(host)
    later.open()
    wait_until(lambda: later.queue.store.job(waits.id).state == "paused")
    assert f"was started for the model {model.title}" in later.queue.store.job(waits.id).message
    assert later.queue.store.job(job.id).state == "paused"
    later.end()


def test_a_training_whose_folder_cannot_be_written_pauses_with_the_reason(
    trainings: Trainings, pictures: list[Path]
) -> None:
    job = start(trainings, pictures, **LONG)
    trained_for(job, 2)
    last = job.files.path / "last"
    shutil.rmtree(last)
    last.write_text("in the way")
    job.pause()
    wait_until(lambda: "failed" in job.watch().message)
    assert job.watch().state == "paused"
    last.unlink()
    last.mkdir()
    job.resume()
    trained_for(job, job.watch().step + 2)
    job.cancel()
    job.wait(60)


def test_pictures_that_vanish_before_the_run_began_are_told(trainings: Trainings, pictures: list[Path]) -> None:
    folder = pictures[0].parent
    with trainings._host.turns:
        job = trainings.start(settings(), [folder], uploaded=False)
        shutil.rmtree(folder)
    job.wait(60)
    assert job.watch().state == "failed" and "does not exist" in job.watch().message


@pytest.mark.parametrize("name", ["dog", "../up", "a/b", "", "x" * 300])
def test_a_name_that_no_word_can_have_is_refused(trainings: Trainings, pictures: list[Path], name: str) -> None:
    with pytest.raises(SettingsError):
        start(trainings, pictures, name=name)
    assert trainings.latest is None and not trainings._host.runs.exists()


def test_a_name_that_is_taken_is_refused(trainings: Trainings, pictures: list[Path]) -> None:
    start(trainings, pictures).wait(60)
    with pytest.raises(SettingsError, match="already"):
        start(trainings, pictures)
    with pytest.raises(SettingsError, match="already"):
        trainings.check_name(WORD)


def test_pictures_that_cannot_be_used_leave_no_folder(trainings: Trainings, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"broken\.png"):
        start(trainings, [broken])
    assert not trainings._host.runs.exists()


def test_uploads_of_one_name_do_not_replace_each_other(
    trainings: Trainings, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    twin = Path(shutil.copyfile(pictures[1], tmp_path / "more" / pictures[0].name))
    job = start(trainings, [pictures[0], twin])
    job.wait(60)
    assert len(list((job.files.path / "pictures").iterdir())) == 2


def test_an_unknown_run_cannot_go_on(trainings: Trainings) -> None:
    for name in ("nothing", "../..", "/etc"):
        with pytest.raises(TrainingError, match="no interrupted run"):
            trainings.go_on(name)


@pytest.mark.parametrize("killed_in", ["job_queue.JobQueue.delete", "job_board.remove_folder"])
def test_a_deletion_in_which_the_server_was_killed_is_finished_by_the_next_start(
    trainings: Trainings, pictures: list[Path], monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    training = trainings.start(settings(), pictures, uploaded=False)
    training.wait(60)

    def killed(*given: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(f"pseudoword.jobs.{killed_in}", killed)
        with pytest.raises(SystemExit):
            trainings.board.delete(trainings.queue.store.job(training.id))
    trainings.end()
    after = Trainings(trainings.host)
    after.open()
    assert after.queue.store.jobs() == ([], 0) and not list(trainings.host.runs.glob("*/*"))
    after.start(settings(), pictures, uploaded=False).wait(60)  # its name is free
    after.end()
