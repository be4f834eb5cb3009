"""Codes of features keep their order nearly, and every way to multiply them gives the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from pseudoword.scoring import index_products
from pseudoword.scoring.index_codes import codes_of, query_of, turned_features
from pseudoword.scoring.index_products import fastest, in_floating_point, in_onednn, in_whole_numbers, products

SIGNS = [1, 1, -1, -1, 1, 1, 1, 1, -1, 1, -1, 1, 1, 1, 1, -1]
WIDTHS = (1, 10, 16, 512, 640, 768, 1280)


def features(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("width", WIDTHS)
def test_turning_keeps_all_cosines(width: int) -> None:
    some = features(20, width)
    turned = turned_features(some)
    assert torch.allclose(turned @ turned.T, some @ some.T, atol=1e-5)


def test_files_that_were_written_long_ago_are_turned_as_today() -> None:
    signs = turned_features(torch.eye(16))[:, 0] * 16**0.5
    assert signs.round().int().tolist() == SIGNS


@given(st.integers(0, 2**31), st.sampled_from((16, 512, 768)))
def test_rough_cosines_are_near_the_exact_ones(seed: int, width: int) -> None:
    some = features(50, width, seed)
    some[:, 0] += 0.7  # as some numbers of CLIP's features are
    some = F.normalize(some, dim=1)
    codes, sizes = codes_of(some)
    assert codes.dtype == torch.int8 and int(codes.min()) >= 1 and int(codes.max()) <= 127
    query, size = query_of(some[0])
    rough = (products(codes, query) - 64 * int(query.sum())) * sizes * size
    assert torch.allclose(rough, some @ some[0], atol=0.03 if width == 16 else 0.01)


def test_a_feature_of_zeros_has_codes_too() -> None:
    codes, sizes = codes_of(torch.zeros(2, 16))
    assert (codes == 64).all() and torch.isfinite(sizes).all()


@pytest.mark.parametrize("way", [in_whole_numbers, in_onednn])
@pytest.mark.parametrize("width", WIDTHS[1:])
def test_ways_that_this_torch_has_are_exact_or_not_taken(way: index_products.Product, width: int) -> None:
    codes = torch.randint(1, 128, (100, width), dtype=torch.int8)
    query = torch.randint(-127, 128, (width,), dtype=torch.int8)
    wanted = codes.double() @ query.double()
    assert torch.allclose(in_floating_point(codes, query).double(), wanted, atol=1, rtol=0)
    assert torch.allclose(products(codes, query).double(), wanted, atol=1, rtol=0)
    try:
        is_right = torch.allclose(way(codes, query).double(), wanted, atol=1, rtol=0)
    except Exception:
        is_right = False
    assert is_right or fastest(width) is not way


def test_a_way_that_is_wrong_or_missing_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(codes: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    monkeypatch.setattr(index_products, "in_whole_numbers", lambda codes, query: in_floating_point(codes, query) + 2)
    monkeypatch.setattr(index_products, "in_onednn", missing)
    assert fastest.__wrapped__(16) is in_floating_point
