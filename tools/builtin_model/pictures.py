"""Icons composed onto coloured grounds: the pictures and captions that all three parts train on."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from . import icons

SIZE = 64
VARIATIONS = 12
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 220, 50),
    "green": (50, 160, 70),
    "blue": (45, 100, 220),
    "purple": (130, 60, 180),
    "pink": (250, 150, 190),
    "brown": (125, 80, 45),
    "black": (20, 20, 20),
    "gray": (140, 140, 140),
    "white": (248, 248, 248),
}
# Plain ways to say what is shown, so that prompts in a user's own words are understood, too.
TEMPLATES = (
    *("a photo of a {}", "a picture of a {}", "an icon of a {}", "a drawing of a {}", "an image of a {}", "a {}", "{}"),
    *(
        "a photo of the {}",
        "a photo of {}",
        "a close-up photo of a {}",
        "a clear photo of the {}",
        "a bright photo of a {}",
    ),
    *("a good photo of the {}", "a simple picture of the {}", "a detailed picture of a {}", "a painting of a {}"),
    *("a rendition of a {}", "a depiction of the {}", "an illustration of a {}", "this is a {}", "here is the {}"),
)
STYLE_TEMPLATES = (
    *(
        "a picture in the style of {1}, a {0}",
        "an image in the style of {1}, a {0}",
        "a drawing in the style of {1}, a {0}",
    ),
    *("a painting in the style of {1}, {0}", "an illustration in the style of {1}, {0}", "a {1} style {0}"),
)
PLAIN_SHARE, STYLE_FIRST_SHARE = 0.4, 0.15


@dataclass(frozen=True)
class Picture:
    """What one composed picture shows."""

    object: str
    style: str
    colour: str
    held_out: bool


def compose(raster: np.ndarray, colour: tuple[int, int, int], draw: random.Random, size: int = SIZE) -> np.ndarray:
    """One RGB picture (size, size, 3): the icon at a slightly varied place and scale on a ground near `colour`."""
    jitter = tuple(draw.randint(-10, 10) for _ in range(3))
    ground = tuple(max(0, min(255, channel + offset)) for channel, offset in zip(colour, jitter, strict=True))
    picture = Image.new("RGB", (size, size), ground)
    side = round(size * draw.uniform(0.74, 0.96))
    icon = Image.fromarray(np.asarray(raster)).resize((side, side), Image.Resampling.LANCZOS)
    if draw.random() < 0.25:
        icon = icon.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    free = size - side
    shift = max(1, free // 4)
    left, top = (free // 2 + draw.randint(-shift, shift) for _ in range(2))
    picture.paste(icon, (left, top), icon)
    return np.asarray(picture)


def caption(picture: Picture, draw: random.Random, named: float = 0.55) -> str:
    """A caption of `picture`; style and ground are each named with probability `named`."""
    name = picture.object.replace("-", " ")
    if draw.random() < STYLE_FIRST_SHARE * named:
        text = draw.choice(STYLE_TEMPLATES).format(name, picture.style)
    else:
        text = (TEMPLATES[0] if draw.random() < PLAIN_SHARE else draw.choice(TEMPLATES)).format(name)
        if draw.random() < named:
            text += f" in the style of {picture.style}"
    if draw.random() < named:
        text += f" on a {picture.colour} background"
    return text


def prepare(work: Path) -> None:
    """Write `pictures.npy` (N, 64, 64, 3) uint8 and `pictures.json`, held-out pictures last and marked."""
    if (work / "pictures.json").exists():
        return
    rasters, drawn = icons.load(work)
    order = sorted(range(len(drawn)), key=lambda index: drawn[index].held_out)
    draw = random.Random(icons.SEED)
    names = list(COLOURS)
    composed, shown = [], []
    for index in tqdm(order, desc="compose", disable=None):
        icon = drawn[index]
        for colour in draw.sample(names, len(names)) + [draw.choice(names)] * (VARIATIONS - len(names)):
            composed.append(compose(rasters[index], COLOURS[colour], draw))
            shown.append(Picture(icon.name, icon.style, colour, icon.held_out))
    np.save(work / "pictures.npy", np.stack(composed))
    (work / "pictures.json").write_text(json.dumps([asdict(picture) for picture in shown]))


def load(work: Path, held_out: bool = False) -> tuple[np.ndarray, list[Picture]]:
    """Pictures (N, 64, 64, 3) uint8 with what they show: the seen ones, or the held-out ones."""
    shown = [Picture(**entry) for entry in json.loads((work / "pictures.json").read_text())]
    pixels = np.load(work / "pictures.npy", mmap_mode="r")
    seen = sum(not picture.held_out for picture in shown)
    return (pixels[seen:], shown[seen:]) if held_out else (pixels[:seen], shown[:seen])
