from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.diffusion import NoiseSchedule
from pseudoword.training.objective import denoising_losses, loss_weights, steps_per_round, stratified_timesteps

SCHEDULE = NoiseSchedule((1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()).cumprod(0))


def each_stratum_has_one(drawn: torch.Tensor, timesteps: int) -> bool:
    count = drawn.numel()
    return all(
        stratum / count * timesteps - 1 < timestep < (stratum + 1) / count * timesteps
        for stratum, timestep in enumerate(sorted(drawn.flatten().tolist()))
    )


@given(count=st.integers(1, 40), timesteps=st.integers(40, 1000), seed=st.integers(0, 2**31))
def test_each_equal_part_of_the_noise_range_gets_one_timestep_in_a_step_and_in_a_round(
    count: int, timesteps: int, seed: int
) -> None:
    steps = steps_per_round(count)
    assert steps * count >= 16 > (steps - 1) * count
    drawn = stratified_timesteps(steps, count, timesteps, torch.Generator().manual_seed(seed))
    assert drawn.dtype == torch.int64 and drawn.shape == (steps, count)
    assert each_stratum_has_one(drawn, timesteps)
    assert all(each_stratum_has_one(step, timesteps) for step in drawn)


def test_stratified_timesteps_are_uniform_over_many_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([stratified_timesteps(4, 4, 1000, generator) for _ in range(500)]).float()  # (500, 4, 4)

    assert drawn.mean().item() == pytest.approx(499.5, abs=5)
    # No place in the batch, and none in the round, prefers low noise.
    assert drawn.mean(dim=(0, 1)) == pytest.approx([499.5] * 4, abs=30)
    assert drawn.mean(dim=(0, 2)) == pytest.approx([499.5] * 4, abs=30)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_min_snr_weighs_the_error_of_the_picture_by_the_clamped_ratio(prediction: str) -> None:
    """Hang et al.'s definition, checked through the pictures that follow from two predictions."""
    torch.manual_seed(0)
    timesteps = torch.tensor([0, 50, 300, 700, 999])
    latents, noise, error = torch.randn(3, 5, 4, 2, 2)
    signal_rate, noise_rate = SCHEDULE.signal_and_noise_rates(timesteps)
    noisy = SCHEDULE.add_noise(latents, noise, timesteps)
    target = SCHEDULE.target(latents, noise, timesteps, prediction)  # type: ignore[arg-type]

    def picture_of(answer: torch.Tensor) -> torch.Tensor:
        if prediction == "epsilon":
            return (noisy - noise_rate * answer) / signal_rate
        return signal_rate * noisy - noise_rate * answer

    picture_errors = (picture_of(target + error) - picture_of(target)).square().mean(dim=(1, 2, 3))
    expected = SCHEDULE.signal_to_noise(timesteps).clamp(max=5) * picture_errors

    weights = loss_weights(SCHEDULE, timesteps, prediction, min_snr=5)  # type: ignore[arg-type]
    weighted = weights * denoising_losses(target + error, target, None)
    torch.testing.assert_close(weighted, expected, rtol=1e-3, atol=1e-5)


def test_without_min_snr_all_timesteps_weigh_the_same() -> None:
    assert loss_weights(SCHEDULE, torch.tensor([0, 500, 999]), "epsilon", None).tolist() == [1, 1, 1]


def test_a_timestep_without_any_signal_has_a_finite_weight() -> None:
    schedule = NoiseSchedule(torch.tensor([0.9, 0.0]))
    for prediction in ("epsilon", "v"):
        assert loss_weights(schedule, torch.tensor([1]), prediction, 5).isfinite().all()


def test_errors_outside_the_mask_do_not_count_and_small_objects_weigh_as_much_as_large_ones() -> None:
    target = torch.zeros(2, 4, 4, 4)
    predicted = torch.ones(2, 4, 4, 4)
    mask = torch.zeros(2, 1, 4, 4)
    mask[0, :, 0, 0] = 1  # one position of sixteen
    mask[1] = 1
    assert denoising_losses(predicted, target, mask).tolist() == pytest.approx([1, 1])

    predicted[0, :, 0, 0] = 0  # right where it counts, wrong elsewhere
    assert denoising_losses(predicted, target, mask).tolist() == pytest.approx([0, 1])


def test_losses_are_float32_whatever_the_model_answers_in() -> None:
    answer = torch.full((1, 4, 2, 2), 300.0, dtype=torch.float16)  # squared, it would overflow
    losses = denoising_losses(answer, torch.zeros(1, 4, 2, 2), None)
    assert losses.dtype == torch.float32 and losses.item() == pytest.approx(90_000)
