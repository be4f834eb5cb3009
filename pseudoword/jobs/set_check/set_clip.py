"""What a CLIP model says of the pictures of a training set."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ...builtin import CHECKPOINT, SAMPLES
from ...diffusion import DiffusionModel
from ...errors import DatasetError
from ...scoring import FeatureCache, folder_features
from ...scoring.models import ClipModel
from ...training.caption_fit import EVERYDAY
from ...training.captions import NAME
from ...training.dataset import Picture
from ...training.set_check import SeenByClip
from ...training.set_outliers import contrast_of
from ..host import Host

THINGS = ("castle", "helicopter", "octopus", "penguin", "pizza", "strawberry")
PICTURES_EACH = 3
AT_ONCE = 4  # a large model on a CPU takes a second for one


@dataclass(frozen=True, eq=False)
class Traits:
    """Of one model: its title, `contrast` (see `contrast_of`), logit scale, and features (M, D) of `EVERYDAY`."""

    title: str
    contrast: float
    logit_scale: float
    everyday: Tensor


class ClipOnSets:
    """Asks the CLIP models of `host`. What it must know of a model is found once for each, and kept."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._known: dict[ClipModel, Traits] = {}

    def look(
        self, name: str, pictures: Sequence[Picture], trained: DiffusionModel | None, go_on: Callable[[int], None]
    ) -> tuple[SeenByClip, str, str]:
        """What the model called `name`, "" for the default, says of `pictures`; its title; and a remark on it.

        `trained` is what the word is for. `go_on` is called with the number of pictures done, and may raise. Raises
        ModelError, MissingExtra, and DatasetError where a picture can no longer be read.
        """
        model = self._host.clips.named(name)
        traits = self._traits(model, go_on)
        features = self._features(model, [picture.path for picture in pictures], go_on)
        said = sorted({picture.filewords for picture in pictures if told_in(picture.filewords)})
        with self._host.clips.using(model) as scorer:
            encoded = scorer.text_features([told_in(words) for words in said], "mean", remember=False) if said else ()
        is_reliable = model.origin != "built in" or (trained is not None and trained.title == Path(CHECKPOINT).stem)
        remark = f"CLIP model: {traits.title}."
        if not is_reliable:
            remark = (
                f"The only CLIP model here is the small one that is built in, {traits.title}. It knows drawings of "
                "things alone: what it says of other pictures and their captions is only a hint."
            )
        captions = dict(zip(said, encoded, strict=True))
        seen = SeenByClip(features, traits.contrast, traits.logit_scale, traits.everyday, captions, is_reliable)
        return seen, traits.title, remark

    def _traits(self, model: ClipModel, go_on: Callable[[int], None]) -> Traits:
        with self._lock:
            known = self._known.get(model)
        if known is not None:
            return known
        samples = [path for thing in THINGS for path in sorted((SAMPLES / thing).glob("*.png"))[:PICTURES_EACH]]
        contrast = contrast_of(self._features(model, samples, lambda _: go_on(0)).split(PICTURES_EACH))
        with self._host.clips.using(model) as scorer:
            found = Traits(scorer.title, contrast, scorer.logit_scale, scorer.text_features(EVERYDAY))
        with self._lock:
            self._known[model] = found
        return found

    def _features(self, model: ClipModel, paths: Sequence[Path], go_on: Callable[[int], None]) -> Tensor:
        """Features (N, D) of the pictures at `paths`, N ≥ 1. Raises DatasetError where one cannot be read."""
        with self._host.clips.using(model) as scorer:
            identity = scorer.identity
        found: list[Tensor] = []
        with (
            FeatureCache(self._host.features, identity) as cache,
            contextlib.closing(
                folder_features(
                    [str(path.absolute()) for path in paths],
                    scorer,
                    cache,
                    at_once=AT_ONCE,
                    using=partial(self._host.clips.using, model),
                )
            ) as portions,
        ):
            for portion in portions:
                for one in portion.unreadable:
                    raise DatasetError(f"{Path(one.path).name} can no longer be used: {one.reason}.")
                found.append(portion.features)
                go_on(len(portion.paths))
        return torch.cat(found)


def told_in(filewords: str) -> str:
    """What CLIP can make of a caption: all but the new word, which it does not know."""
    return " ".join(filewords.replace(NAME, "").split()).strip(" ,")
