"""Pictures open, are as wide as promised, follow the theme, and survive every name and token."""

from __future__ import annotations

import io
import sys

import pytest
import torch
from PIL import Image
from torch import Tensor

from pseudoword.errors import MissingExtra
from pseudoword.inspect.canvas import THEMES, ThemeName, drawable, text_width
from pseudoword.inspect.figures import figures_of
from pseudoword.inspect.layers import layer_figures
from pseudoword.inspect.maps import plane_of, word_map
from pseudoword.inspect.plots import (
    layers_plot,
    map_plot,
    norm_axis,
    norms_plot,
    similarity_plot,
    ticks_of,
)
from tests import tiny_models
from tests.inspect.words import random_rows, tiny_vocabulary, word

VOCABULARY = tiny_vocabulary()
AWKWARD = "_$x$^{ 日本 \x07 " + "long " * 30


def pictures(rows: Tensor, name: str, theme: ThemeName) -> dict[str, bytes]:
    embedding = word(rows, name)
    figures = figures_of(embedding, [VOCABULARY]).encoders["clip_l"]
    others = [(AWKWARD, word(random_rows(1, seed=5))), ("moon", word(random_rows(2, seed=6)))]
    encoder = tiny_models.TinyModel().text_encoders[0]
    return {
        "norms": norms_plot(name, figures, VOCABULARY, theme),
        "similarity": similarity_plot(name, figures, theme),
        "map": map_plot(word_map(embedding, figures, VOCABULARY, plane_of(VOCABULARY), others), theme),
        "layers": layers_plot(layer_figures(encoder, embedding), theme),
    }


@pytest.mark.parametrize("theme", list(THEMES))
@pytest.mark.parametrize("count", [1, 6, 30])
def test_pictures_open_in_both_themes_and_for_few_and_many_vectors(theme: ThemeName, count: int) -> None:
    for drawn in pictures(random_rows(count, seed=3), "my-cup", theme).values():
        picture = Image.open(io.BytesIO(drawn))
        assert picture.format == "PNG" and picture.width == 1200 and 400 < picture.height < 1800
        rgb = picture.convert("RGB")
        background = tuple(bytes.fromhex(THEMES[theme].background[1:]))
        assert rgb.getpixel((2, 2)) == background
        colours = rgb.getcolors(1 << 24)
        assert colours is not None and len(colours) > 20  # something is drawn


def test_awkward_names_tokens_and_lengths_do_no_harm() -> None:
    rows = torch.cat([random_rows(3, length=40), torch.zeros(1, 32), VOCABULARY.vectors[190:200]])
    assert all(pictures(rows, AWKWARD, "light").values())
    assert all(pictures(torch.zeros(1, 32), "dead", "dark").values())


def test_labels_hold_only_what_the_font_can_write() -> None:
    assert drawable("Kätzchen $x$") == "Kätzchen $x$"
    assert drawable("a\nb日") == "a��"[:1] + "�b�"
    assert drawable("x" * 30) == "x" * 23 + "…"
    assert 0 < text_width("i", 9) < text_width("mm", 9) < 9 * 3


def test_an_axis_is_logarithmic_only_where_lengths_are_far_apart() -> None:
    usual = torch.tensor([0.3, 0.4])
    assert norm_axis([0.5], usual) == (0.0, 1.04 * 0.5, False)
    low, high, is_logarithmic = norm_axis([40.0, 0.0], usual)
    assert is_logarithmic and 0 < low < 0.3 and high > 40


def test_ticks_are_few_and_begin_with_one() -> None:
    assert ticks_of(3) == [1, 2, 3]
    assert ticks_of(75) == [1, *range(5, 76, 5)]
    assert all(len(ticks_of(count)) <= 17 for count in range(1, 513))


def test_colours_of_marks_can_be_told_from_the_background() -> None:
    for theme in THEMES.values():
        for colour in (*theme.marks, theme.ink, theme.low, theme.high):
            assert contrast(colour, theme.background) >= 3  # WCAG 2.1, 1.4.11


def contrast(one: str, other: str) -> float:
    """The contrast of two colours by WCAG, 1 to 21."""
    lights = []
    for colour in (one, other):
        parts = [value / 255 for value in bytes.fromhex(colour[1:])]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(lights) / min(lights)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = figures_of(word(random_rows(2)), [VOCABULARY]).encoders["clip_l"]
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"] or ["matplotlib.figure"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"matplotlib.*pseudoword\[standalone\]"):
        similarity_plot("zonk", figures)
    with pytest.raises(MissingExtra):
        norms_plot("zonk", figures, VOCABULARY)
