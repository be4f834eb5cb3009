"""One picture file to pixels: upright, 8 bits, RGB, with its transparency apart. Nothing a file says is trusted."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from .errors import DatasetError

# Named, because Pillow would otherwise try all it knows, and one of them (EPS) starts a program.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
FOREIGN_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".svg", ".raw", ".dng", ".cr2", ".nef", ".arw"}
)
MAX_PIXELS = 64_000_000  # 256 MB as RGBA; cameras make up to 50 million
GRAY = (128, 128, 128)  # half way, so that cut-outs that are dark or bright keep their edges


@dataclass(frozen=True)
class Decoded:
    """A picture's colours `rgb` (mode RGB), and its opacity `alpha` (mode L, same size), None where all is opaque."""

    rgb: Image.Image
    alpha: Image.Image | None


def decode_picture(source: Path | BinaryIO) -> Decoded:
    """The pixels of the picture in the file `source`, the first frame of an animation; for several threads at once.

    Turned as its EXIF orientation says; 16-bit, palette, CMYK and gray pictures become 8-bit RGB. Raises DatasetError
    with the reason where it cannot be read, is cut off, or is larger than 64 million pixels, before decoding it.
    """
    try:
        with _STRICTNESS.held(), Image.open(source, formats=FORMATS) as file:
            width, height = file.size
            if width * height > MAX_PIXELS:
                raise DatasetError(
                    f"it claims {width} × {height} pixels, and at most {MAX_PIXELS // 1_000_000} million are "
                    "read; make it smaller"
                )
            file.load()
            return _split(_upright(file))
    except DatasetError:
        raise
    except UnidentifiedImageError as problem:
        raise DatasetError(f"it is no picture in the formats {', '.join(FORMATS)}; save it as one of them") from problem
    except Image.DecompressionBombError as problem:
        raise DatasetError(
            f"it claims more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller"
        ) from problem
    except MemoryError as problem:
        raise DatasetError("there is too little memory to decode it; make it smaller") from problem
    except OSError as problem:
        if problem.errno is not None:  # Pillow's own have none
            raise DatasetError(f"it cannot be read ({problem.strerror}); check that you may") from problem
        raise _broken(problem) from problem
    except Exception as problem:  # a broken file can make Pillow's decoders raise nearly anything
        raise _broken(problem) from problem


def claimed_size(path: Path) -> tuple[int, int] | None:
    """Width and height that the picture file at `path` claims, of which nothing is decoded; None where it says none."""
    try:
        with _STRICTNESS.held(), Image.open(path, formats=FORMATS) as file:
            return file.size
    except Exception:  # whoever decodes it tells what is wrong
        return None


def _broken(problem: Exception) -> DatasetError:
    reason = str(problem).strip().rstrip(".") or type(problem).__name__
    return DatasetError(f"it is broken or cut off ({reason}); save it again")


def load_picture(path: Path) -> Image.Image:
    """The picture at `path` as a person sees it, mode RGB, with gray where it is transparent. Raises DatasetError."""
    return on_gray(decode_picture(path))


def on_gray(decoded: Decoded) -> Image.Image:
    """The colours of `decoded`, with gray where it is transparent."""
    if decoded.alpha is None:
        return decoded.rgb
    return Image.composite(decoded.rgb, Image.new("RGB", decoded.rgb.size, GRAY), decoded.alpha)


def as_seen(picture: Image.Image) -> Image.Image:
    """A picture in memory of any mode as a person sees it, mode RGB, with gray where it is transparent."""
    return on_gray(_split(picture))


class _Strictness:
    """Pillow without warnings, since we name bad files ourselves, and without mercy for cut-off files.

    Both are settings of the whole process: the first thread that asks makes them, the last one restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._restore = ExitStack()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, Pillow is strict."""
        with self._lock:
            if not self._holders:
                self._restore.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                # Others in this process may have set it.
                self._restore.callback(setattr, ImageFile, "LOAD_TRUNCATED_IMAGES", ImageFile.LOAD_TRUNCATED_IMAGES)
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._restore.close()


_STRICTNESS = _Strictness()


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image  # of which Pillow would make a copy
        return ImageOps.exif_transpose(image) or image
    except Exception:  # a broken note about orientation is no reason to lose the picture
        return image


def _split(image: Image.Image) -> Decoded:
    """Colours and opacity of `image`, whatever its mode."""
    if image.mode.startswith(("I", "F")):
        return Decoded(_from_deep_gray(image), None)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        whole = image.convert("RGBA")
        alpha = whole.getchannel("A")
        return Decoded(whole.convert("RGB"), None if alpha.getextrema()[0] == 255 else alpha)
    # A copy where nothing is to convert, because the file it belongs to is about to be closed.
    return Decoded(image.convert("RGB") if image.mode != "RGB" else image.copy(), None)


def _from_deep_gray(image: Image.Image) -> Image.Image:
    """An RGB picture of 16-bit, 32-bit or floating-point gray, which Pillow would cut off instead of scaling."""
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DatasetError("it holds numbers that are no brightness (NaN or infinity); save it again")
    brightest = values.max(initial=0.0)
    full_scale = next((scale for scale in (1.0, 255.0, 65535.0) if brightest <= scale), brightest)
    if image.mode.startswith("I"):
        # Whole numbers of this mode are 16-bit gray even where all are small, except that TIFF may hold more.
        full_scale = max(full_scale, 65535.0)
    return Image.fromarray((values.clip(min=0) * (255 / full_scale)).round().astype(np.uint8)).convert("RGB")
