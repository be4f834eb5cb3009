"""What the model sees of a picture: shapes of buckets, parts that are kept, and what counts in the loss."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pseudoword.decoding import Decoded
from pseudoword.training.cropping import Window, bucket_shapes, render, shape_for, windows
from pseudoword.training.settings import TrainSettings

SIDE = st.integers(16, 3000)


def settings(crop: str = "center", seed: int = 0) -> TrainSettings:
    return TrainSettings.from_dict({"name": "zxq", "crop": crop, "seed": seed})


@pytest.mark.parametrize("size", [32, 64, 128, 512, 768, 1024])
def test_buckets_are_never_larger_than_the_square_and_reach_from_high_to_wide(size: int) -> None:
    shapes = bucket_shapes(size, 8)
    assert (size, size) in shapes
    assert all(width * height <= size * size for width, height in shapes)
    assert all(0.5 <= width / height <= 2 for width, height in shapes)
    assert all((height, width) in shapes for width, height in shapes)
    assert all(width % 16 == 0 and height % 16 == 0 for width, height in shapes)


def test_the_buckets_of_stable_diffusion_are_the_usual_ones() -> None:
    assert {(512, 512), (448, 576), (576, 448), (384, 640), (640, 384)} <= set(bucket_shapes(512, 8))


@given(SIDE, SIDE, st.sampled_from([64, 512]))
def test_a_picture_goes_to_the_bucket_of_the_nearest_aspect_ratio(width: int, height: int, size: int) -> None:
    shape = shape_for(width, height, size, 8, buckets=True)
    ratio = width / height
    wrongs = [max(w / h / ratio, ratio / (w / h)) for w, h in bucket_shapes(size, 8)]
    assert max(shape[0] / shape[1] / ratio, ratio / (shape[0] / shape[1])) == pytest.approx(min(wrongs))
    assert shape_for(width, height, size, 8, buckets=False) == (size, size)


@given(SIDE, SIDE, st.sampled_from([(64, 64), (80, 48), (48, 80)]), st.integers(0, 99))
def test_every_crop_has_the_shapes_ratio_and_lies_in_the_picture(
    width: int, height: int, shape: tuple[int, int], index: int
) -> None:
    centre, *others = windows(width, height, shape, settings("random"), index)
    assert len(others) == 3
    for window in (centre, *others):
        across, down = window.right - window.left, window.bottom - window.top
        assert across / down == pytest.approx(shape[0] / shape[1])
        assert min(window.left, window.top) > -1e-6
        assert window.right < width + 1e-6 and window.bottom < height + 1e-6
        assert across >= 0.8 * (centre.right - centre.left) - 1e-6
    assert centre.left + centre.right == pytest.approx(width)
    assert centre.top + centre.bottom == pytest.approx(height)
    assert windows(width, height, shape, settings("center"), index) == [centre]


@given(SIDE, SIDE)
def test_without_a_crop_the_whole_picture_is_shown(width: int, height: int) -> None:
    (window,) = windows(width, height, (64, 48), settings("none"), 0)
    assert window.left <= 1e-6 and window.top <= 1e-6
    assert window.right >= width - 1e-6 and window.bottom >= height - 1e-6


def test_random_crops_hang_on_the_seed_and_the_picture_alone() -> None:
    def crops(seed: int, index: int) -> list[Window]:
        return windows(100, 50, (64, 64), settings("random", seed), index)

    assert crops(0, 0) == crops(0, 0)
    assert crops(0, 0)[1:] != crops(1, 0)[1:]
    assert crops(0, 0)[1:] != crops(0, 1)[1:]


def shown(
    picture: Image.Image, shape: tuple[int, int], crop: str = "center", alpha_mask: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    (window, *_) = windows(*picture.size, shape, settings(crop), 0)
    return render(Decoded(picture.convert("RGB"), alpha), window, shape, 8, alpha_mask=alpha_mask)


def test_pixels_are_scaled_to_the_shape_and_to_plus_and_minus_one() -> None:
    picture = Image.new("RGB", (100, 50), (255, 0, 0))
    pixels, mask = shown(picture, (64, 32))
    assert pixels.shape == (3, 32, 64) and pixels.dtype == torch.float32
    assert pixels[0].eq(1).all() and pixels[1:].eq(-1).all()
    assert mask.shape == (1, 4, 8) and mask.eq(1).all()


def test_the_centre_is_what_a_centre_crop_shows() -> None:
    picture = Image.new("RGB", (96, 32), (0, 0, 0))
    picture.paste((255, 255, 255), (32, 0, 64, 32))
    pixels, _ = shown(picture, (32, 32))
    assert pixels.eq(1).all()


def test_without_a_crop_the_border_is_gray_and_does_not_count() -> None:
    pixels, mask = shown(Image.new("RGB", (64, 32), (255, 255, 255)), (64, 64), crop="none")
    assert pixels[:, 16:48].eq(1).all()
    assert pixels[:, :16].abs().max() < 0.01 and pixels[:, 48:].abs().max() < 0.01
    assert mask[:, 2:6].eq(1).all() and mask[:, :2].eq(0).all() and mask[:, 6:].eq(0).all()


@given(SIDE, SIDE, st.sampled_from([(32, 32), (64, 48)]), st.sampled_from(["center", "random", "none"]))
def test_pictures_of_any_shape_fill_the_shape_that_is_asked_for(
    width: int, height: int, shape: tuple[int, int], crop: str
) -> None:
    pixels, mask = shown(Image.new("RGB", (width, height)), shape, crop=crop)
    assert pixels.shape == (3, shape[1], shape[0])
    assert mask.shape == (1, shape[1] // 8, shape[0] // 8)
    assert mask.max() == 1


def half_transparent() -> Image.Image:
    picture = Image.new("RGBA", (64, 64), (255, 255, 255, 255))
    picture.paste((255, 255, 255, 0), (0, 0, 32, 64))
    return picture


def test_transparency_becomes_gray_and_counts_unless_it_is_the_mask() -> None:
    pixels, mask = shown(half_transparent(), (64, 64))
    assert pixels[:, :, :32].abs().max() < 0.01
    assert mask.eq(1).all()


def test_as_the_mask_transparency_does_not_count_and_the_colours_below_it_stay() -> None:
    pixels, mask = shown(half_transparent(), (64, 64), alpha_mask=True)
    assert pixels.eq(1).all()
    assert mask[:, :, :4].eq(0).all() and mask[:, :, 4:].eq(1).all()


def test_half_opaque_places_count_half() -> None:
    _, mask = shown(Image.new("RGBA", (64, 64), (0, 0, 0, 128)), (64, 64), alpha_mask=True)
    assert mask.allclose(torch.full_like(mask, 128 / 255))
