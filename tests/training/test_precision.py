from __future__ import annotations

import pytest
import torch

from pseudoword.errors import SettingsError
from pseudoword.training.precision import LossScale, autocast, choose_precision
from tests.tiny_models import TinyModel


@pytest.fixture
def model() -> TinyModel:
    return TinyModel()


def test_the_cpu_computes_in_float32_unless_asked_otherwise(model: TinyModel) -> None:
    assert choose_precision("auto", model) == "fp32"
    assert choose_precision("bf16", model) == "bf16"


def test_a_model_that_decides_itself_is_asked_and_left_alone(model: TinyModel) -> None:
    model.precision = "bf16"
    assert choose_precision("auto", model) == choose_precision("bf16", model) == "bf16"
    with pytest.raises(SettingsError, match=r"fp32, but tiny was loaded to compute in bf16; choose auto"):
        choose_precision("fp32", model)
    with autocast("bf16", model):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_precision_is_what_the_products_are_in_or_an_error(model: TinyModel) -> None:
    ones = torch.ones(2, 2)
    for wanted, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        try:
            precision = choose_precision(wanted, model)
        except SettingsError as error:
            assert wanted == "fp16" and "choose auto" in str(error)
            continue
        with autocast(precision, model):
            assert (ones @ ones).dtype == dtype


def test_the_loss_scale_halves_when_gradients_overflow_and_doubles_after_a_good_while() -> None:
    scale = LossScale.for_precision("fp16")
    assert scale.value == 65536 and scale.overflowed() and scale.value == 32768
    for _ in range(scale.patience):
        scale.held("fp16")
    assert scale.value == 65536


def test_without_a_scale_overflow_has_another_cause() -> None:
    scale = LossScale.for_precision("bf16")
    assert not scale.overflowed()
    scale.held("bf16")
    assert scale == LossScale()


@pytest.mark.parametrize("times", [20])
def test_the_scale_never_falls_below_one(times: int) -> None:
    scale = LossScale.for_precision("fp16")
    assert [scale.overflowed() for _ in range(times)] == [True] * 16 + [False] * 4
