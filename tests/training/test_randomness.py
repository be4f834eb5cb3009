"""Random numbers are a function of seed, step and purpose, in every process and on every machine."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.training.randomness import step_generator

SEED, STEP = st.integers(0, 2**53 - 1), st.integers(0, 10**6)


def drawn(seed: int, step: int, purpose: str) -> list[float]:
    return torch.randn(4, generator=step_generator(seed, step, purpose)).tolist()


@given(SEED, STEP, st.text(max_size=8))
def test_the_same_three_give_the_same_numbers(seed: int, step: int, purpose: str) -> None:
    assert drawn(seed, step, purpose) == drawn(seed, step, purpose)


@given(SEED, STEP)
def test_another_seed_step_or_purpose_gives_others(seed: int, step: int) -> None:
    rows = [
        drawn(seed, step, "noise"),
        drawn(seed + 1, step, "noise"),
        drawn(seed, step + 1, "noise"),
        drawn(seed, step, "crop"),
    ]
    assert len({tuple(row) for row in rows}) == 4


def test_runs_of_earlier_versions_can_still_be_continued() -> None:
    first, second = torch.randint(10**6, (2,), generator=step_generator(7, 42, "noise")).tolist()
    assert (first, second) == (699615, 273368)


def test_the_programs_own_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state()
    drawn(0, 0, "noise")
    assert torch.equal(before, torch.get_rng_state())
