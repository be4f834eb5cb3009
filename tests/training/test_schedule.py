"""Learning rates in A1111's notation, warm-up and decay."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.errors import SettingsError
from pseudoword.training.schedule import RateSpan, learning_rate_at, parse_learning_rate
from pseudoword.training.settings import TrainSettings

RATES = st.floats(1e-8, 1.0)


@st.composite
def schedules(draw: st.DrawFn) -> tuple[str, list[RateSpan]]:
    """A schedule in A1111's notation, with blanks wherever they are allowed, and what it means."""
    lengths = draw(st.lists(st.integers(1, 500), max_size=5))
    spans = [RateSpan(draw(RATES), until) for until in accumulate(lengths)]
    ending = draw(st.sampled_from(["", ":-1", None] if spans else ["", ":-1"]))
    blank = st.sampled_from(["", " ", "  "])
    parts = [f"{draw(blank)}{span.rate!r}{draw(blank)}:{draw(blank)}{span.until}{draw(blank)}" for span in spans]
    if ending is not None:
        spans.append(RateSpan(draw(RATES), None))
        parts.append(f"{draw(blank)}{spans[-1].rate!r}{ending}{draw(blank)}")
    return ",".join(parts) + draw(st.sampled_from(["", ",", " , "])), spans


@given(schedules())
def test_a_schedule_means_what_was_written(schedule: tuple[str, list[RateSpan]]) -> None:
    text, spans = schedule
    assert parse_learning_rate(text) == tuple(spans)


@given(st.text(alphabet="0123456789.,:-+eE nainfx_٣", max_size=24))
def test_any_text_is_a_schedule_of_usable_rates_or_a_settings_error(text: str) -> None:
    try:
        spans = parse_learning_rate(text)
    except SettingsError as error:
        assert repr(text) in str(error)
        return
    assert spans and all(0 < span.rate <= 1 for span in spans)
    ends = [math.inf if span.until is None else span.until for span in spans]
    assert ends == sorted(set(ends))


def test_the_wikis_example_falls_at_the_steps_it_names() -> None:
    settings = TrainSettings("word", learning_rate="0.005:100, 1e-3:1000, 1e-5", steps=2000)
    rates = [learning_rate_at(settings, step) for step in (0, 99, 100, 999, 1000, 1999)]
    assert rates == [0.005, 0.005, 1e-3, 1e-3, 1e-5, 1e-5]


@pytest.mark.parametrize(
    ("text", "character", "found"),
    [
        ("", 1, "''"),
        (" , ", 1, "''"),
        ("fast", 1, "'fast'"),
        ("0.005:100, fast:200", 12, "'fast:200'"),
        ("0.005:x", 7, "'x'"),
        ("0.005:", 7, "''"),
        ("0.005:1.5", 7, "'1.5'"),
        ("0.005:100:200", 7, "'100:200'"),
        ("0.005:100, 1e-3:100", 17, "'100'"),
        ("0.005:200, 1e-3:100", 17, "'100'"),
        ("0.005, 1e-3:100", 8, "'1e-3:100'"),
        ("0.005:-1, 1e-3", 11, "'1e-3'"),
        ("0.005:0", 7, "'0'"),
        ("-0.005", 1, "'-0.005'"),
        ("0", 1, "'0'"),
        ("1e-999", 1, "'1e-999'"),
        ("1.5", 1, "'1.5'"),
        ("nan", 1, "'nan'"),
        ("inf", 1, "'inf'"),
        ("1_0", 1, "'1_0'"),
        ("0.005;100", 1, "'0.005;100'"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, character: int, found: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_learning_rate(text)
    assert f"character {character} begins {found}" in str(raised.value)
    assert "0.005:100, 1e-3:1000, 1e-5" in str(raised.value)  # what a right one looks like


def test_the_warm_up_rises_evenly_and_is_over_after_its_steps() -> None:
    settings = TrainSettings("word", learning_rate="0.01", warmup=4, steps=10)
    rates = [learning_rate_at(settings, step) for step in range(6)]
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])


def test_the_cosine_falls_from_the_full_rate_towards_none() -> None:
    settings = TrainSettings("word", learning_rate="0.01", warmup=10, decay="cosine", steps=110)
    rates = [learning_rate_at(settings, step) for step in range(10, 110)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[50] == pytest.approx(0.005)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 1e-5


@given(schedules(), st.integers(0, 50), st.sampled_from(["none", "cosine"]))
def test_every_step_of_every_run_has_a_rate_within_what_was_written(
    schedule: tuple[str, list[RateSpan]], warmup: int, decay: str
) -> None:
    text, spans = schedule
    steps = min(spans[-1].until or 100, 100)
    settings = TrainSettings.from_dict(
        {
            "name": "word",
            "hold": 0.0,
            "learning_rate": text,
            "steps": steps,
            "warmup": min(warmup, steps - 1),
            "decay": decay,
        }
    )
    highest = max(span.rate for span in spans)
    assert all(0 < learning_rate_at(settings, step) <= highest for step in range(steps))


@pytest.fixture(scope="module")
def rates_in_a1111() -> Callable[[str, int], list[float]]:
    """The rate of each step by A1111's own code, from the checkout that $PSEUDOWORD_WEBUI names."""
    webui = os.environ.get("PSEUDOWORD_WEBUI_DIR")
    if not webui:
        pytest.skip("PSEUDOWORD_WEBUI_DIR names no checkout of the WebUI")
    path = Path(webui, "modules", "textual_inversion", "learn_schedule.py")
    spec = importlib.util.spec_from_file_location("learn_schedule", path)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def rates(text: str, steps: int) -> list[float]:
        scheduler = module.LearnRateScheduler(text, steps, verbose=False)
        found = []
        for step in range(steps):
            scheduler.step(step)
            if scheduler.finished:
                break
            found.append(scheduler.learn_rate)
        return found

    return rates


@given(schedule=schedules())
def test_a1111_reads_the_same_rates(
    schedule: tuple[str, list[RateSpan]], rates_in_a1111: Callable[[str, int], list[float]]
) -> None:
    text, spans = schedule
    steps = min(spans[-1].until or 300, 300)
    settings = TrainSettings("word", hold=0.0, learning_rate=text, steps=steps)
    assert rates_in_a1111(text, steps) == [learning_rate_at(settings, step) for step in range(steps)]
