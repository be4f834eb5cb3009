"""Folders of pictures for the tests of scoring: sound ones, and all that may lie among them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from tests import tiny_models


def picture(seed: int, size: tuple[int, int] = (40, 56)) -> Image.Image:
    """Random pixels."""
    numbers = np.random.default_rng(seed)
    return Image.fromarray(numbers.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def fill(folder: Path, count: int) -> list[Path]:
    """`count` PNG pictures, every third in a sub-folder."""
    paths = []
    for index in range(count):
        path = folder / ("sub" if index % 3 == 2 else "") / f"{index:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(index).save(path)
        paths.append(path)
    return sorted(paths, key=lambda path: (path.parent != folder, path))


def with_prompt(path: Path, infotext: str, seed: int = 0) -> Path:
    """A PNG picture with AUTOMATIC1111's text in it."""
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", infotext)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed).save(path, pnginfo=info)
    return path


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with hardly any pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def hostile(folder: Path) -> tuple[set[str], set[str]]:
    """Odd pictures in `folder`: the names of those that can be read, and of those that cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    picture(1).save(buffer, "PNG")
    (folder / "cut-off.png").write_bytes(buffer.getvalue()[:-2000])
    (folder / "huge.png").write_bytes(png_claiming(50_000, 50_000))
    (folder / "text.png").write_text("no picture at all")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "phone.heic").write_bytes(b"ftypheic")
    (folder / "folder.png").mkdir()
    (folder / "gone.png").symlink_to(folder / "nowhere")
    picture(2).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.arange(0, 65536, 32, dtype=np.uint16).reshape(32, 64)).save(folder / "deep.png")
    picture(3).save(folder / "moving.gif", save_all=True, append_images=[picture(4), picture(5)])
    clear = picture(6).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(folder / "clear.png")
    picture(7).convert("P").save(folder / "palette.png")
    picture(8, (3000, 3)).save(folder / "long.png")
    picture(9, (1, 1)).save(folder / "dot.png")
    sound = {"cmyk.jpg", "deep.png", "moving.gif", "clear.png", "palette.png", "long.png", "dot.png"}
    return sound, {"cut-off.png", "huge.png", "text.png", "empty.jpg", "phone.heic", "gone.png"}


def clip_folder(folder: Path) -> Path:
    """An open_clip model of tiny size."""
    return tiny_models.save_open_clip(folder / "tiny-clip")
