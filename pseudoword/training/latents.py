"""The latents of the training pictures, encoded once and kept, and the batches that steps take from them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..decoding import decode_picture
from ..diffusion import DiffusionModel, LatentDistribution
from ..errors import DatasetError, TrainingError
from .cropping import render, shape_for, windows
from .dataset import Picture, PictureSet, Skipped
from .events import Preparing
from .memory import within_memory
from .randomness import step_generator
from .settings import TrainSettings

# One picture of 512×512, or a few small ones: more at once are hardly faster, and nothing else needs as much memory.
ENCODED_PIXELS, ENCODED_AT_MOST = 2**18, 4


@dataclass(frozen=True)
class TrainingBatch:
    """B pictures of one shape as the trainer takes them, on the CPU: `mean` and `deviation` (B, 4, h, w).

    `mask` (B, 1, h, w) in [0, 1], None where everything in every picture of the set counts; `indices` are places in
    `LatentDataset.pictures`.
    """

    mean: Tensor
    deviation: Tensor
    mask: Tensor | None
    filewords: tuple[str, ...]
    indices: tuple[int, ...]

    @property
    def distribution(self) -> LatentDistribution:
        """Mean and deviation together, to sample from."""
        return LatentDistribution(self.mean, self.deviation)


@dataclass(frozen=True)
class CachedLatents:
    """One view of a picture: `mean` and `deviation` (4, h, w), `mask` (1, h, w), float32 on the CPU."""

    mean: Tensor
    deviation: Tensor
    mask: Tensor


class LatentDataset:
    """Pictures as latents, each in one or more views (crops, mirrored), and an endless fixed order of batches."""

    def __init__(self, pictures: PictureSet, views: Sequence[Sequence[CachedLatents]]) -> None:
        self.pictures = pictures
        self._views = views
        self._has_masks = any(bool((view.mask < 1).any()) for of_picture in views for view in of_picture)
        shapes = [tuple(of_picture[0].mean.shape) for of_picture in views]
        self._buckets = [[i for i, shape in enumerate(shapes) if shape == bucket] for bucket in sorted(set(shapes))]

    def __len__(self) -> int:
        return len(self._views)

    def example(self, picture: int) -> TrainingBatch:
        """A batch of one: the first view of the picture at that place, the same whatever the seed."""
        return self._collect([(picture, self._views[picture][0])])

    def batch(self, step: int, seed: int, batch: int) -> TrainingBatch:
        """The `batch` pictures of `step`, a function of `step` and `seed` alone.

        All are of one bucket. Within a bucket pictures come in shuffled rounds, each once a round, and each round shows
        another view of a picture until all were shown; buckets take turns as often as they have pictures.
        """
        bucket, turn = self._bucket_of(step, seed)
        members = self._buckets[bucket]
        rows = []
        for place in range(turn * batch, (turn + 1) * batch):
            round_number, place_in_round = divmod(place, len(members))
            picture = members[_order(len(members), seed, round_number, f"order of bucket {bucket}")[place_in_round]]
            views = self._views[picture]
            tour, stop = divmod(round_number, len(views))
            rows.append((picture, views[_order(len(views), seed, tour, f"views of picture {picture}")[stop]]))
        return self._collect(rows)

    def _bucket_of(self, step: int, seed: int) -> tuple[int, int]:
        """The bucket of `step`, and how many steps before had the same one.

        In as many steps as there are pictures each bucket has its turn once for each of its pictures, at even distances
        from a random beginning.
        """
        if len(self._buckets) == 1:
            return 0, step
        cycle, place = divmod(step, len(self))
        starts = torch.rand(len(self._buckets), generator=step_generator(seed, cycle, "buckets"), dtype=torch.float64)
        times = torch.cat(
            [(torch.arange(len(b)) + start) / len(b) for b, start in zip(self._buckets, starts, strict=True)]
        )
        owners = torch.cat([torch.full((len(b),), number) for number, b in enumerate(self._buckets)])
        turns = owners[times.argsort(stable=True)]
        bucket = int(turns[place])
        return bucket, cycle * len(self._buckets[bucket]) + int((turns[:place] == bucket).sum())

    def _collect(self, rows: Sequence[tuple[int, CachedLatents]]) -> TrainingBatch:
        return TrainingBatch(
            mean=torch.stack([view.mean for _, view in rows]),
            deviation=torch.stack([view.deviation for _, view in rows]),
            mask=torch.stack([view.mask for _, view in rows]) if self._has_masks else None,
            filewords=tuple(self.pictures.pictures[picture].filewords for picture, _ in rows),
            indices=tuple(picture for picture, _ in rows),
        )


@lru_cache(maxsize=256)
def _order(count: int, seed: int, number: int, purpose: str) -> tuple[int, ...]:
    """The places 0 … count-1 in the shuffled order of round `number`."""
    return tuple(torch.randperm(count, generator=step_generator(seed, number, purpose)).tolist())


@dataclass(frozen=True)
class _View:
    """Something to encode: pixels (3, H, W) and mask (1, h, w) of the picture at `place`."""

    place: int
    pixels: Tensor
    mask: Tensor


def encode_pictures(model: DiffusionModel, picture_set: PictureSet, settings: TrainSettings) -> LatentDataset:
    """The latents of all pictures, each encoded once in every view that `settings` ask for.

    Where memory runs out, fewer are encoded at once. Pictures that cannot be used at this size, or no longer, are
    skipped: look at `LatentDataset.pictures`. Raises DatasetError where none is left, TrainingError where the memory
    does not suffice for one.
    """
    encoding = encode_one_by_one(model, picture_set, settings, step=0)
    while True:
        try:
            next(encoding)
        except StopIteration as end:
            dataset: LatentDataset = end.value
            return dataset


def encode_one_by_one(
    model: DiffusionModel, picture_set: PictureSet, settings: TrainSettings, step: int
) -> Generator[Preparing, None, LatentDataset]:
    """What `encode_pictures` does, with an event after each picture; `step` is that of the run."""
    size = settings.size or model.native_size
    pictures = picture_set.large_enough(size)
    shapes = [
        shape_for(picture.width, picture.height, size, model.latent_factor, buckets=settings.buckets)
        for picture in pictures.pictures
    ]
    views: dict[int, list[CachedLatents]] = {place: [] for place in range(len(shapes))}
    skipped: list[Skipped] = []
    encoder = _Encoder(model, max(1, min(ENCODED_AT_MOST, ENCODED_PIXELS // size**2)))
    done = 0
    for shape in sorted(set(shapes)):
        waiting: list[_View] = []
        for place, picture in enumerate(pictures.pictures):
            if shapes[place] != shape:
                continue
            try:
                waiting += _views_of(place, picture, shape, model.latent_factor, settings)
            except DatasetError as problem:
                skipped.append(Skipped(picture.path, str(problem)))
            while len(waiting) >= encoder.at_once:
                waiting = _encode_some(encoder, waiting, views)
            done += 1
            yield Preparing(step, done, len(shapes))
        while waiting:
            waiting = _encode_some(encoder, waiting, views)
    left = pictures.without(skipped) if skipped else pictures
    return LatentDataset(left, [of_picture for of_picture in views.values() if of_picture])


def _encode_some(encoder: _Encoder, waiting: list[_View], views: dict[int, list[CachedLatents]]) -> list[_View]:
    """Encode the first of `waiting` into `views`, as many as fit at once; gives back the rest."""
    encoded = encoder.encode([view.pixels for view in waiting[: encoder.at_once]])
    count = len(encoded.mean)
    for view, mean, deviation in zip(waiting[:count], encoded.mean, encoded.deviation, strict=True):
        views[view.place].append(CachedLatents(mean, deviation, view.mask))
    return waiting[count:]


def _views_of(
    place: int, picture: Picture, shape: tuple[int, int], latent_factor: int, settings: TrainSettings
) -> list[_View]:
    """All views of one picture. Raises DatasetError if it can no longer be read, or shows nothing that counts."""
    decoded = decode_picture(picture.path)
    if decoded.rgb.size != (picture.width, picture.height):
        raise DatasetError("it was changed while it was in use; start again")
    shown = [
        render(decoded, window, shape, latent_factor, alpha_mask=settings.alpha_mask)
        for window in windows(picture.width, picture.height, shape, settings, place)
    ]
    kept = [(pixels, mask) for pixels, mask in shown if mask.any()]
    if not kept:
        raise DatasetError("what its crop shows is transparent all over; crop it yourself, or turn alpha_mask off")
    views = [_View(place, pixels, mask) for pixels, mask in kept]
    if settings.flip:
        views += [_View(place, pixels.flip(-1), mask.flip(-1)) for pixels, mask in kept]
    return views


class _Encoder:
    """The model's encoder, which takes fewer pictures at once where the memory does not suffice."""

    def __init__(self, model: DiffusionModel, at_once: int) -> None:
        self._model = model
        self.at_once = at_once

    def encode(self, pixels: Sequence[Tensor]) -> LatentDistribution:
        """Latents of the first of `pixels`, (3, H, W) each: of all, or of as many as the memory allows."""

        def encode_first() -> LatentDistribution:
            stacked = torch.stack(list(pixels[: self.at_once])).to(self._model.device)
            with torch.no_grad():
                encoded = self._model.encode_images(stacked)
            return LatentDistribution(encoded.mean.float().cpu(), encoded.deviation.float().cpu())

        def halve() -> TrainingError | None:
            if self.at_once == 1:
                return TrainingError(
                    "There is too little memory to encode even one picture; choose a smaller size, or end other "
                    "programs that use the memory."
                )
            self.at_once = min(self.at_once, len(pixels)) // 2 or 1
            return None

        return within_memory(encode_first, halve)
