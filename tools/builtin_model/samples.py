"""Training sets that ship: a few held-out objects, each in several styles, and the held-out style."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

from . import icons, pictures

SIZE = 128
PICTURES_PER_SET = 5
OBJECTS = ("penguin", "octopus", "strawberry", "helicopter", "castle", "pizza")
# Drawn by chance from the held-out objects, once; what came out bad stays in.
BENCHMARK_OBJECTS = (
    *("alembic", "candle", "carp-streamer", "chicken", "control-knobs"),
    *("cucumber", "egg", "electric-plug", "factory", "ghost"),
    *("grapes", "lizard", "printer", "shark", "shield"),
    *("shinto-shrine", "squid", "strawberry", "vibration-mode", "volcano"),
)
BENCHMARK_PICTURES = 4
GROUNDS = ("white", "yellow", "blue", "green", "pink")
STYLE_OBJECTS = ("grinning-face", "bear", "cat", "mushroom", "robot")


def object_set(work: Path, name: str, count: int = PICTURES_PER_SET) -> list[tuple[str, Image.Image]]:
    """`count` pictures of the object `name`, one per style, each on another ground: (style, picture)."""
    rasters, drawn = icons.load(work)
    draw = random.Random(name)
    order = [icons.HELD_OUT_STYLE, *icons.SEEN_STYLES][::-1]
    chosen = sorted(
        (index for index, icon in enumerate(drawn) if icon.name == name),
        key=lambda index: order.index(drawn[index].style),
    )
    return [
        (drawn[index].style, Image.fromarray(pictures.compose(rasters[index], pictures.COLOURS[ground], draw, SIZE)))
        for index, ground in zip(chosen[:count], GROUNDS, strict=False)
    ]


def style_set(work: Path) -> list[tuple[str, Image.Image]]:
    """Seen objects in the held-out style: (object, picture)."""
    rasters, drawn = icons.load(work)
    draw = random.Random(icons.HELD_OUT_STYLE)
    place = {icon.name: index for index, icon in enumerate(drawn) if icon.style == icons.HELD_OUT_STYLE}
    return [
        (name, Image.fromarray(pictures.compose(rasters[place[name]], pictures.COLOURS[ground], draw, SIZE)))
        for name, ground in zip(STYLE_OBJECTS, GROUNDS, strict=True)
    ]


def write(work: Path, target: Path, benchmark_target: Path) -> None:
    """Write the sets that ship, and those that the benchmark trains on, as folders of PNG files with their licences."""
    for name in OBJECTS:
        write_set(target / name, object_set(work, name))
    style_folder = target / f"{icons.HELD_OUT_STYLE}-style"
    write_set(style_folder, style_set(work))
    for picture_file in style_folder.glob("*.png"):  # a caption says what is shown, so that the word can mean the rest
        shown = picture_file.stem.partition("-")[2].replace("-", " ")
        picture_file.with_suffix(".txt").write_text(f"a {shown}\n")
    for name in BENCHMARK_OBJECTS:
        write_set(benchmark_target / name, object_set(work, name, BENCHMARK_PICTURES))
    for folder in (target, benchmark_target):
        (folder / "LICENCES.txt").write_text(licences())


def write_set(folder: Path, members: list[tuple[str, Image.Image]]) -> None:
    """Write (label, picture) pairs as `1-label.png`, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for index, (label, picture) in enumerate(members, 1):
        picture.save(folder / f"{index}-{label}.png", optimize=True)


def licences() -> str:
    """Where the drawings come from, and their licences."""
    lines = [
        "The pictures in these folders are drawings from five icon sets, composed onto plain grounds.",
        "The end of a file's name in an object's folder is the style; all of blob-style is from noto-v1.",
        "",
    ]
    lines += [f"{one.style}: {one.package} {one.version}, {one.author}, {one.licence}" for one in icons.ICON_SETS]
    return "\n".join(lines) + "\n"
