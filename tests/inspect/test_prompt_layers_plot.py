"""The picture of a prompt in the layers opens in both themes, has a row for each token, and can be read."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pseudoword.inspect.canvas import THEMES, ThemeName
from pseudoword.inspect.plots import on_scale
from pseudoword.inspect.prompt_layers import prompt_layers
from pseudoword.inspect.prompt_layers_plot import label_of, prompt_layers_plot
from tests import tiny_models
from tests.inspect.test_plots import AWKWARD, contrast
from tests.inspect.words import random_rows

ENCODER = tiny_models.TinyModel().text_encoders[0]


def drawn(prompt: str, theme: ThemeName = "light") -> Image.Image:
    layers = prompt_layers(ENCODER, prompt, {"zonk": {"clip_l": random_rows(2)}})
    return Image.open(io.BytesIO(prompt_layers_plot(layers, theme)))


@pytest.mark.parametrize("theme", list(THEMES))
@pytest.mark.parametrize("prompt", ["dog", "a photo of zonk, red", "a dog and " * 23 + "zonk", "red " * 160])
def test_it_opens_in_both_themes_for_short_and_long_prompts(prompt: str, theme: ThemeName) -> None:
    picture = drawn(prompt, theme)
    assert picture.format == "PNG" and picture.width == 1200 and 300 < picture.height < 5000
    rgb = picture.convert("RGB")
    assert rgb.getpixel((2, 2)) == tuple(bytes.fromhex(THEMES[theme].background[1:]))
    colours = rgb.getcolors(1 << 24)
    assert colours is not None and len(colours) > 20


def test_it_grows_with_the_tokens_up_to_150() -> None:
    heights = [drawn("red " * count).height for count in (5, 70, 150, 400)]
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_awkward_texts_do_no_harm() -> None:
    assert drawn(AWKWARD).width == 1200


def test_tokens_are_called_by_their_text() -> None:
    layers = prompt_layers(ENCODER, "zonk bicycle <|endoftext|>", {"zonk": {"clip_l": random_rows(2)}})
    labels = [label_of(piece) for piece in layers.pieces]
    assert labels[:2] == ["zonk 1", "zonk 2"] and labels[-1] == "<|endoftext|>"
    assert "".join(labels[2:-1]).replace("-", "") == "bicycle" and all(part.endswith("-") for part in labels[2:-2])


def test_values_can_be_read_on_every_colour_of_the_heat_map() -> None:
    for theme in THEMES.values():
        for hundredth in range(-100, 101):
            end = theme.high if hundredth > 0 else theme.low
            pairs = zip(bytes.fromhex(theme.background[1:]), bytes.fromhex(end[1:]), strict=True)
            field = bytes(round(start + abs(hundredth) / 100 * (stop - start)) for start, stop in pairs)
            assert contrast(on_scale(hundredth / 100, theme), "#" + field.hex()) > 3.5
