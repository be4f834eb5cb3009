"""Checks of training sets as jobs: watched, cancelled, on models that others use, and with what may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import pytest
from PIL import Image

from pseudoword.errors import DatasetError, LimitReached, MissingExtra, ModelError, SettingsError, TrainingError
from pseudoword.jobs.host import Host
from pseudoword.jobs.scoring.clip_models import ClipModels
from pseudoword.jobs.server.limits import Limits
from pseudoword.jobs.set_check.set_checks import SetChecks, left_out
from pseudoword.jobs.set_check.set_clip import ClipOnSets
from pseudoword.jobs.strips.strip_job import picture_in
from pseudoword.jobs.training.trainings import Trainings
from pseudoword.training.dataset import Picture
from tests.jobs.small_checks import ended, found_in, request_for
from tests.jobs.small_host import small_host, wait_until
from tests.scoring.pictures import clip_folder, hostile
from tests.scoring.watched_loans import DECODING, PASS, watched_loans
from tests.tiny_models import TinyModel
from tests.training.doubtful_sets import DOUBTFUL, fill_doubtful
from tests.training.small_runs import WORD, draw_pictures, settings

pytest.importorskip("open_clip")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return small_host(tmp_path / "runs")


@pytest.fixture
def checks(host: Host) -> Iterator[SetChecks]:
    found = SetChecks(host)
    yield found
    found.end()


class BuiltIn(TinyModel):
    """A tiny model that is called as the built-in one, whose pictures the built-in CLIP knows."""

    title = "pseudoword-mini"


def test_the_clip_model_is_lent_for_passes_alone(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = ClipOnSets(host)
    one, another = [Picture(path, 32, 32, "") for path in sorted(draw_pictures(tmp_path / "set").iterdir())[:2]]
    clip.look("", [one], None, lambda done: None)  # what must be known of the model is found the first time
    loans = watched_loans(monkeypatch)
    monkeypatch.setattr(host.clips, "using", loans.watched(host.clips.using))
    clip.look("", [another], None, lambda done: None)
    assert (loans.within, loans.outside) == ({PASS}, {DECODING})


def test_a_set_is_checked_and_every_picture_sent_through_the_vae(host: Host, tmp_path: Path) -> None:
    model = BuiltIn()
    checks = SetChecks(replace(host, model=lambda: model))
    folder = fill_doubtful(tmp_path / "set")
    job = checks.start(request_for([folder], size=64))
    watched = ended(job)
    assert watched.state == "finished" and watched.done == watched.total == 30
    assert watched.size == 64 and watched.clip.startswith("pseudoword-mini [")
    assert tuple(path.name for one, path in zip(watched.checked, watched.sources, strict=True) if one.leaves_out) == (
        DOUBTFUL
    )
    assert all(watched.has_round_trip) and all(one.measured.psnr for one in watched.checked)
    assert [skip.path.name for skip in watched.skipped] == ["broken.png"]
    pictures = [job.original(0), job.round_trip(8)]
    assert all(png is not None and picture_in(png).size == (256, 256) for png in pictures)
    assert job.original(9) is job.round_trip(9) is job.original(-1) is None
    assert job.bytes_kept > 0
    checks.end()


def test_the_only_clip_there_is_says_that_it_does_not_know_such_pictures(checks: SetChecks, tmp_path: Path) -> None:
    watched = found_in(checks, draw_pictures(tmp_path / "set"))
    assert "only a hint" in watched.remarks[0] and "Among 4 pictures" in watched.remarks[1]


def test_another_clip_is_the_default_where_it_is_there_and_is_named(host: Host, tmp_path: Path) -> None:
    clip = clip_folder(tmp_path)
    checks = SetChecks(replace(host, clips=ClipModels(nullcontext(), lambda: [clip])))
    watched = found_in(checks, draw_pictures(tmp_path / "set"))
    assert watched.clip.startswith("tiny-clip [") and watched.remarks[0] == f"CLIP model: {watched.clip}."


def test_without_any_clip_the_rest_is_checked_and_the_reason_told(host: Host, tmp_path: Path) -> None:
    class NoClips(ClipModels):
        def named(self, name: str) -> NoReturn:
            raise MissingExtra("open_clip_torch", "standalone")

    watched = found_in(SetChecks(replace(host, clips=NoClips(nullcontext()))), draw_pictures(tmp_path / "set"))
    assert "open_clip_torch is not installed" in watched.remarks[0] and watched.clip == ""
    assert all(watched.has_round_trip)


def test_without_a_checkpoint_the_pictures_are_checked_for_a_usual_size(host: Host, tmp_path: Path) -> None:
    def none_loaded() -> NoReturn:
        raise ModelError("No checkpoint is loaded; choose one.")

    watched = found_in(SetChecks(replace(host, model=none_loaded)), fill_doubtful(tmp_path / "set"))
    assert watched.size == 512 and not any(watched.has_round_trip)
    assert "without the VAE: No checkpoint is loaded" in watched.remarks[0]
    assert [skip.path.name for skip in watched.skipped] == ["7-copy.jpg", "9-small.png", "broken.png"]


def test_where_another_checkpoint_is_chosen_meanwhile_the_rest_of_the_check_stays(host: Host, tmp_path: Path) -> None:
    class Gone(TinyModel):
        def borrowed(self) -> NoReturn:
            raise TrainingError("Another checkpoint is loaded.")

    model = Gone()
    watched = found_in(SetChecks(replace(host, model=lambda: model)), draw_pictures(tmp_path / "set"))
    assert len(watched.checked) == 4 and not any(watched.has_round_trip)
    assert "Another checkpoint is loaded" in watched.remarks[-1]


def test_others_use_the_model_between_two_pictures(host: Host, tmp_path: Path) -> None:
    checks = SetChecks(host)
    with host.turns:
        job = checks.start(request_for([draw_pictures(tmp_path / "set")]))
        wait_until(lambda: job.watch().state == "round trips")
        assert len(job.watch().checked) == 4 and job.watch().seconds_left is not None
        assert not any(job.watch().has_round_trip)
    assert ended(job).state == "finished"


def test_a_check_can_be_cancelled_and_keeps_what_it_found(host: Host, tmp_path: Path) -> None:
    checks = SetChecks(host)
    with host.turns:
        job = checks.start(request_for([draw_pictures(tmp_path / "set")]))
        wait_until(lambda: job.watch().state == "round trips")
        job.cancel()
        assert "Cancelling" in job.watch().message
    watched = ended(job)
    assert watched.state == "cancelled" and len(watched.checked) == 4
    job.cancel()
    assert "kept" in job.watch().message


def test_odd_files_are_checked_or_named(checks: SetChecks, tmp_path: Path) -> None:
    sound, unreadable = hostile(tmp_path / "set")
    watched = found_in(checks, tmp_path / "set")
    assert {path.name for path in watched.sources} == sound - {"dot.png", "long.png"}  # too small to train on
    assert {skip.path.name for skip in watched.skipped} >= unreadable - {"gone.png"}


def test_a_folder_without_a_usable_picture_fails_with_the_reason(checks: SetChecks, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"no")
    watched = ended(checks.start(request_for([tmp_path / "set"])))
    assert watched.state == "failed" and "a.png: it is no picture" in watched.message
    with pytest.raises(DatasetError, match="does not exist"):
        checks.start(request_for([tmp_path / "nowhere"]))


def test_more_pictures_than_one_looks_through_are_refused(
    checks: SetChecks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pseudoword.jobs.set_check.set_check_job.MOST_PICTURES", 3)
    watched = ended(checks.start(request_for([draw_pictures(tmp_path / "set")])))
    assert watched.state == "failed" and "4 pictures, and at most 3" in watched.message


def test_only_folders_that_may_be_read_are_checked(host: Host, tmp_path: Path) -> None:
    inside = draw_pictures(tmp_path / "open" / "set")
    checks = SetChecks(replace(host, folders=[tmp_path / "open"]))
    assert len(found_in(checks, inside).checked) == 4
    outside = draw_pictures(tmp_path / "closed")
    for place in (outside, inside / ".." / ".." / "closed"):
        with pytest.raises(SettingsError, match="outside"):
            checks.start(request_for([place]))
    templates = tmp_path / "closed.txt"
    templates.write_text("a [name]")
    with pytest.raises(SettingsError, match="outside"):
        checks.start(request_for([inside], templates=str(templates)))


def test_the_limits_of_a_server_hold_for_checks_too(host: Host, tmp_path: Path) -> None:
    checks = SetChecks(replace(host, limits=Limits(pictures=3)))
    with pytest.raises(LimitReached):
        checks.start(request_for([draw_pictures(tmp_path / "set")]))


def test_uploads_are_brought_together_with_their_captions_and_removed(checks: SetChecks, tmp_path: Path) -> None:
    files = []
    for place, (name, content) in enumerate([("a.png", None), ("a.txt", "a cat"), ("a.png", None)]):
        path = tmp_path / str(place) / name
        path.parent.mkdir()
        if content is None:
            Image.new("RGB", (64, 64), ("red", "white", "blue")[place]).save(path)
        else:
            path.write_text(content)
        files.append(path)
    together = TemporaryDirectory(prefix="pseudoword-test-")
    job = checks.start(request_for(files, uploaded=True), together)
    watched = ended(job)
    assert sorted(watched.sources) == [files[0], files[2]]
    captions = {
        source: one.measured.picture.filewords for one, source in zip(watched.checked, watched.sources, strict=True)
    }
    assert captions == {files[0]: "a cat", files[2]: ""}
    assert not Path(together.name).exists()


def test_what_is_left_out_is_named_by_its_number(checks: SetChecks, tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path / "set")
    job = checks.start(request_for([folder]))
    ended(job)
    assert left_out(job, [0, 2]) == {folder / "0.png", folder / "2.png"}
    assert left_out(job, []) == frozenset()
    for numbers in ([4], [-1]):
        with pytest.raises(SettingsError, match="were not checked"):
            left_out(job, numbers)


def test_nobody_finds_a_check_without_its_id(checks: SetChecks, tmp_path: Path) -> None:
    job = checks.start(request_for([draw_pictures(tmp_path / "set")]))
    assert checks.job(job.id) is job and len(job.id) > 30
    with pytest.raises(SettingsError, match="no longer kept"):
        checks.job("another")


def test_several_checks_wait_for_one_another(host: Host, tmp_path: Path) -> None:
    checks = SetChecks(host)
    with host.turns:
        jobs = [checks.start(request_for([draw_pictures(tmp_path / "set")])) for _ in range(2)]
        wait_until(lambda: any(job.watch().state == "round trips" for job in jobs))
        assert sorted(job.watch().state for job in jobs) == ["round trips", "waiting"]
    assert [ended(job).state for job in jobs] == ["finished"] * 2


def test_an_error_of_ours_is_told_as_one(host: Host, tmp_path: Path) -> None:
    class Broken(TinyModel):
        def encode_images(self, pixels: Any) -> NoReturn:
            raise ZeroDivisionError

    model = Broken()
    watched = ended(SetChecks(replace(host, model=lambda: model)).start(request_for([draw_pictures(tmp_path / "set")])))
    assert watched.state == "failed" and "ZeroDivisionError" in watched.message and len(watched.checked) == 4


def test_a_training_learns_from_the_pictures_that_are_left(host: Host, tmp_path: Path) -> None:
    trainings = Trainings(host)
    folder = draw_pictures(tmp_path / "set")
    wanted = settings(steps=2, preview_every=0, validate_every=0)
    with pytest.raises(DatasetError, match="no picture called"):
        trainings.start(wanted, [folder], uploaded=False, left_out=[folder / "9.png"])
    job = trainings.start(wanted, [folder], uploaded=False, left_out=[folder / "1.png", folder / "3.png"])
    job.wait(60)
    assert job.watch().prepared == (2, 2)
    copied = [*folder.iterdir()]
    uploaded = settings(name=f"{WORD}-b", steps=2, preview_every=0, validate_every=0)
    job = trainings.start(uploaded, copied, uploaded=True, left_out=copied[:1])
    job.wait(60)
    kept = {path.name for path in (host.runs / f"{WORD}-b" / "pictures").iterdir()}
    assert kept == {path.name for path in copied[1:]}
    trainings.end()
