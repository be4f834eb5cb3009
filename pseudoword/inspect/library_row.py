"""One row of the library's table: what a file of embeddings is, and where it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..diffusion import Architecture
from ..embedding import Embedding
from ..embedding.files import load_if_embedding, read_limited
from ..embedding.library import word_in
from ..embedding.metadata import encodable
from ..embedding.safetensors_file import tensor_bytes
from ..errors import EmbeddingFileError
from .library_content import FileKind, content_of

SHORT_HASH_DIGITS = 12  # as in A1111's "TI hashes"
MAX_TEXT_LENGTH = 200  # characters kept of what a file says of its checkpoint: files may say megabytes
SIGNATURE_NUMBERS = 2048  # as many as SDXL has; of wider ones, which no known model has, the first count

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class ModelShape:
    """What an embedding must be made for: `width` is that of all text encoders together, as in A1111 (SDXL: 2048)."""

    architecture: Architecture
    width: int


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What the content of one file says; its vectors are not kept.

    `problem` is a sentence why the file cannot be used, empty for a sound one; the vectors' facts are None or empty
    then. `widths` are the encoders and the width of their vectors. `mean_norm` and `largest_norm` are lengths (L2) over
    the vectors of all encoders. `short_hash` is of the whole file and empty where it was not read. `fingerprint` is
    equal for equal vectors in whatever format. `signature` holds the direction of the mean vector, float16,
    little-endian, at most `SIGNATURE_NUMBERS`; for SDXL those of both encoders, each of the same weight.
    """

    name: str
    problem: str = ""
    kind: FileKind = "unknown"
    pickle: bool = False
    unsafe_pickle: bool = False
    short_hash: str = ""
    architecture: Architecture | None = None
    vector_count: int | None = None
    widths: tuple[tuple[str, int], ...] = ()
    mean_norm: float | None = None
    largest_norm: float | None = None
    steps: int | None = None
    trained_on: str = ""
    clip_skip: int | None = None
    fingerprint: str = ""
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True)
class LibraryRow(FileFacts):
    """One file in the table.

    `folder` is the one that was asked for, `path` lies in it, with / between its parts; both are for showing, and have
    � for halves of characters. `file` opens it. `preview` is the picture that the WebUI shows for it. `size_bytes` and
    `changed_ns` (since 1970, UTC) are None where the file cannot be asked. Rows with the same vectors have the same
    `group`, "exact" as `duplicate` if another one has them to the bit, "near" if nearly.
    """

    folder: str
    path: str
    file: Path
    preview: Path | None = None
    size_bytes: int | None = None
    changed_ns: int | None = None
    group: int | None = None
    duplicate: Literal["exact", "near"] | None = None

    @property
    def changed(self) -> str:
        """When the file was last written, ISO 8601 in UTC; empty if unknown or beyond all calendars."""
        if self.changed_ns is None:
            return ""
        try:
            moment = _EPOCH + timedelta(seconds=self.changed_ns // 10**9)
        except OverflowError:
            return ""
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def fits(self, model: ModelShape) -> bool:
        """Whether prompts for `model` can say this word."""
        return self.architecture == model.architecture and sum(width for _, width in self.widths) == model.width


@dataclass(frozen=True)
class Reading:
    """What reading a file brought: `facts` are None for a picture without an embedding.

    Not `lasting` is what may be different next time although the file did not change, such as a lack of permission.
    """

    facts: FileFacts | None
    lasting: bool = True


def read_facts(path: Path) -> Reading:
    """Read the file at `path`. What is no file, or too large for an embedding, is not opened; nothing is executed."""
    try:
        data = read_limited(path)
    except EmbeddingFileError:
        data = b""
    content = content_of(data)
    facts = FileFacts(
        name=encodable(path.stem),
        kind=content.kind,
        pickle=content.pickle,
        unsafe_pickle=content.unsafe_pickle,
        short_hash=hashlib.sha256(data).hexdigest()[:SHORT_HASH_DIGITS] if data else "",
    )
    lasting = bool(data)  # otherwise it is empty, cannot be opened, or is too large: soon found out again
    del data  # it is read a second time below, and may have 64 MB
    try:
        embedding = load_if_embedding(path)
    except EmbeddingFileError as error:
        return Reading(replace(facts, problem=encodable(str(error))), lasting)
    return Reading(None if embedding is None else _with_embedding(facts, path, embedding), lasting)


def _with_embedding(facts: FileFacts, path: Path, embedding: Embedding) -> FileFacts:
    vectors = {encoder: tensor.numpy() for encoder, tensor in sorted(embedding.vectors.items())}  # (n, D) each
    # float64: squares of large float32 are infinite, those of small ones 0
    norms = np.concatenate([np.linalg.norm(table.astype(np.float64), axis=1) for table in vectors.values()])
    metadata = embedding.metadata
    return replace(
        facts,
        name=encodable(word_in(path, embedding)),
        architecture=embedding.architecture,
        vector_count=embedding.vector_count,
        widths=tuple((encoder, table.shape[1]) for encoder, table in vectors.items()),
        mean_norm=float(norms.mean()),
        largest_norm=float(norms.max()),
        steps=metadata.steps,
        trained_on=_cut(encodable(metadata.trained_on)),
        clip_skip=metadata.clip_skip,
        fingerprint=_fingerprint(embedding.vectors),
        signature=_signature(list(vectors.values())),
    )


def _fingerprint(vectors: Mapping[str, Tensor]) -> str:
    shapes = [(encoder, tuple(tensor.shape)) for encoder, tensor in sorted(vectors.items())]
    numbers = tensor_bytes(dict(sorted(vectors.items())))
    return hashlib.sha256(repr(shapes).encode() + numbers).hexdigest()[:32]


def _signature(tables: Sequence[npt.NDArray[np.float32]]) -> bytes:
    """Directions of the mean vectors of all encoders; their product with another's is the mean of the cosines."""
    means = [table.mean(axis=0, dtype=np.float64) for table in tables]  # (D,) each
    directions = [mean / (np.linalg.norm(mean) or 1.0) / len(means) ** 0.5 for mean in means]
    return np.concatenate(directions)[:SIGNATURE_NUMBERS].astype("<f2").tobytes()


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH - 1] + "…"
