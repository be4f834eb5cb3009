"""Training sets that ship: a few held-out objects, each in several styles, and the held-out style."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

from . import icons, pictures

SIZE = 128
PICTURES_PER_SET = 5
OBJECTS = ("penguin", "octopus", "strawberry", "helicopter", "castle", "pizza")
GROUNDS = ("white", "yellow", "blue", "green", "pink")
STYLE_OBJECTS = ("bear", "banana", "rocket", "frog", "cupcake")


def object_set(work: Path, name: str, count: int = PICTURES_PER_SET, size: int = SIZE) -> list[tuple[str, Image.Image]]:
    """`count` pictures of the object `name`, one per style, each on another ground: (style, picture)."""
    rasters, drawn = icons.load(work)
    draw = random.Random(name)
    order = [icons.HELD_OUT_STYLE, *icons.SEEN_STYLES][::-1]
    chosen = sorted((index for index, icon in enumerate(drawn) if icon.name == name), key=lambda index: order.index(drawn[index].style))
    return [
        (drawn[index].style, Image.fromarray(pictures.compose(rasters[index], pictures.COLOURS[ground], draw, size)))
        for index, ground in zip(chosen[:count], GROUNDS, strict=False)
    ]


def style_set(work: Path, size: int = SIZE) -> list[tuple[str, Image.Image]]:
    """Seen objects in the held-out style: (object, picture)."""
    rasters, drawn = icons.load(work)
    draw = random.Random(icons.HELD_OUT_STYLE)
    place = {icon.name: index for index, icon in enumerate(drawn) if icon.style == icons.HELD_OUT_STYLE}
    return [
        (name, Image.fromarray(pictures.compose(rasters[place[name]], pictures.COLOURS[ground], draw, size)))
        for name, ground in zip(STYLE_OBJECTS, GROUNDS, strict=True)
    ]


def write(work: Path, target: Path) -> None:
    """Write the sets as folders of PNG files, with their licences beside them."""
    sets = {name: object_set(work, name) for name in OBJECTS} | {f"{icons.HELD_OUT_STYLE}-style": style_set(work)}
    for name, members in sets.items():
        (target / name).mkdir(parents=True, exist_ok=True)
        for index, (label, picture) in enumerate(members, 1):
            picture.save(target / name / f"{index}-{label}.png", optimize=True)
    lines = [
        "The pictures in these folders are drawings from five icon sets, composed onto plain grounds.",
        "The end of a file's name in an object's folder is the style; all of blob-style is from noto-v1.",
        "",
    ]
    lines += [f"{one.style}: {one.package} {one.version}, {one.author}, {one.licence}" for one in icons.ICON_SETS]
    (target / "LICENCES.txt").write_text("\n".join(lines) + "\n")
