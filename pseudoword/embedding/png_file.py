"""PNG files as a row of chunks: texts are found without decoding the picture, and it is decoded without the rest."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from pseudoword.errors import EmbeddingFileError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 8 * 2**20
"""More than any card has: with 75 vectors, A1111's are 1.5 megapixels."""
_MAX_CHUNKS = 50_000


def read_texts(data: bytes) -> dict[str, bytes]:
    """The uncompressed texts (`tEXt`) by keyword, the first of equal ones. Raises EmbeddingFileError for damage."""
    texts: dict[str, bytes] = {}
    for kind, body, checksum in _chunks(data):
        if kind == b"tEXt":
            if zlib.crc32(body, zlib.crc32(kind)) != checksum:
                raise EmbeddingFileError("the checksum of a text in the picture is wrong; it is damaged")
            keyword, _, text = bytes(body).partition(b"\0")
            texts.setdefault(keyword.decode("latin-1"), text)
    return texts


def decode_picture(data: bytes) -> Image.Image | None:
    """The picture in RGB; None if it isn't 8-bit RGB or RGBA, since nothing can be hidden in others.

    Raises EmbeddingFileError if the picture is damaged, or has more pixels than a card, before any are decoded.
    """
    kept = [(kind, body, checksum) for kind, body, checksum in _chunks(data) if kind in (b"IHDR", b"IDAT", b"IEND")]
    if not kept or kept[0][0] != b"IHDR" or len(kept[0][1]) != 13:
        raise EmbeddingFileError("the picture's header is missing; it is damaged")
    width, height, depth, colour_type = struct.unpack(">IIBB", kept[0][1][:10])
    if width * height > MAX_PIXELS:
        raise EmbeddingFileError(f"the picture claims {width} × {height} pixels, more than any embedding card has")
    if depth != 8 or colour_type not in (2, 6):
        return None
    # Other chunks (profiles, compressed texts, animations) can unpack to any size, and Pillow would read them.
    plain = SIGNATURE + b"".join(
        struct.pack(">I4s", len(body), kind) + bytes(body) + struct.pack(">I", checksum)
        for kind, body, checksum in kept
    )
    try:
        return Image.open(io.BytesIO(plain), formats=["PNG"]).convert("RGB")
    except Exception as error:  # Pillow reports damage by at least six kinds of errors
        raise EmbeddingFileError("the picture cannot be decoded; it is damaged") from error


def write_png(picture: Image.Image, texts: dict[str, str]) -> bytes:
    """`picture` as a PNG with uncompressed ASCII `texts` ahead of the pixels."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text.encode("ascii").decode("latin-1"))
    written = io.BytesIO()
    picture.save(written, "PNG", pnginfo=info)
    return written.getvalue()


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Kind, body and checksum of each chunk."""
    view = memoryview(data)
    position = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if position == len(data):
            raise EmbeddingFileError("the picture has no end; it was cut off")
        if position + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        yield kind, view[position + 8 : end - 4], struct.unpack_from(">I", data, end - 4)[0]
        if kind == b"IEND":
            return
        position = end
    raise EmbeddingFileError("the picture's chunks are cut off or damaged")
