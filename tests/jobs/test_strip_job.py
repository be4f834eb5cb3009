"""A strip of pictures in the background: made, watched, measured, cancelled, and failed."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pseudoword.diffusion import Conditioning, Sampling
from pseudoword.errors import MissingExtra, SettingsError, TrainingError
from pseudoword.inspect.strips import Similarities, contribution_row, interpolation_row
from pseudoword.jobs.host import Host
from pseudoword.jobs.strips.strips import Strips
from pseudoword.scoring import ClipScorer
from pseudoword.text import encode_prompts
from tests import tiny_models
from tests.inspect.words import random_rows, word
from tests.jobs.small_host import small_host, wait_until
from tests.jobs.small_strips import ROW, ended, is_free, start


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> ClipScorer:
    pytest.importorskip("open_clip")
    folder = tiny_models.save_open_clip(tmp_path_factory.mktemp("clip"))
    return ClipScorer.load(folder / "open_clip_config.json", folder / "open_clip_model.safetensors")


@pytest.fixture
def host(tmp_path: Path, scorer: ClipScorer) -> Host:
    """It gives its model back after every pass."""
    return replace(small_host(tmp_path), scorer=lambda: scorer, slice_s=lambda: 0.0)


@pytest.fixture
def strips(host: Host) -> Strips:
    return Strips(host)


def opened(png: bytes | None) -> Image.Image:
    assert png is not None
    return Image.open(io.BytesIO(png))


# ---- made -----------------------------------------------------------------------------------------------------------


def test_a_strip_is_made_measured_and_kept(strips: Strips) -> None:
    job = ended(start(strips))
    seen = job.watch()
    assert (seen.state, seen.message, seen.done, seen.total, seen.made) == ("finished", "", 8, 8, (4,))
    assert seen.labels == (("my-cup", "without 1", "without 2", "without 3"),) and seen.seeds == (7, 8)
    (figures,) = seen.figures
    assert isinstance(figures, Similarities) and figures.labels == seen.labels[0] and seen.no_figures == ""
    assert figures.lost(0) == pytest.approx(0) and all(figures.lost(place) > 0 for place in (1, 2, 3))
    assert strips.job(job.id) is job and is_free(strips.host)


def test_a_picture_is_what_the_model_makes_of_the_prompt_and_the_seed(strips: Strips, host: Host) -> None:
    job = ended(start(strips))
    model = host.model()
    side = model.native_size
    told = encode_prompts(model, ["a photo of zxqv"], {"zxqv": word(random_rows(3)[[0, 2]]).vectors})
    against = encode_prompts(model, [""], {})
    expected = model.generate(told, against, Sampling(side, side, 4, 5.0), [7, 8])
    shown = opened(job.picture(0, 2))
    assert shown.size == (2 * 256 + 4, 256), "small pictures are enlarged, so that they can be seen"
    for left, picture in zip((0, 260), expected, strict=True):
        enlarged = picture.resize((256, 256), Image.Resampling.NEAREST)
        assert shown.crop((left, 0, left + 256, 256)).tobytes() == enlarged.tobytes()


@pytest.mark.parametrize("place", [(0, 4), (1, 0), (-1, 0), (0, -1)])
def test_what_is_not_in_a_strip_has_no_picture(strips: Strips, place: tuple[int, int]) -> None:
    assert ended(start(strips)).picture(*place) is None


def test_two_rows_are_made_below_each_other(strips: Strips) -> None:
    job = ended(start(strips, [ROW, contribution_row(word(random_rows(1), "sun"))]))
    assert job.watch().made == (4, 2) and job.watch().total == 12
    assert [found is not None for found in job.watch().figures] == [True, True]
    sheet = opened(job.sheet())
    assert sheet.format == "PNG" and sheet.width >= 1000 and sheet.height > 600


def test_long_rows_are_wrapped_on_the_sheet(strips: Strips, host: Host) -> None:
    first, second = word(random_rows(1), "sun"), word(random_rows(1, seed=1), "moon " * 30)
    way = interpolation_row(first, second, 40, host.model().text_encoders)
    sheet = opened(ended(start(strips, [way], [7], 1)).sheet())
    assert sheet.width <= 2100 and sheet.height > 1000


def test_the_layer_that_a_word_was_made_for_is_used(strips: Strips, host: Host) -> None:
    pictures = [
        ended(start(strips_on, [row])).picture(0, 0)
        for strips_on, row in [
            (strips, ROW),
            (strips, replace(ROW, clip_skip=2)),
            (Strips(replace(host, defaults=lambda: {"clip_skip": 2})), ROW),
        ]
    ]
    assert pictures[0] != pictures[1] == pictures[2]
    failed = ended(start(strips, [replace(ROW, clip_skip=40)])).watch()
    assert failed.state == "failed" and "40" in failed.message


def test_without_clip_there_are_pictures_and_the_way_to_figures(host: Host) -> None:
    job = ended(start(Strips(replace(host, scorer=lambda: None))))
    seen = job.watch()
    assert (seen.state, seen.done, seen.figures) == ("finished", 8, (None,))
    assert "--pseudoword-clip" in seen.no_figures and "--clip" in seen.no_figures
    assert opened(job.sheet()).height > 300


def test_a_clip_that_cannot_be_loaded_is_no_reason_to_fail(host: Host) -> None:
    def broken() -> ClipScorer | None:
        raise MissingExtra("open_clip_torch", "standalone")

    seen = ended(start(Strips(replace(host, scorer=broken)))).watch()
    assert seen.state == "finished" and "without figures: open_clip_torch is not installed" in seen.no_figures


# ---- its end in the middle ------------------------------------------------------------------------------------------


def test_cancelling_in_the_middle_lets_the_turn_go_and_keeps_what_was_made(strips: Strips, host: Host) -> None:
    job = start(strips, seeds=(7,))
    wait_until(lambda: job.watch().done >= 1)
    with host.turns:
        before = job.watch()
        assert before.state == "making" and before.seconds_left is not None and before.seconds_left >= 0
        job.cancel()
        assert "Cancelling" in job.watch().message
    seen = ended(job).watch()
    assert seen.state == "cancelled" and "kept" in seen.message and before.done <= seen.done < seen.total
    assert job.picture(0, 0) is not None and job.picture(0, 3) is None and is_free(host)
    assert opened(job.sheet()).format == "PNG"


def test_one_that_waits_ends_at_once_when_it_is_cancelled(strips: Strips, host: Host) -> None:
    with host.turns:
        jobs = [start(strips), start(strips)]  # one waits for the model, the other for the strip before it
        for job in jobs:
            assert job.watch().state == "waiting" and job.watch().seconds_left is None
            job.cancel()
            assert ended(job).watch().state == "cancelled" and job.watch().done == 0 and job.picture(0, 0) is None
    wait_until(lambda: is_free(host))


def test_one_that_has_ended_stays_as_it_is(strips: Strips) -> None:
    job = ended(start(strips))
    job.cancel()
    assert (job.watch().state, job.watch().message) == ("finished", "")


def test_a_word_of_another_model_is_named_and_the_rows_before_are_kept(strips: Strips, host: Host) -> None:
    job = ended(start(strips, [ROW, contribution_row(word(random_rows(2, 5), "theirs"))]))
    seen = job.watch()
    assert seen.state == "failed" and "'theirs' has vectors of shape (2, 5)" in seen.message
    assert seen.made == (4, 0) and seen.figures[0] is not None and is_free(host)


class Failing(tiny_models.TinyModel):
    """Fails with `problem` at its third shot."""

    def __init__(self, problem: BaseException) -> None:
        super().__init__()
        self.problem, self.shots = problem, 0

    def generate(
        self, conditioning: Conditioning, negative: Conditioning, *more: Any, **other: Any
    ) -> list[Image.Image]:
        self.shots += 1
        if self.shots == 3:
            raise self.problem
        return super().generate(conditioning, negative, *more, **other)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "too little memory"),
        (MemoryError(), "too little memory"),
        (ZeroDivisionError("strange"), r"should not have happened (ZeroDivisionError: strange)"),
        (SystemExit(3), "should not have happened (SystemExit: 3)"),
    ],
)
def test_a_failure_in_the_middle_is_told_and_lets_the_turn_go(host: Host, problem: BaseException, said: str) -> None:
    model = Failing(problem)
    job = ended(start(Strips(replace(host, model=lambda: model))))
    assert job.watch().state == "failed" and said in job.watch().message
    assert job.watch().made == (2,) and is_free(host)


class Exchanged(tiny_models.TinyModel):
    """Another checkpoint takes its place when it is borrowed for the fourth time."""

    times = 0

    def borrowed(self) -> AbstractContextManager[None]:
        self.times += 1
        if self.times == 4:
            raise TrainingError("The checkpoint is another now; press Resume.")
        return super().borrowed()


def test_another_checkpoint_in_the_middle_is_told_in_words_for_strips(host: Host) -> None:
    model = Exchanged()
    seen = ended(start(Strips(replace(host, model=lambda: model)))).watch()
    assert seen.state == "failed" and "choose tiny again, and start anew" in seen.message


def test_a_host_without_a_model_says_so(host: Host) -> None:
    def absent() -> Any:
        raise SettingsError("No checkpoint is loaded; choose one.")

    seen = ended(start(Strips(replace(host, model=absent)))).watch()
    assert (seen.state, seen.message) == ("failed", "No checkpoint is loaded; choose one.")
