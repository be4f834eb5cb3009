from __future__ import annotations

from pseudoword.training.progress import Progress


def observed(*losses: float) -> Progress:
    progress = Progress()
    for step, loss in enumerate(losses):
        progress.observe(step, loss)
    return progress


def test_the_lowest_loss_is_the_best_step_however_little_it_gained() -> None:
    progress = observed(1.0, 0.5, 0.4999, 0.6)
    assert (progress.best_step, progress.best_loss) == (2, 0.4999)


def test_gains_that_are_tiny_beside_what_was_gained_so_far_do_not_keep_a_run_going() -> None:
    assert observed(1.0, 0.5).stale == 0
    assert observed(1.0, 0.5, 0.499, 0.498, 0.497).stale == 3


def test_many_tiny_gains_count_once_they_add_up() -> None:
    assert observed(1.0, 0.5, 0.496, 0.492, 0.488).stale == 0


def test_a_loss_that_rises_from_the_start_is_stale_and_the_start_stays_the_best() -> None:
    progress = observed(1.0, 1.1, 1.2)
    assert (progress.best_step, progress.stale) == (0, 2)


def test_the_first_gain_counts_however_small_since_nothing_was_gained_before() -> None:
    assert observed(0.2, 0.1999).stale == 0
