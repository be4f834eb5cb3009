"""What the model is shown at which step: a pure function of the settings, the pictures and the step."""

from __future__ import annotations

from functools import cached_property

import torch

from ..diffusion import DiffusionModel, LatentDistribution
from .captions import prompts_for
from .examples import Examples, make_examples
from .latents import LatentDataset
from .objective import stratified_timesteps
from .randomness import step_generator
from .settings import TrainSettings
from .validation import ValidationSet, validation_pictures, validation_size, validation_timesteps


class Lesson:
    """Training examples of every step, and the fixed ones for validation."""

    def __init__(self, model: DiffusionModel, settings: TrainSettings, dataset: LatentDataset) -> None:
        self._model = model
        self._settings = settings
        self._dataset = dataset

    def examples(self, step: int) -> Examples:
        """All examples of `step`, counted from 0: as many as the effective batch has."""
        settings = self._settings
        count = settings.batch * settings.accumulate
        batch = self._dataset.batch(step, settings.seed, count)
        timesteps = stratified_timesteps(
            len(batch.filewords), self._model.schedule.timesteps, step_generator(settings.seed, step, "timesteps")
        )
        captions = step_generator(settings.seed, step, "captions")
        prompts = [prompts_for(settings, settings.name, filewords, captions) for filewords in batch.filewords]
        return make_examples(
            self._model,
            LatentDistribution(batch.mean, batch.deviation),
            batch.mask,
            timesteps,
            prompts,
            step_generator(settings.seed, step, "noise"),
            settings.min_snr,
        )
