"""One training run, and figures of words that can be compared: trained ones and ones that the model knew before."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pseudoword.diffusion import Sampling
from pseudoword.embedding import Embedding
from pseudoword.hosts.diffusers import StandaloneModel, load_model
from pseudoword.scoring import ClipScorer
from pseudoword.text import encode_prompts
from pseudoword.training.dataset import PictureSet, find_pictures
from pseudoword.training.events import Finished
from pseudoword.training.settings import TrainSettings
from pseudoword.training.trainer import TrainingRun

PICTURES = Path(__file__).parent / "pictures"
# Words are chosen on one set of pictures and judged on another: the best of ten would else be the luckiest.
CHOOSING_SEEDS, JUDGED_SEEDS = range(500, 508), range(1000, 1016)


def object_folders() -> list[Path]:
    """The 20 training sets of held-out objects."""
    return sorted(folder for folder in PICTURES.iterdir() if folder.is_dir())


def threads() -> int:
    """CPU threads at work, to be reported with every time."""
    return torch.get_num_threads()


@dataclass(frozen=True)
class Bench:
    """The model and the scorer that all benchmarks use."""

    model: StandaloneModel
    scorer: ClipScorer

    @classmethod
    def builtin(cls) -> Bench:
        """The ones that ship."""
        return cls(load_model(), ClipScorer.builtin())

    def pictures_of(
        self, prompt: str, words: Mapping[str, Mapping[str, Tensor]], seeds: Sequence[int] = JUDGED_SEEDS
    ) -> list[Image.Image]:
        """Pictures of `prompt`, one for each of `seeds`."""
        sampling = Sampling(self.model.native_size, self.model.native_size)
        conditioning, empty = (encode_prompts(self.model, [text], words) for text in (prompt, ""))
        return self.model.generate(conditioning, empty, sampling, seeds)

    def likeness(self, made: Sequence[Image.Image], training: Sequence[Image.Image]) -> float:
        """Mean cosine of the CLIP image features of every made picture with every training picture."""
        return float((self.scorer.image_features(made) @ self.scorer.image_features(training).T).mean())


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    embedding: Embedding
    pictures: PictureSet
    finished: Finished
    seconds: float
    phase_seconds: Mapping[str, float]

    @property
    def images(self) -> list[Image.Image]:
        """The pictures it was trained on."""
        return [picture.load() for picture in self.pictures.pictures]


def train(bench: Bench, source: Path, folder: Path, **settings: Any) -> Trained:
    """Train on the pictures in `source` with default settings, but for those given, in a new `folder`."""
    chosen = TrainSettings(**{"name": f"new-{source.name}", **settings})
    pictures = find_pictures(source, chosen)
    began = time.perf_counter()
    run = TrainingRun(bench.model, chosen, pictures, folder, bench.scorer)
    finished = [event for event in run.events() if isinstance(event, Finished)][-1]
    return Trained(run.result("best"), pictures, finished, time.perf_counter() - began, dict(run.phase_seconds))
