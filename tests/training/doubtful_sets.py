"""Training sets with something to find in them, made of the sample pictures that ship."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageFilter

from pseudoword.builtin import SAMPLES

GOOD = ("1-twemoji.png", "2-flat.png", "3-fluent.png", "4-noto.png", "5-blob.png")
DOUBTFUL = ("6-stranger.png", "7-copy.jpg", "8-blurred.png", "9-small.png")


def sample(name: str, number: int) -> Image.Image:
    """A sample picture, 128 × 128 pixels."""
    return Image.open(SAMPLES / name / GOOD[number - 1]).convert("RGB")


def fill_doubtful(folder: Path) -> Path:
    """Five strawberries, one with a wrong caption; a helicopter, a near duplicate, a blurred and a small picture.

    And a file that is no picture.
    """
    folder.mkdir(parents=True)
    for number, name in enumerate(GOOD, start=1):
        sample("strawberry", number).save(folder / name)
    (folder / "1-twemoji.txt").write_text("a train")
    sample("helicopter", 4).save(folder / "6-stranger.png")
    sample("strawberry", 2).resize((100, 100)).save(folder / "7-copy.jpg", quality=70)
    sample("strawberry", 3).filter(ImageFilter.GaussianBlur(6)).save(folder / "8-blurred.png")
    sample("strawberry", 5).resize((40, 40)).save(folder / "9-small.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder
