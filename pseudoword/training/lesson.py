"""What the model is shown at which step: a pure function of the settings, the pictures and the step."""

from __future__ import annotations

from functools import cached_property

import torch

from ..diffusion import DiffusionModel, LatentDistribution
from .captions import prompts_for
from .examples import Examples, make_examples
from .latents import LatentDataset
from .objective import steps_per_round, stratified_timesteps
from .randomness import step_generator
from .settings import TrainSettings
from .validation import ValidationSet, validation_pictures, validation_size, validation_timesteps

VALIDATION_SEED = 0  # not the run's: runs that differ in nothing but their seed can be compared


class Lesson:
    """Training examples of every step, and the fixed ones for validation."""

    def __init__(self, model: DiffusionModel, settings: TrainSettings, dataset: LatentDataset) -> None:
        self._model = model
        self._settings = settings
        self._dataset = dataset

    def examples(self, step: int) -> Examples:
        """All examples of `step`, counted from 0: as many as the effective batch has."""
        settings = self._settings
        batch = self._dataset.batch(step, settings.seed, settings.batch * settings.accumulate)
        count = len(batch.filewords)
        round_number, place = divmod(step, steps_per_round(count))
        drawn = step_generator(settings.seed, round_number, "timesteps")
        timesteps = stratified_timesteps(steps_per_round(count), count, self._model.schedule.timesteps, drawn)[place]
        captions = step_generator(settings.seed, step, "captions")
        prompts = [prompts_for(settings, settings.name, filewords, captions) for filewords in batch.filewords]
        noise = step_generator(settings.seed, step, "noise")
        return make_examples(self._model, batch.distribution, batch.mask, timesteps, prompts, noise, settings.min_snr)

    @cached_property
    def validation_set(self) -> ValidationSet:
        """The fixed examples, spread over the noise range, each picture always with the same prompt.

        Each picture comes at low, middle and high noise, unless there are so many that `validation_size` limits them.
        """
        settings, dataset = self._settings, self._dataset
        count = validation_size(len(dataset), settings.batch * settings.accumulate, settings.validate_every)
        timesteps = validation_timesteps(count, self._model.schedule.timesteps)
        pictures = validation_pictures(count, len(dataset), step_generator(VALIDATION_SEED, 0, "validation pictures"))
        captions = step_generator(VALIDATION_SEED, 0, "validation captions")
        noise = step_generator(VALIDATION_SEED, 0, "validation noise")
        views = [dataset.example(picture) for picture in range(len(dataset))]
        prompts = [prompts_for(settings, settings.name, view.filewords[0], captions) for view in views]
        groups = []
        for shape in sorted({tuple(view.mean.shape) for view in views}):
            places = [place for place, picture in enumerate(pictures.tolist()) if views[picture].mean.shape == shape]
            shown = pictures[places].tolist()
            if not shown:
                continue
            masks = [mask for picture in shown if (mask := views[picture].mask) is not None]
            mean = torch.cat([views[picture].mean for picture in shown])
            deviation = torch.cat([views[picture].deviation for picture in shown])
            groups.append(
                make_examples(
                    self._model,
                    LatentDistribution(mean, deviation),
                    torch.cat(masks) if masks else None,
                    timesteps[places],
                    [prompts[picture] for picture in shown],
                    noise,
                    None,
                )
            )
        return ValidationSet(tuple(groups))
