"""Pictures that are made a portion at a time: how far they are is told, and they can be ended between two steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pseudoword.diffusion import Sampling
from pseudoword.errors import ModelError
from pseudoword.jobs.picture_portions import portions
from pseudoword.jobs.slices import Interrupted
from pseudoword.text import encode_negative, encode_prompts
from tests.tiny_models import TinyModel

LARGE = Sampling(512, 512, 3, 1.0)  # of which four are made at a time


def too_little() -> ModelError:
    return ModelError("too little")


def made(model: TinyModel, count: int, on_step: Any) -> list[int]:
    """How many pictures each portion had."""
    told, against = encode_prompts(model, ["a dog"], {}), encode_negative(model, "", {})
    return [len(some) for some in portions(model, told, against, LARGE, range(count), on_step, too_little)]


def test_the_steps_of_all_portions_are_counted() -> None:
    told: list[tuple[int, int]] = []
    assert made(TinyModel(), 6, lambda done, total: told.append((done, total))) == [4, 2]
    assert told == [(step, 6) for step in range(1, 7)]


def test_work_that_nobody_wants_any_more_ends_between_two_steps() -> None:
    told: list[int] = []

    def on_step(done: int, total: int) -> None:
        told.append(done)
        if done == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        made(TinyModel(), 6, on_step)
    assert told == [1, 2, 3, 4, 5]


def test_where_memory_is_short_portions_are_smaller_and_steps_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = TinyModel.decode_latents

    def decode_two(self: TinyModel, latents: torch.Tensor) -> torch.Tensor:
        if len(latents) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return decode(self, latents)

    monkeypatch.setattr(TinyModel, "decode_latents", decode_two)
    told: list[tuple[int, int]] = []
    assert made(TinyModel(), 5, lambda done, total: told.append((done, total))) == [2, 2, 1]
    assert told == [(1, 6), (2, 6), (3, 6), *((step, 9) for step in range(1, 10))]
    monkeypatch.setattr(TinyModel, "decode_latents", lambda self, latents: decode_two(self, torch.cat([latents] * 3)))
    with pytest.raises(ModelError, match="too little"):
        made(TinyModel(), 2, lambda done, total: None)
