"""A batch in parts side by side gives what it gives at once, in its order, and leaves torch as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pseudoword.scoring.side_by_side import side_by_side

WEIGHTS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many threads torch computes with here."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield int(request.param)
    torch.set_num_threads(before)


def encode(batch: Tensor) -> Tensor:
    """An encoder in small: each row for itself."""
    return torch.tanh(batch @ WEIGHTS)


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 8, 9, 13, 32, 100])
def test_it_is_what_the_encoder_gives_in_the_same_order(threads: int, rows: int) -> None:
    batch = torch.randn(rows, 6, generator=torch.Generator().manual_seed(rows))
    torch.testing.assert_close(side_by_side(encode, batch), encode(batch))


def test_the_processors_are_shared_out_and_threads_to_come_have_all_of_them_as_before(threads: int) -> None:
    used: list[tuple[str, int]] = []

    def noted(batch: Tensor) -> Tensor:
        used.append((threading.current_thread().name, torch.get_num_threads()))
        return batch

    side_by_side(noted, torch.zeros(32, 1))
    parts = min(threads, 8)
    assert len(used) == parts and sum(count for _, count in used) == threads
    assert torch.get_num_threads() == threads
    later: list[int] = []
    other = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert later == [threads]


def test_an_encoder_that_fails_says_so_and_the_next_batch_is_encoded(threads: int) -> None:
    def failing(batch: Tensor) -> Tensor:
        raise MemoryError("too little memory")

    with pytest.raises(MemoryError, match="too little memory"):
        side_by_side(failing, torch.zeros(32, 6))
    assert side_by_side(encode, torch.zeros(32, 6)).shape == (32, 5)
