"""What A1111's optimiser knew of a word is read where it fits, and refused where it does not, or is an attack."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pseudoword.embedding import load_embedding
from pseudoword.embedding.optimiser_file import checksum, load_moments
from pseudoword.errors import EmbeddingFileError
from tests.embedding import words
from tests.embedding.hostile import named, tensor, text, zipped
from tests.embedding.test_hostile_files import Attack
from tests.embedding.webui_words import a1111_hash, begun_word, saved_state, write_optimiser

FORMS = [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}]


def refused(path: Path, vectors: Tensor, reason: str) -> None:
    """Asserts that reading `path` is refused soon, in little memory and in one sentence."""
    with words.soon_and_in_little_memory(), pytest.raises(EmbeddingFileError, match=reason) as caught:
        load_moments(path, vectors)
    message = str(caught.value)
    assert message.startswith(f"{path.name} cannot be read as AdamW's state for these vectors: ")
    assert message.endswith(".") and len(message) < 400


def begun(folder: Path, **options: Any) -> tuple[Path, Tensor]:
    """The optimiser's file of a word of A1111's, and the word's vectors."""
    word = begun_word(folder, 768, **options)
    return word.with_name("begun.pt.optim"), load_embedding(word).vectors["clip_l"]


@pytest.mark.parametrize("options", FORMS, ids=["zip", "before torch 1.6", "pickle 4"])
def test_what_a1111_writes_is_read_to_the_bit(options: dict[str, Any], tmp_path: Path) -> None:
    path, vectors = begun(tmp_path, **options)
    moments, saved = load_moments(path, vectors), saved_state(path)
    assert moments.keys() == saved.keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert all(torch.equal(moments[name], saved[name]) and moments[name].is_contiguous() for name in saved)
    assert moments["step"].item() == 3


@pytest.mark.parametrize("scale", [0.0, 0.05, 1.0, 1e9, 1e20])
@pytest.mark.parametrize("seed", range(3))
def test_the_hash_is_a1111s(scale: float, seed: int) -> None:
    vectors = scale * words.vectors(2, 48, seed)
    assert checksum(vectors) == a1111_hash(vectors)


def test_vectors_too_large_for_a1111s_hash_have_one_nevertheless() -> None:
    assert len(checksum(torch.full((1, 2), 3e38))) == 4


def test_a_state_of_other_vectors_is_refused(tmp_path: Path) -> None:
    path, vectors = begun(tmp_path)
    refused(path, vectors + 0.5, "its hash is not theirs; it belongs to an earlier state or another embedding")


def test_a_state_of_another_shape_is_refused(tmp_path: Path) -> None:
    path, vectors = begun(tmp_path)
    for state in ({**saved_state(path), "exp_avg": torch.ones(3, 768)}, {**saved_state(path), "step": torch.ones(1)}):
        write_optimiser(path, vectors, {"state": {0: state}})
        refused(path, vectors, r"its (exp_avg|step) has the shape \((3, 768|1,)\), wanted is \((2, 768|)\)")


@pytest.mark.parametrize("name", ["step", "exp_avg", "exp_avg_sq"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), -1.0, 1e300])
def test_numbers_that_no_adamw_comes_to_are_refused(name: str, bad: float, tmp_path: Path) -> None:
    path, vectors = begun(tmp_path)
    state = {key: value.double() for key, value in saved_state(path).items()}
    state[name].view(-1)[-1] = bad if (name, bad) != ("exp_avg", -1.0) else 1e3  # averages may be negative, not long
    write_optimiser(path, vectors, {"state": {0: state}})
    refused(path, vectors, "numbers that no AdamW comes to")


def test_a_state_before_the_first_step_is_refused(tmp_path: Path) -> None:
    path, vectors = begun(tmp_path)
    zeros = {"step": torch.tensor(0.0), "exp_avg": torch.zeros(2, 768), "exp_avg_sq": torch.zeros(2, 768)}
    write_optimiser(path, vectors, {"state": {0: zeros}})
    refused(path, vectors, "numbers that no AdamW comes to")
    write_optimiser(path, vectors, {"state": {0: {**zeros, "step": torch.tensor(1.0)}}})
    assert load_moments(path, vectors)["step"].item() == 1


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"state": {}},
        {"state": {1: {}}},
        {"state": {0: {"step": 3}}},
        {"state": [torch.ones(2, 768)]},
        {"state": {0: torch.ones(2, 768)}},
    ],
    ids=range(6),
)
def test_a_state_without_averages_is_refused(state: dict[str, Any], tmp_path: Path) -> None:
    path, vectors = begun(tmp_path)
    write_optimiser(path, vectors, state)
    refused(path, vectors, "it lacks the tensor step")


ATTACKED: list[Callable[[Any], object]] = [
    lambda attack: attack,
    lambda attack: {"hash": attack},
    lambda attack: {"hash": "0000", "optimizer_state_dict": {"state": {0: {"step": attack}}}},
    lambda attack: {"hash": "0000", "optimizer_state_dict": {"state": {}, "param_groups": [attack]}},
]


@pytest.mark.parametrize("options", FORMS, ids=["zip", "before torch 1.6", "pickle 4"])
@pytest.mark.parametrize("attacked", ATTACKED, ids=range(4))
def test_a_call_in_the_pickle_is_refused_and_not_run(
    attacked: Callable[[Any], object], options: dict[str, Any], tmp_path: Path
) -> None:
    path, vectors = begun(tmp_path)
    marker = tmp_path / "marker"
    torch.save(attacked(Attack(os.system, f"touch {marker}")), path, **options)
    refused(path, vectors, "asks to run '.*', which no embedding needs; nothing of it was run")
    torch.load(path, weights_only=False)
    assert marker.exists()  # by a reader that unpickles


@pytest.mark.parametrize("options", FORMS[:2], ids=["zip", "before torch 1.6"])
def test_a_file_cut_off_anywhere_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    path, vectors = begun(tmp_path, **options)
    data = path.read_bytes()
    for end in {0, 1, 30, *range(0, len(data), len(data) // 40), *range(len(data) - 25, len(data))}:
        path.write_bytes(data[:end])
        refused(path, vectors, ".")


@pytest.mark.parametrize(
    "data",
    [
        b"<html>404</html>",
        zipped(b"\x80\x02" + b"]" * 40_000 + b"a" * 39_999 + b"."),
        zipped(b"\x80\x02}" + text("hash") + b"(" + b"]" * 20_000 + b"ls."),
        zipped(named(tensor(10 * 2**28, (2, 768), (768, 1)))),
        zipped(b"\x80\x02}" + b"\x89Ns."),
    ],
    ids=range(5),
)
def test_what_is_no_state_at_all_is_refused(data: bytes, tmp_path: Path) -> None:
    path, vectors = begun(tmp_path)
    path.write_bytes(data)
    refused(path, vectors, ".")


def test_a_folder_and_a_checkpoint_are_refused(tmp_path: Path) -> None:
    path, vectors = begun(tmp_path)
    with open(path, "wb") as file:
        file.truncate(10 * 2**30)
    refused(path, vectors, "10,240 MB")
    path.unlink()
    path.mkdir()
    refused(path, vectors, "not a file")


def test_an_optimisers_file_is_no_embedding(tmp_path: Path) -> None:
    path, _ = begun(tmp_path)
    with pytest.raises(EmbeddingFileError, match="it holds no tensors; is it an embedding"):
        load_embedding(path)
