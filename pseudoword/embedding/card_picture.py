"""The visible side of an embedding card: what a person sees in a folder, a chat or a model site."""

from __future__ import annotations

import colorsys
import hashlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from pseudoword.embedding.embedding import Embedding
from pseudoword.embedding.metadata import without_folders

WIDTH, HEIGHT = 512, 640
_MARGIN = 28
_NAME_TOP = HEIGHT - 190
_STRIP_TOP, _STRIP_BOTTOM = HEIGHT - 84, HEIGHT - 56
_MODEL_NAMES = {"sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2", "sdxl": "Stable Diffusion XL"}
_WHITE, _PALE = (255, 255, 255), (203, 208, 220)
_DARK = (18, 20, 30)
# Tried in this order where Pillow brings no scalable font of its own (before 10.1).
_SYSTEM_FONTS = ("DejaVuSans.ttf", "arial.ttf", "Arial.ttf", "Helvetica.ttc", "LiberationSans-Regular.ttf")


def draw_card(embedding: Embedding, preview: Image.Image | None) -> Image.Image:
    """An RGB picture of 512 × 640 pixels: the preview above, name, model, vectors and steps below.

    Without a preview a pattern made of the vectors takes its place. The strip of colours near the lower edge is drawn
    from the vectors as well: two cards with the same strip hold the same word.
    """
    upper = _pattern(embedding) if preview is None else _square(preview)
    card = Image.new("RGB", (WIDTH, HEIGHT), _DARK)
    card.paste(upper, (0, 0))
    card = Image.composite(Image.new("RGB", card.size, _DARK), card, _shade())
    strip = _strip(embedding).resize((WIDTH - 2 * _MARGIN, _STRIP_BOTTOM - _STRIP_TOP), Image.Resampling.NEAREST)
    card.paste(strip, (_MARGIN, _STRIP_TOP))
    facts = [part for part in (_model(embedding), _count(embedding), _steps(embedding)) if part]
    _write(card, embedding.name, y=_NAME_TOP, size=56, colour=_WHITE)
    _write(card, " · ".join(facts), y=HEIGHT - 122, size=21, colour=_PALE)
    _write(card, _footer(embedding), y=HEIGHT - 42, size=17, colour=_PALE)
    return card


def preview_of(shown: Image.Image, embedding: Embedding) -> Image.Image | None:
    """The preview with which `draw_card` draws `embedding` as in `shown` (RGB); None if that is the pattern.

    512 pixels wide and high. The dark that covers it lower down is taken off again, up to where the name stands; below,
    where it would be hardly seen on a card, it is mirrored. A picture that `draw_card` did not draw is returned itself.
    """
    pixels, shade = np.asarray(shown), np.asarray(_shade())[:, :1, None]  # (H, W, 3), (H, 1, 1)
    if shown.size != (WIDTH, HEIGHT) or (pixels[shade[:, 0, 0] == 255, :_MARGIN] != _DARK).any():
        return shown
    rows = _NAME_TOP - 10  # a letter such as Å reaches above the line
    covered = shade[:rows] / 255
    upper = ((pixels[:rows] - covered * _DARK) / (1 - covered)).round().clip(0, 255).astype(np.uint8)
    if np.abs(upper - np.asarray(_pattern(embedding), np.float64)[:rows]).mean() < 3:  # rounded twice
        return None
    return Image.fromarray(np.concatenate([upper, upper[::-1][: WIDTH - rows]]))


def _model(embedding: Embedding) -> str:
    return _MODEL_NAMES[embedding.architecture]


def _count(embedding: Embedding) -> str:
    return "1 vector" if embedding.vector_count == 1 else f"{embedding.vector_count} vectors"


def _steps(embedding: Embedding) -> str:
    steps = embedding.metadata.steps
    return "" if steps is None else "1 step" if steps == 1 else f"{steps:,} steps"


def _footer(embedding: Embedding) -> str:
    metadata = embedding.metadata
    trained_on = f"trained on {without_folders(metadata.trained_on)}" if metadata.trained_on else ""
    return "  ·  ".join(part for part in (trained_on, metadata.date[:10]) if part) or "textual inversion"


def _write(card: Image.Image, text: str, *, y: int, size: int, colour: tuple[int, int, int]) -> None:
    """One line of text, as large as asked for and as fits; cut with an ellipsis below a readable size."""
    limit = WIDTH - 2 * _MARGIN
    line = _line(text, size)
    smallest = max(15, size // 2)
    if line.width > limit:
        fitting = max(smallest, size * limit // line.width)
        line = _line(text, fitting)
        while line.width > limit and len(text) > 1:
            text = text[: min(len(text) - 1, len(text) * limit // line.width)]
            line = _line(text + "…", fitting)
    top = y + (size - line.height) // 2 + size // 8
    card.paste(Image.new("RGB", line.size, colour), (_MARGIN, top), line)


def _line(text: str, size: int) -> Image.Image:
    """`text` in white on black, (L), cropped to what is drawn."""
    font, enlarge = _font(size)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    mask = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font)
    if enlarge > 1:
        mask = mask.resize((round(mask.width * enlarge), round(mask.height * enlarge)), Image.Resampling.BICUBIC)
    return mask


def _font(size: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, float]:
    """A font of `size` pixels, and how much its text has to be enlarged to be that."""
    try:
        return ImageFont.load_default(size), 1.0  # Pillow 10.1 and later, if built with FreeType
    except (TypeError, OSError):
        pass
    for file_name in _SYSTEM_FONTS:
        try:
            return ImageFont.truetype(file_name, size), 1.0
        except OSError:
            continue
    return ImageFont.load_default(), size / 11  # a bitmap font of 11 pixels


def _square(preview: Image.Image) -> Image.Image:
    """The middle of `preview`, as wide as the card, without transparency."""
    picture = preview.convert("RGBA")
    opaque = Image.alpha_composite(Image.new("RGBA", picture.size, (*_DARK, 255)), picture).convert("RGB")
    return ImageOps.fit(opaque, (WIDTH, WIDTH), Image.Resampling.LANCZOS)


def _shade() -> Image.Image:
    """How much of the dark colour covers each pixel, (L): nothing above, all below, a soft step between."""
    rows = np.linspace(0, HEIGHT, HEIGHT, dtype=np.float64)
    amount = np.clip((rows - (WIDTH - 190)) / 170, 0, 1)
    smooth = amount * amount * (3 - 2 * amount)
    return Image.fromarray(np.repeat((smooth * 255).astype(np.uint8)[:, None], WIDTH, axis=1))


def _strip(embedding: Embedding) -> Image.Image:
    """One row of colours per vector (at most 4 rows), each colour the mean of a stretch of the vector."""
    vectors = next(iter(embedding.vectors.values())).numpy()[:4]  # (n, D)
    bins = np.array_split(np.arange(vectors.shape[1]), min(96, vectors.shape[1]))
    means = np.stack([vectors[:, index].mean(axis=1) for index in bins], axis=1)  # (n, 96)
    scale = np.abs(means).max() or 1.0
    hue = _hue(embedding)
    colours = [[_shade_of(hue, value / scale) for value in row] for row in means.tolist()]
    return Image.fromarray(np.array(colours, np.uint8))


def _pattern(embedding: Embedding) -> Image.Image:
    """A soft landscape of colour made of the first vector."""
    vector = next(iter(embedding.vectors.values())).numpy()[0]  # (D,)
    cells = np.resize(vector, (12, 12)).astype(np.float64)
    scale = np.abs(cells).max() or 1.0
    hue = _hue(embedding)
    colours = [[_shade_of(hue, value / scale) for value in row] for row in cells.tolist()]
    return Image.fromarray(np.array(colours, np.uint8)).resize((WIDTH, WIDTH), Image.Resampling.BICUBIC)


def _hue(embedding: Embedding) -> float:
    numbers = b"".join(tensor.numpy().tobytes() for tensor in embedding.vectors.values())
    return hashlib.sha256(numbers).digest()[0] / 256


def _shade_of(hue: float, value: float) -> tuple[int, int, int]:
    """A colour for a value in [-1, 1]: dark below, bright above, the hue turning a little on the way."""
    red, green, blue = colorsys.hls_to_rgb((hue + 0.12 * value) % 1, 0.42 + 0.3 * value, 0.55)
    return round(255 * red), round(255 * green), round(255 * blue)
