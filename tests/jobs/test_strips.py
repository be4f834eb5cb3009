"""Strips beside each other and beside other work: in turns, only so many, only so large, and forgotten in the end."""

from __future__ import annotations

import math
import threading
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from pseudoword.diffusion import Conditioning
from pseudoword.errors import SettingsError
from pseudoword.inspect.strips import interpolation_row
from pseudoword.jobs.host import Host
from pseudoword.jobs.strips.strips import Strips
from pseudoword.jobs.turns import Turns
from tests import tiny_models
from tests.inspect.words import random_rows, word
from tests.jobs.small_host import small_host, wait_until
from tests.jobs.small_strips import ROW, ended, start


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """It gives its model back after every pass."""
    return replace(small_host(tmp_path), slice_s=lambda: 0.0)


@pytest.fixture
def strips(host: Host) -> Strips:
    return Strips(host)


class Noting(tiny_models.TinyModel):
    """Notes in whose thread each pass was made."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        self.threads.append(threading.current_thread().name)
        return super().predict(latents, timesteps, conditioning)


def test_two_strips_take_turns(host: Host) -> None:
    model = Noting()
    strips = Strips(replace(host, model=lambda: model))
    with host.turns:
        jobs = [start(strips), start(strips)]
    for job in jobs:
        assert ended(job).watch().state == "finished"
    names = model.threads
    half = names[: len(names) // 2]
    assert len(set(names)) == 2 and min(half.count(name) for name in set(names)) > len(half) // 4


def test_who_generates_meanwhile_waits_for_one_strip_at_most(strips: Strips, host: Host) -> None:
    assert isinstance(host.turns, Turns)
    with host.turns:
        jobs = [start(strips) for _ in range(4)]
        wait_until(lambda: len(strips._among._waiting) == 3)
        assert len(host.turns._waiting) == 1
    for job in jobs:
        assert ended(job).watch().state == "finished"


def test_others_come_in_while_a_strip_is_made(strips: Strips, host: Host) -> None:
    way = interpolation_row(word(random_rows(1)), word(random_rows(1, seed=1)), 50, host.model().text_encoders)
    job = start(strips, [way], [7])
    for done in (1, 2, 3):
        wait_until(lambda done=done: job.watch().done >= done)  # type: ignore[misc]
        with host.turns:
            assert job.watch().state == "making"
    job.cancel()
    ended(job)


def test_more_than_eight_at_a_time_are_refused(strips: Strips, host: Host) -> None:
    with host.turns:
        jobs = [start(strips) for _ in range(8)]
        with pytest.raises(SettingsError, match="wait or cancel"):
            start(strips)
        jobs[0].cancel()
    ended(jobs[0])
    ended(start(strips))
    for job in jobs:
        ended(job)


def test_the_latest_that_were_made_are_kept_and_older_ones_forgotten(strips: Strips) -> None:
    jobs = [ended(start(strips, seeds=(7,), steps=1)) for _ in range(18)]
    with pytest.raises(SettingsError, match="no longer kept"):
        strips.job(jobs[0].id)
    assert strips.job(jobs[-1].id) is jobs[-1] and strips.job(jobs[2].id) is jobs[2]
    with pytest.raises(SettingsError, match="no longer kept"):
        strips.job("never-there")
    assert len({job.id for job in jobs}) == 18 and min(len(job.id) for job in jobs) > 30


def test_less_are_kept_where_their_pictures_are_large(strips: Strips, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [ended(start(strips, seeds=(7,), steps=1)) for _ in range(3)]
    monkeypatch.setattr(strips._kept, "_most_bytes", jobs[0].bytes_kept + 10)
    under_way = start(strips)
    assert strips.job(jobs[2].id) is jobs[2] and strips.job(under_way.id) is under_way
    with pytest.raises(SettingsError, match="no longer kept"):
        strips.job(jobs[1].id)
    ended(under_way)


def test_a_program_that_ends_leaves_nothing_under_way(strips: Strips) -> None:
    jobs = [ended(start(strips)), start(strips), start(strips)]
    strips.end()
    assert all(job.has_ended for job in jobs) and jobs[0].watch().state == "finished"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seeds": []}, "1 to 8"),
        ({"seeds": range(9)}, "There are 9 seeds; give 1 to 8"),
        ({"seeds": [3, 3]}, "different"),
        ({"seeds": [-1]}, "seeds are -1"),
        ({"seeds": [2**32]}, "from 0 to 4294967295"),
        ({"steps": 0}, "1 to 100"),
        ({"steps": 101}, "1 to 100"),
        ({"guidance": math.nan}, "guidance is nan"),
        ({"guidance": -math.inf}, "guidance is -inf"),
        ({"rows": []}, "nothing to show"),
        ({"rows": [replace(ROW, shots=())]}, "nothing to show"),
        ({"rows": [replace(ROW, shots=ROW.shots * 26)], "seeds": [7]}, "104 pictures, 104 in a row"),
        ({"rows": [replace(ROW, shots=ROW.shots * 20)] * 3, "seeds": [7]}, "240 pictures, 80 in a row"),
    ],
)
def test_more_than_is_allowed_is_refused_before_anything_is_made(
    strips: Strips, given: dict[str, Any], said: str
) -> None:
    usual: dict[str, Any] = {"rows": [ROW], "seeds": [7], "steps": 4, "guidance": 5.0}
    with pytest.raises(SettingsError, match=said):
        strips.start(**(usual | given))
    assert not strips._kept._jobs


class Gone(AbstractContextManager[None]):
    """Turns that nobody gets."""

    def __enter__(self) -> None:
        raise SettingsError("The queue is gone.")

    def __exit__(self, *error: object) -> None:
        raise AssertionError("nobody had a turn")


def test_strips_that_cannot_have_a_turn_do_not_keep_the_others_waiting(host: Host) -> None:
    strips = Strips(replace(host, turns=Gone()))
    for _ in range(2):
        assert ended(start(strips)).watch().message == "The queue is gone."
