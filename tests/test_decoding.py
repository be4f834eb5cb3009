"""Picture files of every kind become upright 8-bit RGB with transparency apart; broken ones an error with a reason."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from pseudoword.decoding import GRAY, decode_picture, load_picture
from pseudoword.errors import DatasetError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def two_halves(left: object = RED, right: object = BLUE, mode: str = "RGB") -> Image.Image:
    """40 × 20 pixels: the left half in one colour, the right half in another."""
    picture = Image.new(mode, (40, 20), left)  # type: ignore[arg-type]
    picture.paste(right, (20, 0, 40, 20))  # type: ignore[arg-type]
    return picture


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, and that has hardly any pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def close(picture: Image.Image, place: tuple[int, int], colour: tuple[int, int, int], distance: int = 3) -> bool:
    return bool(np.abs(np.subtract(np.asarray(picture)[place[1], place[0]].astype(int), colour)).max() <= distance)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tiff"])
def test_every_usual_format_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    lossless: dict[str, dict[str, Any]] = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}
    two_halves().save(path, **lossless.get(suffix, {}))
    decoded = decode_picture(path)
    assert decoded.rgb.mode == "RGB"
    assert decoded.alpha is None
    assert close(decoded.rgb, (5, 5), RED) and close(decoded.rgb, (35, 5), BLUE)


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    two_halves().save(tmp_path / "picture.jpg", format="PNG")
    assert decode_picture(tmp_path / "picture.jpg").rgb.getpixel((0, 0)) == RED


def test_a_picture_lies_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    two_halves().save(tmp_path / "picture.png", exif=exif)
    rgb = decode_picture(tmp_path / "picture.png").rgb
    assert rgb.size == (20, 40)
    assert rgb.getpixel((10, 5)) == RED
    assert rgb.getpixel((10, 35)) == BLUE


def test_sixteen_bit_gray_is_scaled_not_cut_off(tmp_path: Path) -> None:
    values = np.repeat(np.array([[0, 128 * 257, 65535]], dtype=np.uint16), 10, axis=1).repeat(20, axis=0)
    for suffix in ("png", "tiff"):
        Image.fromarray(values).save(tmp_path / f"picture.{suffix}")
        row = np.asarray(decode_picture(tmp_path / f"picture.{suffix}").rgb)[0, ::10]
        assert row.tolist() == [[0] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize("brightest", [1.0, 255.0, 65535.0, 1e9])
def test_floating_point_gray_of_any_scale_is_read(tmp_path: Path, brightest: float) -> None:
    values = np.linspace(0, brightest, 400, dtype=np.float32).reshape(20, 20)
    Image.fromarray(values).save(tmp_path / "picture.tiff")
    rgb = np.asarray(decode_picture(tmp_path / "picture.tiff").rgb)
    assert rgb.min() == 0 and rgb.max() == 255 and abs(rgb.mean() - 127.5) < 1


def test_gray_that_is_no_number_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), np.nan, dtype=np.float32)).save(tmp_path / "picture.tiff")
    with pytest.raises(DatasetError, match="NaN"):
        decode_picture(tmp_path / "picture.tiff")


def test_cmyk_is_read_in_its_colours(tmp_path: Path) -> None:
    two_halves((0, 255, 255, 0), (255, 255, 0, 0), mode="CMYK").save(tmp_path / "picture.jpg", quality=95)
    rgb = decode_picture(tmp_path / "picture.jpg").rgb
    assert close(rgb, (5, 5), RED, 12) and close(rgb, (35, 5), BLUE, 12)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "YCbCr" else "png"
    two_halves((255, 255, 255), (0, 0, 0)).convert(mode).save(tmp_path / f"picture.{suffix}")
    decoded = decode_picture(tmp_path / f"picture.{suffix}")
    assert decoded.rgb.mode == "RGB"
    assert decoded.alpha is None  # none of these is transparent anywhere
    assert close(decoded.rgb, (5, 5), (255, 255, 255)) and close(decoded.rgb, (35, 5), (0, 0, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_kept_apart_and_gray_for_the_eye(tmp_path: Path, mode: str) -> None:
    transparent, opaque = ((90, 90, 90, 0), (200, 200, 200, 255)) if mode == "RGBA" else ((90, 0), (200, 255))
    two_halves(transparent, opaque, mode).save(tmp_path / "picture.png")
    decoded = decode_picture(tmp_path / "picture.png")
    assert decoded.alpha is not None
    assert (decoded.alpha.getpixel((5, 5)), decoded.alpha.getpixel((35, 5))) == (0, 255)
    seen = load_picture(tmp_path / "picture.png")
    assert seen.getpixel((5, 5)) == GRAY
    assert seen.getpixel((35, 5)) == (200, 200, 200)


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_transparent_colour_of_a_palette_is_transparency(tmp_path: Path, suffix: str) -> None:
    picture = two_halves(0, 1, "P")
    picture.putpalette([*RED, *BLUE])
    picture.save(tmp_path / f"picture.{suffix}", transparency=0)
    decoded = decode_picture(tmp_path / f"picture.{suffix}")
    assert decoded.alpha is not None
    assert (decoded.alpha.getpixel((5, 5)), decoded.alpha.getpixel((35, 5))) == (0, 255)
    assert decoded.rgb.getpixel((35, 5)) == BLUE


def test_a_transparent_colour_of_an_rgb_picture_is_transparency(tmp_path: Path) -> None:
    two_halves().save(tmp_path / "picture.png", transparency=RED)
    alpha = decode_picture(tmp_path / "picture.png").alpha
    assert alpha is not None
    assert (alpha.getpixel((5, 5)), alpha.getpixel((35, 5))) == (0, 255)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    others = [Image.new("RGB", (40, 20), BLUE), Image.new("RGB", (40, 20), (0, 255, 0))]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    Image.new("RGB", (40, 20), RED).save(path, save_all=True, append_images=others, **options)
    assert close(decode_picture(path).rgb, (20, 10), RED)


@pytest.mark.parametrize(("width", "height"), [(9_000, 9_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_file_that_claims_a_huge_picture_is_refused_at_once(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "picture.png").write_bytes(png_claiming(width, height))
    start = time.perf_counter()
    tracemalloc.start()
    with pytest.raises(DatasetError, match="claims|broken"):
        decode_picture(tmp_path / "picture.png")
    allocated = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert allocated < 10_000_000
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no picture in the formats"),
        (b"hello", "no picture in the formats"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "no picture in the formats"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture in the formats"),
        (png_claiming(40, 20), "broken or cut off"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "picture.png").write_bytes(content)
    with pytest.raises(DatasetError, match=complaint):
        decode_picture(tmp_path / "picture.png")


def test_a_folder_or_a_missing_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        decode_picture(tmp_path)
    with pytest.raises(DatasetError, match="cannot be read"):
        decode_picture(tmp_path / "nothing.png")


def noise_as(format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(file, format)
    return file.getvalue()


FILES = {format: noise_as(format) for format in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")}


@pytest.mark.parametrize("format", FILES)
def test_a_file_that_is_cut_off_is_refused_also_where_others_made_pillow_tolerant(
    tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    content = FILES[format]
    (tmp_path / "picture").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DatasetError):
        decode_picture(tmp_path / "picture")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@hypothesis_settings(deadline=None, max_examples=60)
@given(
    format=st.sampled_from(sorted(FILES)),
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    end=st.floats(0.05, 1),
)
def test_a_damaged_file_is_a_picture_or_a_dataset_error_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, format: str, damage: list[tuple[float, int]], end: float
) -> None:
    content = bytearray(FILES[format])
    for place, value in damage:
        content[int(place * len(content))] = value
    path = tmp_path_factory.mktemp("damaged") / "picture"
    path.write_bytes(content[: int(end * len(content))])
    try:
        decoded = decode_picture(path)
    except DatasetError as error:
        assert str(error)
        return
    assert decoded.rgb.mode == "RGB"
    assert decoded.alpha is None or decoded.alpha.size == decoded.rgb.size
