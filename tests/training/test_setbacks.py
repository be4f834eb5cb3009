"""What a run does when the disk is full, the numbers break, or the memory is too small."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pseudoword.diffusion import Conditioning
from pseudoword.errors import TrainingError
from pseudoword.training.events import Finished, Saved, StepDone, Validated, Warned
from pseudoword.training.trainer import MOST_SETBACKS
from tests.tiny_models import TinyModel
from tests.training.small_runs import bits, of_kind, one_thread, run_in, settings, timeless_history


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to let any file of this process grow beyond `size` bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="needs the limits of Unix")
@pytest.mark.parametrize("room", [0, 50, 2000])
def test_a_disk_that_is_full_pauses_the_run_and_loses_nothing(tmp_path: Path, room: int) -> None:
    one_thread()
    run = run_in(tmp_path / "full", TinyModel(), settings(preview_every=0))
    events = run.events()
    next(event for event in events if isinstance(event, StepDone) and event.step == 4)
    checkpoint = (tmp_path / "full" / "run" / "checkpoint.safetensors").read_bytes()
    history = tmp_path / "full" / "run" / "history.jsonl"
    with files_of_at_most(history.stat().st_size + room), pytest.raises(TrainingError, match="Make room") as caught:
        list(events)
    assert "too large" in str(caught.value) or "No space" in str(caught.value)
    assert (tmp_path / "full" / "run" / "checkpoint.safetensors").read_bytes() == checkpoint
    assert [json.loads(line) for line in history.read_text().splitlines()]  # no half line
    assert not list((tmp_path / "full" / "run").rglob(".pseudoword-*"))

    went_on = list(run.events())  # the disk has room again
    assert of_kind(went_on, StepDone)[0].step > 4
    whole = run_in(tmp_path / "whole", TinyModel(), settings(preview_every=0))
    list(whole.events())
    assert bits(run) == bits(whole)
    assert timeless_history(tmp_path / "full") == timeless_history(tmp_path / "whole")


class EdgeModel(TinyModel):
    """Its answer is the logarithm of a negative number once the prompt's meaning moves further than `edge`."""

    def __init__(self, edge: float) -> None:
        super().__init__()
        self.edge = edge
        self.home: Tensor | None = None

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's answer, times 1, or times NaN beyond the edge."""
        means = conditioning.context.mean(dim=(0, 1))
        if self.home is None:
            self.home = means.detach()
        inside = torch.log(self.edge - (means - self.home).norm().detach())
        return super().predict(latents, timesteps, conditioning) + 0 * inside


def test_when_the_loss_is_not_a_number_the_run_goes_back_halves_the_rate_and_says_so(tmp_path: Path) -> None:
    template = tmp_path / "template.txt"
    template.write_text("a [name]")  # the same prompt always, so that its meaning moves by learning alone
    once = {"learning_rate": "0.1", "preview_every": 0, "steps": 1, "validate_every": 1, "templates": str(template)}
    run = run_in(tmp_path, EdgeModel(edge=0.08), settings(**once))
    events = list(run.events())

    warnings = [event.message for event in of_kind(events, Warned)]
    assert 1 <= len(warnings) < MOST_SETBACKS
    assert "validation loss at step 1" in warnings[0] and "back to step 0" in warnings[0] and "at 0.5 of" in warnings[0]
    rates = [event.learning_rate for event in of_kind(events, StepDone)]
    assert rates == [0.1 * 0.5**place for place in range(len(warnings) + 1)]
    assert isinstance(events[-1], Finished)
    records = timeless_history(tmp_path)
    assert [record["step"] for record in records if record["event"] == "step"] == [1]  # the steps undone are gone
    assert len([record for record in records if record["event"] == "warned"]) == len(warnings)


class BrokenModel(TinyModel):
    """A model that answers NaN from the given call on, as a checkpoint with broken weights does."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._left = calls

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's answer with its weights as they are by now."""
        self._left -= 1
        if self._left == 0:
            self.unet.last.weight.fill_(float("nan"))
        return super().predict(latents, timesteps, conditioning)


def test_a_model_that_answers_nothing_but_nan_ends_the_run_with_its_last_good_state_kept(tmp_path: Path) -> None:
    run = run_in(tmp_path, BrokenModel(calls=12), settings(preview_every=0))
    events = []
    with pytest.raises(TrainingError, match=rf"not a number, {MOST_SETBACKS} times in a row.*lower learning rate"):
        for event in run.events():
            events.append(event)
    assert len(of_kind(events, Warned)) == MOST_SETBACKS - 1
    assert of_kind(events, StepDone)[-1].step >= 5
    assert all(torch.tensor(rows).isfinite().all() for rows in bits(run).values())


class HungryModel(TinyModel):
    """A model that asks the system for 8 TB when more than `most` pictures come at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.seen: list[int] = []

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The UNet's answer, if the memory suffices."""
        self.seen.append(len(latents))
        if len(latents) > self.most:
            torch.empty(2**43, dtype=torch.uint8).fill_(0)
        return super().predict(latents, timesteps, conditioning)


def test_with_too_little_memory_fewer_pictures_go_through_at_once_and_the_same_is_learned(tmp_path: Path) -> None:
    wanted = settings(batch=5, preview_every=0)
    model = HungryModel(most=2)
    run = run_in(tmp_path / "small", model, wanted)
    events = list(run.events())
    warnings = [event.message for event in of_kind(events, Warned)]
    assert len(warnings) == 2 and "3 at a time" in warnings[0] and "2 at a time" in warnings[1]
    assert max(model.seen[4:]) == 2  # it does not try the large ones again

    large = run_in(tmp_path / "large", TinyModel(), wanted)
    losses = [[event.loss for event in of_kind(some, StepDone)] for some in (events, large.events())]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for encoder, rows in run.result("last").vectors.items():
        assert (rows - large.result("last").vectors[encoder]).abs().max() < 1e-3
    assert [event.loss for event in of_kind(events, Validated)]


def test_a_run_that_had_to_take_fewer_pictures_goes_on_so_after_a_stop(tmp_path: Path) -> None:
    first = run_in(tmp_path, HungryModel(most=2), settings(preview_every=0))
    events = first.events()
    next(event for event in events if isinstance(event, Saved) and event.step == 5)
    events.close()
    model = HungryModel(most=2)
    rest = list(run_in(tmp_path, model, settings(preview_every=0)).events())
    assert max(model.seen) == 2 and not of_kind(rest, Warned) and isinstance(rest[-1], Finished)


def test_memory_too_small_for_one_picture_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="even for one picture.*smaller size"):
        list(run_in(tmp_path, HungryModel(most=0), settings(preview_every=0)).events())


def test_an_interruption_between_two_changes_that_belong_together_is_not_saved(tmp_path: Path) -> None:
    one_thread()
    run = run_in(tmp_path / "a", TinyModel(), settings(preview_every=0))
    events = run.events()
    next(event for event in events if isinstance(event, StepDone) and event.step == 7)
    learner = run._learner
    update = learner.word.update

    def interrupted(gradients: dict[str, Tensor], rate: float) -> None:
        update(gradients, rate)
        raise KeyboardInterrupt

    learner.word.update = interrupted  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyboardInterrupt):
        list(events)
    list(run.events())  # from the checkpoint of step 5
    whole = run_in(tmp_path / "b", TinyModel(), settings(preview_every=0))
    list(whole.events())
    assert bits(run) == bits(whole)
    assert timeless_history(tmp_path / "a") == timeless_history(tmp_path / "b")
