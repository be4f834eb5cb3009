"""The pictures the built-in model learns from: five icon sets that draw the same objects in five styles.

The sets come from npm at pinned versions and are rasterised with resvg. Objects and a whole style are held out by a
fixed rule and seed, so that no part of the model ever sees them.
"""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

RASTER_SIZE = 128
HELD_OUT_OBJECTS = 48
SEED = 20261121


@dataclass(frozen=True)
class IconSet:
    """One npm package of icons; `style` is the word that captions use for it."""

    package: str
    version: str
    style: str
    licence: str
    author: str


ICON_SETS = (
    IconSet("noto", "1.2.9", "noto", "Apache-2.0", "Google Inc"),
    IconSet("fluent-emoji", "1.2.7", "fluent", "MIT", "Microsoft Corporation"),
    IconSet("fluent-emoji-flat", "1.2.6", "flat", "MIT", "Microsoft Corporation"),
    IconSet("twemoji", "1.2.5", "twemoji", "CC-BY-4.0", "Twitter and contributors"),
    IconSet("noto-v1", "1.2.5", "blob", "Apache-2.0", "Google Inc"),
)
HELD_OUT_STYLE = "blob"
SEEN_STYLES = tuple(icons.style for icons in ICON_SETS if icons.style != HELD_OUT_STYLE)

# People, gestures, flags and lettering: either the same drawing many times over, or nothing a small model can draw.
LEFT_OUT = re.compile(
    r"skin-tone|flag|famil|hand|person|people|\bman\b|woman|\bmen\b|women|\bboy\b|girl|couple|kiss|finger|fist|button"
    r"|keycap|oclock|thirty|blood-type|japanese|sign\b|arrow|symbol|input-|information|restroom|-room|breast|thumbs"
    r"|\bguard\b|worker|\bpilot|\bteacher|student|\bjudge|farmer|\bcook\b|mechanic\b|scientist|technologist|singer"
    r"|artist\b|astronaut|firefighter|officer|detective|prince|claus|ninja|\bbaby\b|\bchild\b|mate\b|selfie|gesture"
    r"|salute|busts?-in|speaking-head|pointing|biceps|horse-racing|snowboarder|skier|head-shaking|copyright|registered"
    r"|trade-mark|circled|non-potable|no-one|no-\w+s$|aquarius|aries|taurus|gemini|cancer|\bleo\b|virgo|libra|scorpio\b"
    r"|sagittarius|capricorn|pisces|ophiuchus|wavy-dash|curly-loop|customs|baggage-claim|passport-control|left-luggage"
)
FILLERS = {"with", "and", "of", "the", "on", "in", "at", "a", "face", "to", "for", "showing", "not"}


@dataclass(frozen=True)
class Icon:
    """One drawing: an object in a style, as an RGBA raster of (128, 128, 4) uint8."""

    name: str
    style: str
    held_out: bool


def download(package: str, version: str, folder: Path) -> dict[str, str]:
    """SVG text of every icon of `@iconify-json/{package}` by name, aliases included."""
    tarball = folder / f"iconify-json-{package}-{version}.tgz"
    if not tarball.exists():
        subprocess.run(
            ["npm", "pack", f"@iconify-json/{package}@{version}"], cwd=folder, check=True, capture_output=True
        )
    with tarfile.open(tarball) as archive:
        member = archive.extractfile("package/icons.json")
        assert member is not None
        data = json.load(io.TextIOWrapper(member, encoding="utf-8"))
    names = {name: name for name, icon in data["icons"].items() if not icon.get("hidden")}
    names |= {alias: entry["parent"] for alias, entry in data.get("aliases", {}).items()}
    svgs = {}
    for name, source in names.items():
        icon = data["icons"].get(source)
        if icon is not None:
            width, height = icon.get("width", data["width"]), icon.get("height", data["height"])
            svgs[name] = (
                f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'width="{RASTER_SIZE}" height="{RASTER_SIZE}" viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
            )
    return svgs


def choose_objects(names_by_style: dict[str, set[str]]) -> tuple[list[str], list[str]]:
    """Names of the seen and of the held-out objects.

    An object counts when at least four sets draw it. A held-out one is drawn by all five, and none of its words
    occurs in the name of another object: its word is new to the model, too.
    """
    sets_with = Counter(name for names in names_by_style.values() for name in names)
    objects = sorted(name for name, count in sets_with.items() if count >= 4 and not LEFT_OUT.search(name))
    word_use = Counter(word for name in objects for word in set(name.split("-")) - FILLERS)
    candidates = [
        name
        for name in objects
        if sets_with[name] == len(names_by_style)
        and not FILLERS & set(name.split("-"))
        and all(word_use[word] == 1 for word in name.split("-"))
    ]
    held_out = random.Random(SEED).sample(candidates, HELD_OUT_OBJECTS)
    return [name for name in objects if name not in held_out], held_out


def rasterise(svg: str) -> np.ndarray:
    """RGBA raster (128, 128, 4) uint8 of one SVG."""
    import resvg_py

    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=RASTER_SIZE, height=RASTER_SIZE))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def prepare(work: Path) -> None:
    """Write `icons.npy` (N, 128, 128, 4) uint8, `icons.json` and `split.json` into `work`."""
    if (work / "icons.json").exists():
        return
    work.mkdir(parents=True, exist_ok=True)
    svgs = {icons.style: download(icons.package, icons.version, work) for icons in ICON_SETS}
    seen, held_out = choose_objects({style: set(names) for style, names in svgs.items()})
    wanted = [
        Icon(name, style, name in held_out or style == HELD_OUT_STYLE)
        for name in [*seen, *held_out]
        for style in svgs
        if name in svgs[style]
    ]
    rasters, icons = [], []
    for icon in tqdm(wanted, desc="rasterise", disable=None):
        raster = rasterise(svgs[icon.style][icon.name])
        if raster[..., 3].mean() > 8:  # a few drawings use features that resvg leaves empty
            rasters.append(raster)
            icons.append(icon)
    np.save(work / "icons.npy", np.stack(rasters))
    (work / "split.json").write_text(
        json.dumps({"seen": seen, "held_out": held_out, "held_out_style": HELD_OUT_STYLE}, indent=1)
    )
    (work / "icons.json").write_text(json.dumps([icon.__dict__ for icon in icons]))


def load(work: Path) -> tuple[np.ndarray, list[Icon]]:
    """The rasters (N, 128, 128, 4) and what each shows."""
    icons = [Icon(**entry) for entry in json.loads((work / "icons.json").read_text())]
    return np.load(work / "icons.npy", mmap_mode="r"), icons
