from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pseudoword.training.dataset import find_pictures
from pseudoword.training.latents import encode_pictures
from pseudoword.training.lesson import Lesson
from pseudoword.training.validation import FEWEST, validation_pictures, validation_size, validation_timesteps
from tests.tiny_models import TinyModel
from tests.training.small_runs import WORD, pictures, settings


@given(pictures=st.integers(1, 100), examples=st.integers(1, 64), between=st.integers(1, 1000))
def test_validation_costs_a_small_share_of_the_time_but_never_looks_at_too_little(
    pictures: int, examples: int, between: int
) -> None:
    size = validation_size(pictures, examples, between)
    assert FEWEST <= size <= max(pictures * 8, FEWEST)
    assert size == FEWEST or size <= 0.25 * examples * between


def test_timesteps_cover_the_whole_range_evenly() -> None:
    assert validation_timesteps(4, 1000).tolist() == [125, 375, 625, 875]


def test_each_picture_is_seen_at_low_middle_and_high_noise() -> None:
    shown = validation_pictures(32, 4, torch.Generator().manual_seed(0))
    for picture in range(4):
        places = (shown == picture).nonzero().flatten()
        assert len(places) == 8 and places.min() < 4 and places.max() >= 28


def test_the_examples_do_not_hang_on_seed_batch_or_rate(tmp_path: Path) -> None:
    sets = []
    for change in ({"seed": 0}, {"seed": 3, "learning_rate": "0.001", "norm": "free", "batch": 2, "accumulate": 2}):
        wanted = settings(validate_every=50, **change)
        model = TinyModel()
        dataset = encode_pictures(model, pictures(tmp_path / "pictures", wanted), wanted)
        sets.append(Lesson(model, wanted, dataset).validation_set)
    assert len(sets[0].groups) == len(sets[1].groups) == 1
    assert torch.equal(sets[0].groups[0].noisy, sets[1].groups[0].noisy)
    assert sets[0].groups[0].prompts == sets[1].groups[0].prompts
    assert all(WORD in prompt for prompt in sets[0].groups[0].prompts)
    assert len(set(sets[0].groups[0].prompts)) <= 4  # one for each picture, so that few are encoded


def test_pictures_of_several_shapes_are_validated_in_groups(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for place, size in enumerate([(128, 128), (256, 128), (128, 256), (128, 129)]):
        Image.new("RGB", size, (place * 60, 90, 90)).save(folder / f"{place}.png")
    wanted = settings(buckets=True, validate_every=50, size=128)
    model = TinyModel()
    lesson = Lesson(model, wanted, encode_pictures(model, find_pictures(folder, wanted), wanted))
    groups = lesson.validation_set.groups
    assert len(groups) == 3 and sum(len(group) for group in groups) == 32
    timesteps = torch.cat([group.timesteps for group in groups])
    assert torch.equal(timesteps.sort().values, validation_timesteps(32, 1000))


def test_the_examples_of_a_step_hang_on_nothing_but_seed_and_step(tmp_path: Path) -> None:
    def lesson(**changes: object) -> Lesson:
        wanted = settings(**changes)
        model = TinyModel()
        return Lesson(model, wanted, encode_pictures(model, pictures(tmp_path / "pictures", wanted), wanted))

    one, again, other = lesson(), lesson(steps=50), lesson(seed=1)
    one.examples(0)
    assert torch.equal(one.examples(7).noisy, again.examples(7).noisy)
    assert one.examples(7).prompts == again.examples(7).prompts
    assert not torch.equal(one.examples(7).noisy, other.examples(7).noisy)
    assert not torch.equal(one.examples(7).noisy, one.examples(8).noisy)


def test_with_one_picture_a_step_all_of_the_noise_range_is_seen_in_sixteen_steps(tmp_path: Path) -> None:
    wanted = settings(batch=1)
    model = TinyModel()
    lesson = Lesson(model, wanted, encode_pictures(model, pictures(tmp_path / "pictures", wanted), wanted))
    for first in (0, 16):
        timesteps = sorted(int(lesson.examples(step).timesteps) for step in range(first, first + 16))
        assert [(timestep + 0.5) * 16 // 1000 for timestep in timesteps] == list(range(16))
    assert torch.equal(lesson.examples(20).timesteps, lesson.examples(20).timesteps)
