"""What a program that was killed had read by then: its pictures are spoiled, and cannot be read once more."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

from pseudoword.cache_file import stamp_of
from pseudoword.scoring import ClipScorer, FeatureCache
from pseudoword.scoring.picture_index import PictureIndex
from tests.scoring.pictures import picture

SIDE = 1000
HEADER = 8 + 25  # bytes of a PNG before which nothing else may stand: its signature and its first chunk


def slow_to_read(folder: Path, count: int, first: int = 0) -> list[Path]:
    """`count` large pictures, which differ in a text alone, of long ago: they take long to read, and not to make."""
    folder.mkdir(parents=True)
    buffer = BytesIO()
    picture(first).resize((SIDE, SIDE), 0).save(buffer, "PNG", compress_level=1)
    content, paths = buffer.getvalue(), [folder / f"{number:04}.png" for number in range(first, first + count)]
    for path in paths:
        text = b"tEXtnumber\0" + path.stem.encode()
        chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
        path.write_bytes(content[:HEADER] + chunk + content[HEADER:])
        os.utime(path, (1e9, 1e9))
    return paths


def remembered(cache: Path, scorer: ClipScorer, paths: Sequence[Path]) -> list[Path]:
    """Those of `paths` whose features are in the file `cache`."""
    with FeatureCache(cache, scorer.identity) as known:
        found = known.of_files([*map(str, paths)], [stamp_of(path.stat()) for path in paths])
        assert known.problem is None
    return [path for path, one in zip(paths, found, strict=True) if one is not None]


def indexed(indexes: Path, scorer: ClipScorer, folder: Path) -> list[Path]:
    """The pictures of `folder` that are in the index of a model, by slot; there are no others in it."""
    with PictureIndex(indexes / scorer.identity[:16], scorer.identity, scorer.width) as index:
        known, unreadable = index.known_in(str(folder))
        assert index.problem is None and not unreadable
        slots = {slot: name for name, (slot, _) in known.items()}
        rows = {slot: index.row(slot) for slot in range(max(slots, default=-1) + 1)}
        assert len(slots) == len(known) == index.count()
        assert slots == {slot: row.file.name for slot, row in rows.items() if row is not None}
        assert all(index.feature(slot) is not None for slot in slots)
    return [folder / slots[slot] for slot in sorted(slots)]


def spoil(paths: Iterable[Path]) -> None:
    """Put something else into files that look as before: who reads them again finds no picture."""
    for path in paths:
        before = path.stat()
        path.write_bytes(bytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
