from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pseudoword.errors import DatasetError, TrainingError
from pseudoword.training.checkpoint import Checkpoint, RunIdentity, RunState, identify, load_checkpoint, save_checkpoint
from pseudoword.training.precision import LossScale
from pseudoword.training.progress import Progress
from tests.tiny_models import TinyModel
from tests.training.small_runs import pictures, settings

IDENTITY = RunIdentity("a model", "ab" * 32, settings().to_dict(), (("a.png", "1"), ("b.png", "2")), ("a [name]",))


def checkpoint() -> Checkpoint:
    state = RunState(2, 30, Progress(1.0, 0.5, 20, 0.5, 1), LossScale(4.0, 3), 0.25, 2, 25, 30, 20, 1.5, 99)
    start = {"clip_l": torch.randn(2, 4), "clip_g": torch.randn(2, 6)}
    return Checkpoint(
        IDENTITY,
        state,
        "red cat",
        start,
        start,
        {"vectors.clip_l": torch.randn(2, 4), "step.clip_l": torch.tensor(3.0)},
    )


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    saved = checkpoint()
    save_checkpoint(saved, tmp_path / "c.safetensors")
    loaded = load_checkpoint(tmp_path / "c.safetensors")
    assert (loaded.identity, loaded.state, loaded.start_words) == (saved.identity, saved.state, saved.start_words)
    for group in ("start", "best", "word"):
        before, now = getattr(saved, group), getattr(loaded, group)
        assert before.keys() == now.keys() and all(torch.equal(before[name], now[name]) for name in before)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK\x03\x04 a zip file", b"\xff" * 8 + b"{"])
def test_a_file_that_is_no_checkpoint_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"c\.safetensors is not a checkpoint"):
        load_checkpoint(path)


def test_the_safetensors_of_another_program_are_not_a_checkpoint(tmp_path: Path) -> None:
    save_file({"emb_params": torch.ones(1, 4)}, tmp_path / "c.safetensors")
    with pytest.raises(TrainingError, match="its format is None"):
        load_checkpoint(tmp_path / "c.safetensors")


def test_settings_that_only_say_when_to_look_and_stop_may_change() -> None:
    changed = {**IDENTITY.settings, "steps": 99, "preview_prompt": "[name]", "save_every": 1, "early_stop": True}
    assert IDENTITY.differences(dataclasses.replace(IDENTITY, settings=changed)) == []


def test_with_a_decay_the_length_decides_the_rates_and_may_not_change() -> None:
    cosine = dataclasses.replace(IDENTITY, settings={**IDENTITY.settings, "decay": "cosine"})
    longer = dataclasses.replace(cosine, settings={**cosine.settings, "steps": 99})
    assert cosine.differences(longer) == ["the setting steps was 12 and is 99"]


def test_each_difference_is_named() -> None:
    found = (("b.png", "3"), ("c.png", "1"))
    other = RunIdentity("another", "cd" * 32, {**IDENTITY.settings, "seed": 4}, found, ("the [name]",))
    assert IDENTITY.differences(other) == [
        "the model was a model (ababababab) and is another (cdcdcdcdcd)",
        "the setting seed was 0 and is 4",
        "the lines of the template file object were changed",
        "the picture a.png is gone",
        "the picture c.png is new",
        "the picture b.png or its caption was changed",
    ]
    swapped = dataclasses.replace(IDENTITY, pictures=tuple(reversed(IDENTITY.pictures)))
    assert IDENTITY.differences(swapped) == ["the pictures are in another order"]


def test_pictures_of_two_folders_may_have_the_same_name() -> None:
    pictures_of_both = (("a.png", "1"), ("b.png", "2"), ("a.png", "3"))
    both = dataclasses.replace(IDENTITY, pictures=pictures_of_both)
    assert both.differences(both) == []
    for now, said in (
        ((("a.png", "1"), ("b.png", "2")), "the picture a.png is gone"),
        ((*pictures_of_both, ("a.png", "4")), "the picture a.png is new"),
        ((("a.png", "5"), ("b.png", "2"), ("a.png", "3")), "the picture a.png or its caption was changed"),
        (tuple(reversed(pictures_of_both)), "the pictures are in another order"),
    ):
        assert both.differences(dataclasses.replace(both, pictures=now)) == [said]


def test_a_picture_that_vanished_since_it_was_found_is_named(tmp_path: Path) -> None:
    found = pictures(tmp_path, settings())
    (tmp_path / "2.png").unlink()
    with pytest.raises(DatasetError, match=r"2\.png can no longer be read"):
        identify(TinyModel(), settings(), found)
