"""A run goes on from what the WebUI's own trainer began: its vectors, their lengths, and what its optimiser knew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pseudoword.embedding import Embedding, load_embedding, save_embedding
from pseudoword.training.checkpoint import RunState
from pseudoword.training.events import Saved, Warned
from pseudoword.training.learner import Learner
from pseudoword.training.vectors import Start, kept_norms, start_vectors, vocabulary_norms
from tests.embedding.test_hostile_files import Attack
from tests.embedding.webui_words import begun_word, saved_state, write_optimiser
from tests.tiny_models import WIDTH, TinyModel
from tests.training.small_runs import bits, one_thread, run_in, settings, timeless_history


def start_from(path: Path, **changes: Any) -> Start:
    return start_vectors(TinyModel(), settings(start=f"file:{path}", **changes), [], None)


def learner_of(start: Start, **changes: Any) -> Learner:
    return Learner(TinyModel(), settings(**changes), start, RunState(4))


def gradients(seed: int) -> dict[str, torch.Tensor]:
    return {"clip_l": torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(seed))}


def test_adamw_goes_on_as_if_a1111s_had_never_stopped(tmp_path: Path) -> None:
    path = begun_word(tmp_path, WIDTH)
    start = start_from(path, norm="free")
    learner = learner_of(start, norm="free", weight_decay=0.0)
    theirs = start.vectors["clip_l"].clone().requires_grad_()
    optimiser = torch.optim.AdamW([theirs], lr=0.005, weight_decay=0.0)
    saved = torch.load(f"{path}.optim", weights_only=False)
    optimiser.load_state_dict(saved["optimizer_state_dict"])
    for seed in range(4):
        learner.word.update(gradients(seed), 0.005)
        theirs.grad = gradients(seed)["clip_l"]
        optimiser.step()
    assert torch.equal(learner.word.vectors["clip_l"], theirs)
    assert learner.word.state()["step.clip_l"].item() == 7
    assert start.warnings == ()


def test_without_a_file_of_its_own_the_optimiser_starts_anew_and_nothing_is_said(tmp_path: Path) -> None:
    path = begun_word(tmp_path, WIDTH)
    (tmp_path / "begun.pt.optim").unlink()
    start = start_from(path)
    assert (dict(start.moments), start.warnings) == ({}, ())
    assert set(learner_of(start).word.state()) == {"vectors.clip_l"}


def spoil(path: Path, how: str) -> None:
    """Make the optimiser's file at `path` one that must not be used."""
    vectors, state = load_embedding(path.with_suffix("")).vectors["clip_l"], saved_state(path)
    if how == "another hash":
        write_optimiser(path, vectors + 1, {"state": {0: state}})
    elif how == "another shape":
        write_optimiser(path, vectors, {"state": {0: {**state, "exp_avg": torch.ones(1, WIDTH)}}})
    elif how == "not a number":
        write_optimiser(path, vectors, {"state": {0: {**state, "exp_avg_sq": state["exp_avg_sq"] * float("nan")}}})
    elif how == "an attack":
        attack: Any = Attack(os.system, f"touch {path.parent / 'marker'}")
        write_optimiser(path, vectors, {"state": {0: {**state, "step": attack}}})
    else:
        path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("how", ["another hash", "another shape", "not a number", "an attack", "cut off"])
def test_an_optimisers_file_that_cannot_be_used_is_left_out_with_one_sentence(how: str, tmp_path: Path) -> None:
    path = begun_word(tmp_path, WIDTH)
    spoil(tmp_path / "begun.pt.optim", how)
    start = start_from(path)
    assert not start.moments and torch.equal(start.vectors["clip_l"], load_embedding(path).vectors["clip_l"])
    (warning,) = start.warnings
    assert warning.startswith("The optimiser starts anew, since begun.pt.optim cannot be read as AdamW's state for ")
    assert warning.endswith(".") and ". " not in warning and "\n" not in warning
    assert not (tmp_path / "marker").exists()
    assert set(learner_of(start).word.state()) == {"vectors.clip_l"}


def test_each_vector_stays_as_long_as_it_is_in_the_file(tmp_path: Path) -> None:
    model = TinyModel()
    lengths = torch.tensor([[0.02], [3.0]])
    rows = torch.nn.functional.normalize(gradients(0)["clip_l"]) * lengths
    path = save_embedding(Embedding("old", {"clip_l": rows}), tmp_path / "old.safetensors")
    start = start_from(path)
    assert torch.equal(start.vectors["clip_l"], rows)
    learner = learner_of(start, hold=5.0)
    for seed in range(5):
        learner.word.update(gradients(seed), 0.01)
    moved = learner.word.copied_vectors()["clip_l"]
    assert torch.allclose(moved.norm(dim=1, keepdim=True), lengths) and not torch.allclose(moved, rows, rtol=0.01)
    assert vocabulary_norms(model)["clip_l"] not in lengths


def test_equal_vectors_are_parted_and_stay_as_long(tmp_path: Path) -> None:
    path = save_embedding(Embedding("old", {"clip_l": torch.ones(3, WIDTH)}), tmp_path / "old.safetensors")
    rows = start_from(path).vectors["clip_l"]
    assert len({tuple(row.tolist()) for row in rows}) == 3
    assert torch.allclose(rows.norm(dim=1), torch.tensor(WIDTH**0.5))


def test_vectors_of_zeros_grow_to_the_vocabularys_length(tmp_path: Path) -> None:
    path = save_embedding(Embedding("new", {"clip_l": torch.zeros(2, WIDTH)}), tmp_path / "new.safetensors")
    start = start_from(path)
    assert torch.equal(start.vectors["clip_l"], torch.zeros(2, WIDTH))
    learner = learner_of(start)
    learner.word.update(gradients(0), 0.01)
    usual = vocabulary_norms(TinyModel())["clip_l"]
    assert torch.allclose(learner.word.vectors["clip_l"].norm(dim=1), torch.tensor(usual))


def test_words_start_and_stay_at_the_vocabularys_length() -> None:
    model = TinyModel()
    start = start_vectors(model, settings(start="the dog", vectors=5), [], None)
    usual = vocabulary_norms(model)["clip_l"]
    assert torch.allclose(kept_norms(model, start.vectors)["clip_l"], torch.full((5, 1), usual))


@pytest.mark.parametrize("norm", ["vocabulary", "free"])
def test_a_run_that_goes_on_from_a1111s_can_be_killed_and_ends_with_the_same_bits(norm: str, tmp_path: Path) -> None:
    one_thread()
    path = begun_word(tmp_path, WIDTH)
    wanted = settings(start=f"file:{path}", norm=norm, preview_every=0, hold=5.0, weight_decay=0.1)
    whole = run_in(tmp_path / "whole", TinyModel(), wanted)
    moments = []
    for event in whole.events():
        if isinstance(event, Saved) and event.step < 12:  # what a run killed just now would leave
            moments.append(event.step)
            shutil.copytree(tmp_path / "whole", tmp_path / str(event.step))
    assert moments == [0, 5, 10]
    path.unlink()
    (tmp_path / "begun.pt.optim").unlink()
    for step in moments:
        run = run_in(tmp_path / str(step), TinyModel(), wanted)
        list(run.events())
        assert bits(run) == bits(whole)
        assert timeless_history(tmp_path / str(step)) == timeless_history(tmp_path / "whole")


def test_what_a1111s_optimiser_knew_changes_what_the_run_learns(tmp_path: Path) -> None:
    results = []
    for known in (True, False):
        path = begun_word(tmp_path / str(known), WIDTH)
        if not known:
            Path(f"{path}.optim").unlink()
        run = run_in(tmp_path / str(known), TinyModel(), settings(start=f"file:{path}", preview_every=0, steps=3))
        list(run.events())
        results.append(bits(run)["last clip_l"])
    assert results[0] != results[1]


def test_after_a_setback_at_once_the_optimiser_is_again_what_it_was(tmp_path: Path) -> None:
    start = start_from(begun_word(tmp_path, WIDTH))
    learner = learner_of(start)
    learner.word.update(gradients(0), 0.1)
    learner.go_back(1)
    state = learner.word.state()
    assert all(torch.equal(state[name], tensor) for name, tensor in start.moments.items())
    assert torch.equal(state["vectors.clip_l"], start.vectors["clip_l"])


def test_an_optimiser_that_cannot_be_used_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    path = begun_word(tmp_path, WIDTH)
    Path(f"{path}.optim").write_bytes(Path(f"{path}.optim").read_bytes()[:50])
    run = run_in(tmp_path, TinyModel(), settings(start=f"file:{path}", preview_every=0, steps=3))
    warned = [event.message for event in run.events() if isinstance(event, Warned)]
    assert len(warned) == 1 and "begun.pt.optim" in warned[0]
