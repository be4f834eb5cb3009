"""The studio's panel that makes pictures: what it tells, and that it can be cancelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from pseudoword.jobs.host import Host
from pseudoword.jobs.slices import Interrupted
from pseudoword.ui.generation_panel import Wanted, generated
from tests.jobs.small_host import small_host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return small_host(tmp_path / "runs")


def test_pictures_come_with_the_seeds_that_made_them(host: Host) -> None:
    steps: list[tuple[int, int]] = []
    pictures, said, _ = generated(host, "a cat", "", 2, 5, 3, 1.0, on_step=lambda *step: steps.append(step))
    assert len(pictures) == 2 and "Seeds 5 to 6." in said and steps == [(1, 3), (2, 3), (3, 3)]


def test_what_is_missing_is_said(host: Host) -> None:
    assert "The prompt is empty" in generated(host, " ", "", 1, 5, 1, 1.0)[1]


def test_cancelled_pictures_end_at_the_next_step_and_let_others_in(host: Host) -> None:
    wanted = Wanted()

    def cancelled_after_the_first(done: int, total: int) -> None:
        wanted.end("theirs")
        wanted.go_on("ours")
        wanted.end("ours")
        wanted.go_on("ours")

    with wanted.by("ours"):
        pictures, said, _ = generated(host, "a cat", "", 2, 5, 3, 1.0, on_step=cancelled_after_the_first)
    assert pictures == [] and "Cancelled; 0 of 2 pictures were made" in said
    with wanted.by("ours"):  # anew
        wanted.go_on("ours")
        wanted.end("ours")
        with pytest.raises(Interrupted):
            wanted.go_on("ours")
    assert "Seeds" in generated(host, "a cat", "", 1, 5, 1, 1.0)[1]


def test_a_layer_that_the_prompt_names_is_followed_and_told(host: Host) -> None:
    def made(prompt: str, negative: str = "") -> tuple[bytes, str]:
        pictures, told, _ = generated(host, prompt, negative, 1, 5, 1, 5.0)
        return pictures[0].tobytes(), told

    plain, second = made("a cat"), made("a cat <clipskip:2>")
    assert "CLIP skip: 2." in second[1] and plain[0] != second[0]
    assert "CLIP skip: 1, negative 2." in made("a cat", "a dog <clipskip:2>")[1]
    assert "&lt;clipskip:x&gt; is not followed" in made("a cat <clipskip:x>")[1]
