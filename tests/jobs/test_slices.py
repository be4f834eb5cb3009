"""The model is held for a while, then whoever waits has it, wherever in the work the time is up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pseudoword.errors import TrainingError
from pseudoword.jobs.slices import Interrupted, Slices
from pseudoword.jobs.turns import Turns


class Model:
    """Notes when it is borrowed; may be gone."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_gone = False

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        if self.is_gone:
            raise TrainingError("gone")
        self.told.append("taken")
        try:
            yield
        finally:
            self.told.append("given back")


@pytest.fixture
def model() -> Model:
    return Model()


def slices(model: Model, turns: Turns, seconds: float, wanted: bool = True) -> Slices:
    return Slices(turns, model.borrowed, lambda: seconds, lambda: wanted)


def is_free(turns: Turns) -> bool:
    return not turns._is_taken


def test_a_slice_holds_the_turn_and_the_model(model: Model) -> None:
    turns = Turns()
    with slices(model, turns, 60).one():
        assert not is_free(turns) and model.told == ["taken"]
    assert is_free(turns) and model.told == ["taken", "given back"]


def test_between_passes_a_slice_goes_on_until_its_time_is_up(model: Model) -> None:
    ours = slices(model, Turns(), 60)
    with ours.one():
        ours.between_passes()
    assert not ours.is_over and model.told == ["taken", "given back"]


def test_between_passes_others_come_in_when_the_time_is_up(model: Model) -> None:
    ours = slices(model, Turns(), 0)
    with ours.one():
        ours.between_passes()
        assert model.told == ["taken", "given back", "taken"]
    assert model.told[-1] == "given back"


def test_a_model_that_is_gone_between_passes_leaves_the_turn_free(model: Model) -> None:
    turns = Turns()
    ours = slices(model, turns, 0)
    with pytest.raises(TrainingError, match="gone"), ours.one():
        model.is_gone = True
        ours.between_passes()
    assert is_free(turns) and model.told == ["taken", "given back"]
    with pytest.raises(TrainingError), ours.one():
        raise AssertionError("it must not begin")
    assert is_free(turns)


def test_work_that_is_no_longer_wanted_ends_between_passes(model: Model) -> None:
    turns = Turns()
    ours = slices(model, turns, 60, wanted=False)
    with pytest.raises(Interrupted), ours.one():
        ours.between_passes()
    assert is_free(turns)


def test_a_length_that_is_none_takes_no_turn(model: Model) -> None:
    def no_length() -> float:
        raise ValueError("fast")

    turns = Turns()
    with pytest.raises(ValueError), Slices(turns, model.borrowed, no_length, lambda: True).one():
        raise AssertionError("it must not begin")
    assert is_free(turns) and model.told == []
