"""CLIP models in memory: who computes on the device of the diffusion model waits for the turn, unless it is his."""

from __future__ import annotations

from types import TracebackType

import pytest
import torch

from pseudoword.jobs.scoring.clip_models import ClipModels
from pseudoword.scoring.models import builtin_model

pytest.importorskip("open_clip")

ELSEWHERE = torch.device("meta")  # a device that is not the CPU, and is there on every machine


class Turns:
    """Turns that say whether one is taken."""

    taken = False

    def __enter__(self) -> None:
        assert not self.taken, "a turn that is never given back would be waited for"
        self.taken = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.taken = False


def test_on_another_device_a_turn_is_taken() -> None:
    turns = Turns()
    with ClipModels(turns, device=lambda: ELSEWHERE).using(builtin_model()):
        assert turns.taken
    assert not turns.taken


def test_who_has_the_turn_does_not_wait_for_it() -> None:
    turns = Turns()
    clips = ClipModels(turns, device=lambda: ELSEWHERE)
    with turns, clips.using(builtin_model(), inside_turn=True):
        assert turns.taken


def test_where_to_compute_may_be_changed_while_somebody_computes() -> None:
    device = ELSEWHERE
    clips = ClipModels(Turns(), device=lambda: device)
    with clips.using(builtin_model()) as before:
        device = torch.device("cpu")
        with clips.using(builtin_model()) as now:
            assert now.text_features(["a cat"]).shape == (1, now.width)
        assert before.vocabulary is not None and before.vocabulary.device == ELSEWHERE


def test_on_the_processor_nobody_waits() -> None:
    turns = Turns()
    with turns, ClipModels(turns).using(builtin_model()) as scorer:
        assert scorer.text_features(["a cat"]).shape == (1, scorer.width)
