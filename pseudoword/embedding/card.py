"""Embeddings in pictures, as A1111 shares them: in a text of the PNG and, as sites remove texts, in its pixels too."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pseudoword.embedding.card_picture import draw_card, preview_of
from pseudoword.embedding.card_pixels import find_hidden, hide, without_blocks
from pseudoword.embedding.embedding import Embedding
from pseudoword.embedding.forms import METADATA_KEY, a1111_fields, metadata_strings
from pseudoword.embedding.png_file import decode_picture, read_texts, write_png
from pseudoword.embedding.stored_tensor import StoredTensor
from pseudoword.errors import EmbeddingFileError, SettingsError

_TEXT_KEY = "sd-ti-embedding"
_TENSOR_KEY = "TORCHTENSOR"
_MAX_JSON_BYTES = 4 * 2**20  # 75 vectors of SDXL with 20 digits a number are 3.4 MB
_MAX_BRACKETS = 10_000  # JSON lists take 20 times their text in memory; an embedding has one per vector


def read_card(data: bytes) -> tuple[object, dict[str, str]] | None:
    """What is in the card, with StoredTensors for tensors, and our metadata; None if the picture holds no embedding.

    Raises EmbeddingFileError if it holds one that is damaged.
    """
    texts = read_texts(data)
    metadata = _metadata(texts.get(METADATA_KEY, b"{}"))
    if _TEXT_KEY in texts:
        try:
            return _parse(base64.b64decode(_limited(texts[_TEXT_KEY], _MAX_JSON_BYTES * 2), validate=True)), metadata
        except binascii.Error as error:
            raise EmbeddingFileError(f"the text {_TEXT_KEY!r} in the picture is not base64; it is damaged") from error
    picture = decode_picture(data)
    hidden = None if picture is None else _hidden(picture)
    if hidden is None:
        return None
    try:
        return _parse(zlib.decompressobj().decompress(hidden, _MAX_JSON_BYTES + 1)), metadata
    except zlib.error as error:
        raise EmbeddingFileError("the embedding in the picture's pixels is damaged; was it a JPEG once?") from error


def write_card(embedding: Embedding, preview: Image.Image | None) -> bytes:
    """A PNG that shows what `embedding` is, on top of `preview` if there is one, and holds it twice."""
    content = json.dumps(a1111_fields(embedding), default=_json_tensor, separators=(",", ":")).encode("ascii")
    if len(content) > _MAX_JSON_BYTES:
        raise SettingsError(f"{embedding.name} has too many vectors for a picture card; save it as .safetensors.")
    picture = hide(draw_card(embedding, preview), zlib.compress(content, 9))
    metadata = json.dumps(metadata_strings(embedding))
    return write_png(picture, {_TEXT_KEY: base64.b64encode(content).decode("ascii"), METADATA_KEY: metadata})


def picture_on_card(data: bytes, embedding: Embedding) -> Image.Image | None:
    """The preview that the card of `embedding` in `data` shows; None for a pattern made of the vectors.

    A card that A1111 made is returned as it looks: it has written the name into the picture itself. None, too, for a
    picture that is not 8-bit RGB or RGBA. Raises EmbeddingFileError if it is damaged.
    """
    picture = decode_picture(data)
    if picture is None:
        return None
    return preview_of(picture if _hidden(picture) is None else without_blocks(picture), embedding)


def _hidden(picture: Image.Image) -> bytes | None:
    """The compressed embedding in the pixels of `picture`; None if there is none."""
    hidden = find_hidden(picture)
    # black columns alone prove nothing; zlib's first byte is always this
    return hidden if hidden is not None and hidden[:1] == b"\x78" else None


def _json_tensor(value: Tensor) -> dict[str, list[list[float]]]:
    # numpy writes the fewest digits that give the same float32 again, Python those of a float64: twice as many
    return {_TENSOR_KEY: [[float(str(number)) for number in vector] for vector in value.numpy()]}


def _parse(text: bytes) -> object:
    text = _limited(text, _MAX_JSON_BYTES)
    if text.count(b"[") + text.count(b"{") > _MAX_BRACKETS:
        raise EmbeddingFileError("the data in the picture has too many lists for an embedding")
    try:
        # Integers as floats: long rows of digits take quadratic time to become an int.
        return json.loads(text, object_hook=_tensor_or_dict, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise EmbeddingFileError("the data in the picture is not valid JSON; it is damaged") from error


def _tensor_or_dict(found: dict[str, Any]) -> object:
    if _TENSOR_KEY not in found:
        return found
    rows = found[_TENSOR_KEY]
    if not isinstance(rows, list) or not rows:
        raise EmbeddingFileError("a tensor in the picture is empty or not a list")
    table = rows if isinstance(rows[0], list) else [rows]
    width = len(table[0])
    for row in table:
        if not isinstance(row, list) or len(row) != width or not all(type(number) is float for number in row):
            raise EmbeddingFileError("a tensor in the picture has rows of different lengths or no numbers")
    return StoredTensor((len(table), width), torch.float64, lambda: torch.from_numpy(np.array(table, np.float64)))


def _metadata(text: bytes) -> dict[str, str]:
    try:
        found = json.loads(_limited(text, 2**20), parse_int=float)
    except (ValueError, RecursionError) as error:
        raise EmbeddingFileError(f"the text {METADATA_KEY!r} in the picture is not JSON; it is damaged") from error
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _limited(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise EmbeddingFileError(f"the data in the picture is larger than {most} bytes, too large for an embedding")
    return data
