"""Embeddings from and to files: which format a file is in, and that every failure names the file."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal, get_args

import torch
from PIL import Image

from pseudoword.embedding import card, forms, png_file, safetensors_file, torch_file
from pseudoword.embedding.embedding import Embedding
from pseudoword.embedding.half_precision import rounded_to_fp16
from pseudoword.embedding.metadata import HASH_KEY, NAME_KEY
from pseudoword.embedding.stored_tensor import MAX_FILE_BYTES
from pseudoword.embedding.whole_file import check_free, write_whole
from pseudoword.errors import EmbeddingFileError, SettingsError

FileFormat = Literal["safetensors", "pt", "diffusers", "card"]

SUFFIXES: dict[FileFormat, tuple[str, ...]] = {
    "safetensors": (".safetensors",),
    "pt": (".pt",),
    "diffusers": (".bin", ".safetensors"),
    "card": (".png",),
}
"""Suffixes that a file of each format may have, the default first: WebUI and ComfyUI choose their reader by them."""

KNOWN_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)


def load_embedding(path: Path) -> Embedding:
    """The embedding in a file of any known format; what it is is decided by its content, never by its suffix.

    Its name is the one stored in the file, or the file's own. Raises EmbeddingFileError, which names the file and the
    reason, if it is no embedding, damaged, or unsafe to read. No pickle is executed, and nothing is allocated because a
    file claims a size.
    """
    embedding = load_if_embedding(path)
    if embedding is None:
        raise EmbeddingFileError(f"{Path(path).name} cannot be read as an embedding: no embedding is in this picture.")
    return embedding


def load_if_embedding(path: Path) -> Embedding | None:
    """Like `load_embedding`, but None for a sound picture without an embedding, such as a preview."""
    path = Path(path)
    try:
        return _embedding_in(read_limited(path), path.stem)
    except EmbeddingFileError as error:
        raise EmbeddingFileError(f"{path.name} cannot be read as an embedding: {error}.") from error


def card_picture(path: Path) -> Image.Image | None:
    """The picture on the card at `path`, for another card of the same word; None for a pattern made of the vectors.

    Raises EmbeddingFileError if the file is no picture with an embedding.
    """
    embedding, data = load_embedding(path), read_limited(Path(path))
    if not data.startswith(png_file.SIGNATURE):
        raise EmbeddingFileError(f"{Path(path).name} is no picture card.")
    return card.picture_on_card(data, embedding)


def save_embedding(
    embedding: Embedding,
    path: Path,
    format: FileFormat = "safetensors",
    *,
    overwrite: bool = False,
    preview: Image.Image | None = None,
    half: bool = False,
) -> Path:
    """Write `embedding` and return the path of the file, which has got the format's suffix if it had none.

    "safetensors" has all metadata and loads everywhere; "pt" is A1111's own; "diffusers" is one tensor named like the
    word, in `.bin` or `.safetensors`; "card" is a picture that shows `preview`. The file is there whole or not at all.
    Programs call the word as the file is called; diffusers and cards use `embedding.name`. With `half`, values are
    rounded to fp16 and take 2 bytes each; on a card, which holds them as text, they are only rounded.
    Raises SettingsError for a suffix of another format and for values that fp16 does not hold, EmbeddingFileError if
    the file exists or cannot be written.
    """
    if format not in get_args(FileFormat):
        raise SettingsError(f"{format!r} is no format of embedding files; choose {', '.join(get_args(FileFormat))}.")
    path = _with_suffix(Path(path), format)
    check_free(path, overwrite=overwrite)  # before the work; looked at again when the file is put in place
    data = _encode(rounded_to_fp16(embedding) if half else embedding, format, path.suffix.lower(), preview, half)
    write_whole(path, data, overwrite=overwrite)
    return path


def read_limited(path: Path) -> bytes:
    """All bytes of the file at `path`; raises EmbeddingFileError if it is none, or larger than any embedding."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block, a device never end
            raise EmbeddingFileError("it is not a file")
        if status.st_size > MAX_FILE_BYTES:
            size, most = status.st_size / 2**20, MAX_FILE_BYTES // 2**20
            raise EmbeddingFileError(f"it has {size:,.0f} MB and an embedding at most {most}; is it a checkpoint?")
        with open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise EmbeddingFileError(f"it cannot be opened ({getattr(error, 'strerror', None) or error})") from error


def _embedding_in(data: bytes, stem: str) -> Embedding | None:
    if not data:
        raise EmbeddingFileError("it is empty")
    if data.startswith(png_file.SIGNATURE):
        found = card.read_card(data)
        return None if found is None else forms.embedding_from(*found, stem)
    if torch_file.looks_like_torch(data):
        return forms.embedding_from(torch_file.read_torch(data), {}, stem)
    if safetensors_file.looks_like_safetensors(data):
        tensors, metadata = safetensors_file.read_safetensors(data)
        embedding = forms.embedding_from(tensors, metadata, stem)
        _check_hash(embedding, metadata)
        return embedding
    raise EmbeddingFileError("it is neither a safetensors, nor a torch, nor a PNG file")


def _check_hash(embedding: Embedding, metadata: dict[str, str]) -> None:
    # Only for files of ours: others hash other bytes, and the specification asks no more than a warning.
    if NAME_KEY not in metadata or HASH_KEY not in metadata:
        return
    if metadata[HASH_KEY] != safetensors_file.content_hash(forms.named_tensors(embedding)):
        raise EmbeddingFileError("its vectors do not fit the hash in its header; it was damaged, get it again")


def _with_suffix(path: Path, format: FileFormat) -> Path:
    wanted = SUFFIXES[format]
    if path.suffix.lower() in wanted:
        return path
    if path.suffix.lower() in KNOWN_SUFFIXES:
        raise SettingsError(f"{path.name} ends with {path.suffix}; the format {format!r} needs {' or '.join(wanted)}.")
    return path.with_name(path.name + wanted[0])


def _encode(embedding: Embedding, format: FileFormat, suffix: str, preview: Image.Image | None, half: bool) -> bytes:
    dtype = torch.float16 if half else torch.float32
    strings = forms.metadata_strings(embedding)
    if suffix == ".safetensors":
        content_hash = safetensors_file.content_hash(forms.named_tensors(embedding))
        tensors = forms.named_tensors(embedding, dtype)
        return safetensors_file.write_safetensors(tensors, {**strings, HASH_KEY: content_hash})
    if format == "card":
        return card.write_card(embedding, preview)
    if format == "diffusers":
        return torch_file.write_torch(forms.named_tensors(embedding, dtype))
    fields = forms.a1111_fields(embedding, dtype)
    if "string_to_param" in fields:  # the form with encoders' names has no place for anything but tensors
        fields[forms.METADATA_KEY] = strings
    return torch_file.write_torch(fields)
