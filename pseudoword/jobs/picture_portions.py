"""Pictures made a portion at a time: what is done is soon there, and it can be told how far the rest is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from PIL import Image

from ..diffusion import Conditioning, DiffusionModel, Sampling
from ..errors import ModelError
from ..training.memory import within_memory

PIXELS_AT_ONCE = 2**20  # of a portion: 4 pictures of 512×512

# Called after each step of the sampler with the steps so far and those of all portions; what it raises ends the work.
OnStep: TypeAlias = Callable[[int, int], None]


def portions(
    model: DiffusionModel,
    told: Conditioning,
    against: Conditioning,
    sampling: Sampling,
    seeds: Sequence[int],
    on_step: OnStep,
    too_little_memory: Callable[[], ModelError],
) -> Iterator[list[Image.Image]]:
    """A picture for each of `seeds`, several at a time, fewer where memory is short.

    Raises `too_little_memory()` where it is too little for a single one.
    """
    at_once, done = max(1, PIXELS_AT_ONCE // (sampling.width * sampling.height)), 0
    earlier_steps = steps = 0

    def after_step() -> None:
        nonlocal steps
        steps += 1
        portions_left = -(-(len(seeds) - done) // at_once)
        on_step(earlier_steps + steps, earlier_steps + portions_left * sampling.steps)

    def make_some() -> list[Image.Image]:
        return model.generate(told, against, sampling, seeds[done : done + at_once], after_step)

    def halve() -> ModelError | None:
        nonlocal at_once, steps
        tried = min(at_once, len(seeds) - done)
        if tried == 1:
            return too_little_memory()
        at_once, steps = tried // 2, 0
        return None

    while done < len(seeds):
        pictures = within_memory(make_some, halve)
        earlier_steps, steps, done = earlier_steps + steps, 0, done + len(pictures)
        yield pictures
