"""Latents are encoded once, and the order of batches is a function of the seed and the step alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from pseudoword.diffusion import LatentDistribution
from pseudoword.errors import DatasetError, TrainingError
from pseudoword.training.dataset import Picture, PictureSet, find_pictures
from pseudoword.training.latents import CachedLatents, LatentDataset, encode_pictures
from pseudoword.training.settings import TrainSettings
from tests.tiny_models import TinyModel


class CrampedModel(TinyModel):
    """A tiny model on a machine that has room for `room` pictures at once; notes how many were encoded."""

    def __init__(self, room: int = 1000) -> None:
        super().__init__()
        self.room = room
        self.encoded: list[int] = []

    def encode_images(self, pixels: Tensor) -> LatentDistribution:
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.") if hasattr(torch, "OutOfMemoryError") else MemoryError
        self.encoded.append(len(pixels))
        return super().encode_images(pixels)


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings("zxq", **changes)


def save_pictures(folder: Path, *sizes: tuple[int, int], alpha: bool = False) -> Path:
    for number, (width, height) in enumerate(sizes):
        values = np.random.default_rng(number).integers(0, 256, (height, width, 4 if alpha else 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{number}.png")
    return folder


def encoded(model: TinyModel, folder: Path, **changes: Any) -> LatentDataset:
    asked = settings(**changes)
    return encode_pictures(model, find_pictures(folder, asked), asked)


def test_every_picture_is_encoded_once_whatever_is_asked_of_the_dataset_later(tmp_path: Path) -> None:
    model = CrampedModel()
    dataset = encoded(model, save_pictures(tmp_path, *[(40, 40)] * 11))
    assert sum(model.encoded) == 11
    for step in range(20):
        dataset.batch(step, seed=0, batch=4)
    assert sum(model.encoded) == 11


def test_the_latents_are_the_models_own(tmp_path: Path) -> None:
    model = TinyModel()
    dataset = encoded(model, save_pictures(tmp_path, (32, 32)))
    with Image.open(tmp_path / "0.png") as picture:
        pixels = torch.from_numpy(np.asarray(picture, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    expected = model.encode_images(pixels)
    batch = dataset.batch(0, seed=0, batch=1)
    torch.testing.assert_close(batch.mean, expected.mean)
    torch.testing.assert_close(batch.deviation, expected.deviation)
    assert batch.mask is None
    assert batch.distribution.sample(torch.Generator().manual_seed(0)).shape == (1, 4, 4, 4)


def test_captions_go_with_their_pictures(tmp_path: Path) -> None:
    save_pictures(tmp_path, *[(32, 32)] * 3)
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"number {number}")
    batch = encoded(TinyModel(), tmp_path).batch(3, seed=5, batch=3)
    assert batch.filewords == tuple(f"number {index}" for index in batch.indices)


@pytest.mark.parametrize("room", [1, 2, 5])
def test_with_little_memory_fewer_are_encoded_at_once_with_the_same_result(tmp_path: Path, room: int) -> None:
    save_pictures(tmp_path, *[(40, 40)] * 9)
    roomy, cramped = encoded(TinyModel(), tmp_path), encoded(CrampedModel(room), tmp_path)
    for index in range(9):
        torch.testing.assert_close(cramped.example(index).mean, roomy.example(index).mean)


def test_with_no_room_for_one_picture_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="too little memory to encode even one picture; choose a smaller size"):
        encoded(CrampedModel(0), save_pictures(tmp_path, (40, 40)))


def test_other_errors_of_the_model_are_not_taken_for_a_lack_of_memory(tmp_path: Path) -> None:
    class Broken(TinyModel):
        def encode_images(self, pixels: Tensor) -> LatentDistribution:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        encoded(Broken(), save_pictures(tmp_path, (40, 40)))


def test_mirroring_and_random_crops_give_more_views_and_each_has_its_turn(tmp_path: Path) -> None:
    dataset = encoded(TinyModel(), save_pictures(tmp_path, (48, 40)), flip=True, crop="random")
    views = {tuple(dataset.batch(step, seed=0, batch=1).mean.flatten().tolist()) for step in range(8)}
    assert len(views) == 8
    again = {tuple(dataset.batch(step, seed=0, batch=1).mean.flatten().tolist()) for step in range(8, 16)}
    assert again == views


def test_the_example_of_a_picture_is_its_first_view(tmp_path: Path) -> None:
    save_pictures(tmp_path, (48, 40))
    plain, varied = encoded(TinyModel(), tmp_path), encoded(TinyModel(), tmp_path, flip=True, crop="random")
    torch.testing.assert_close(plain.example(0).mean, varied.example(0).mean)


def test_the_mask_is_mirrored_with_its_picture(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (32, 32), (255, 0, 0, 255))
    picture.paste((0, 255, 0, 0), (0, 0, 8, 32))
    picture.save(tmp_path / "0.png")
    dataset = encoded(TinyModel(), tmp_path, flip=True, alpha_mask=True)
    columns = set()
    for step in range(2):
        mask = dataset.batch(step, seed=0, batch=1).mask
        assert mask is not None and mask.shape == (1, 1, 4, 4)
        columns.add(tuple(mask[0, 0, 0].tolist()))
    assert columns == {(0.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 0.0)}


def test_a_picture_whose_crop_shows_nothing_that_counts_is_skipped(tmp_path: Path) -> None:
    save_pictures(tmp_path, (32, 32))
    sides = Image.new("RGBA", (128, 32), (255, 0, 0, 0))
    sides.paste((255, 0, 0, 255), (0, 0, 8, 32))
    sides.save(tmp_path / "sides.png")
    dataset = encoded(TinyModel(), tmp_path, alpha_mask=True)
    assert [picture.path.name for picture in dataset.pictures.pictures] == ["0.png"]
    assert "transparent all over" in dataset.pictures.skipped[0].reason
    assert len(dataset) == 1


def test_pictures_that_change_or_go_away_meanwhile_are_skipped(tmp_path: Path) -> None:
    save_pictures(tmp_path, *[(32, 32)] * 3)
    found = find_pictures(tmp_path, settings())
    (tmp_path / "0.png").unlink()
    Image.new("RGB", (50, 50)).save(tmp_path / "1.png")
    dataset = encode_pictures(TinyModel(), found, settings())
    assert [picture.path.name for picture in dataset.pictures.pictures] == ["2.png"]
    assert [skip.path.name for skip in dataset.pictures.skipped] == ["0.png", "1.png"]
    (tmp_path / "2.png").unlink()
    with pytest.raises(DatasetError, match="None of the 3 pictures can be used"):
        encode_pictures(TinyModel(), found, settings())


def test_pictures_too_small_for_the_models_own_size_are_skipped(tmp_path: Path) -> None:
    model = TinyModel()
    model.native_size = 128
    dataset = encoded(model, save_pictures(tmp_path, (31, 60), (32, 60)))
    assert [picture.path.name for picture in dataset.pictures.pictures] == ["1.png"]


def test_with_buckets_a_batch_is_of_one_shape_and_all_pictures_come_as_often(tmp_path: Path) -> None:
    save_pictures(tmp_path, (80, 48), (64, 64), (160, 96), (66, 64), (48, 80))
    dataset = encoded(TinyModel(), tmp_path, buckets=True, size=64)
    counts: Counter[int] = Counter()
    shapes = set()
    for step in range(60):
        batch = dataset.batch(step, seed=0, batch=2)
        shapes.add(tuple(batch.mean.shape))
        counts.update(batch.indices)
    assert shapes == {(2, 4, 6, 10), (2, 4, 8, 8), (2, 4, 10, 6)}
    assert set(counts.values()) == {24}


def dataset_of(sizes: list[int]) -> LatentDataset:
    """Pictures of as many shapes as `sizes` has items, that many of each; every latent is its picture's number."""
    pictures: list[Picture] = []
    views: list[list[CachedLatents]] = []
    for width, count in enumerate(sizes, start=1):
        for _ in range(count):
            value = torch.full((4, 1, width), float(len(pictures)))
            views.append([CachedLatents(value, value, torch.ones(1, 1, width))])
            pictures.append(Picture(Path(f"{len(pictures)}.png"), 8 * width, 8, ""))
    return LatentDataset(PictureSet(tuple(pictures), ()), views)


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    batch=st.integers(1, 7),
    seed=st.integers(0, 2**53 - 1),
    cycles=st.integers(1, 3),
)
def test_the_order_of_batches_is_fair_and_hangs_on_seed_and_step_alone(
    sizes: list[int], batch: int, seed: int, cycles: int
) -> None:
    dataset = dataset_of(sizes)
    steps = cycles * sum(sizes)
    forward = [dataset.batch(step, seed, batch) for step in range(steps)]
    backward = [dataset_of(sizes).batch(step, seed, batch) for step in reversed(range(steps))]
    assert [b.indices for b in forward] == [b.indices for b in reversed(backward)]
    for one in forward:
        assert one.mean[:, 0, 0, 0].tolist() == list(one.indices)
        assert len(one.indices) == batch
    counts = Counter(index for one in forward for index in one.indices)
    assert set(counts.values()) == {cycles * batch}  # in a cycle of steps each picture comes `batch` times


def test_other_seeds_give_another_order() -> None:
    dataset = dataset_of([8])
    orders = {tuple(dataset.batch(step, seed, 8).indices for step in range(2)) for seed in range(10)}
    assert len(orders) == 10
