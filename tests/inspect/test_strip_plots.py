"""Plots of strips open, are as wide as promised, follow the theme, and survive every name and figure."""

from __future__ import annotations

import io
import sys

import pytest
import torch
from PIL import Image

from pseudoword.errors import MissingExtra
from pseudoword.inspect.canvas import THEMES, ThemeName
from pseudoword.inspect.strip_plots import strip_plot
from pseudoword.inspect.strips import (
    Row,
    Similarities,
    combination_row,
    contribution_row,
    interpolation_row,
    similarities,
)
from tests import tiny_models
from tests.inspect.words import random_rows, word

AWKWARD = "_$x$^{ 日本 \x07 " + "long " * 30


def figures(row: Row, seeds: int) -> Similarities:
    """Of random features."""
    generator = torch.Generator().manual_seed(1)
    features = [torch.randn(seeds, 16, generator=generator) for _ in row.shots]
    found = similarities(row, range(seeds), features)
    assert found is not None
    return found


def way(count: int, name: str = "moon") -> Row:
    encoders = tiny_models.TinyModel().text_encoders
    return interpolation_row(word(random_rows(1), name), word(random_rows(1, seed=1)), count, encoders)


@pytest.mark.parametrize("theme", list(THEMES))
@pytest.mark.parametrize("seeds", [1, 8])
def test_plots_open_in_both_themes_and_for_few_and_many_seeds(theme: ThemeName, seeds: int) -> None:
    words = [contribution_row(word(random_rows(count), f"w{count}")) for count in (1, 4, 75)]
    alone = combination_row("a + b", word(random_rows(1)), [word(random_rows(1), name) for name in "ab"])
    for rows in (words, [way(2)], [way(100)], [alone, way(7)]):
        picture = Image.open(io.BytesIO(strip_plot([figures(row, seeds) for row in rows], theme)))
        assert picture.format == "PNG" and picture.width == 1200 and 250 < picture.height < 2500
        rgb = picture.convert("RGB")
        assert rgb.getpixel((2, 2)) == tuple(bytes.fromhex(THEMES[theme].background[1:]))
        colours = rgb.getcolors(1 << 24)
        assert colours is not None and len(colours) > 20  # something is drawn


def test_awkward_names_do_no_harm() -> None:
    assert strip_plot([figures(contribution_row(word(random_rows(2), AWKWARD)), 2)], "light")
    assert strip_plot([figures(way(12, AWKWARD), 2)], "dark")
    assert strip_plot([figures(combination_row(AWKWARD, word(random_rows(1)), [word(random_rows(1), AWKWARD)]), 2)])


def test_pictures_that_are_all_the_same_can_be_drawn() -> None:
    row = contribution_row(word(random_rows(2)))
    same = similarities(row, (1, 2), [torch.ones(2, 16)] * 3)
    assert same is not None and strip_plot([same])


def test_without_matplotlib_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match="matplotlib is not installed"):
        strip_plot([figures(way(2), 1)])
