"""A library of tiny embeddings, for tests of what reads it and writes into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pseudoword.diffusion import LoadedEncoders
from pseudoword.embedding import Embedding, EmbeddingMetadata, FileFormat, save_embedding
from pseudoword.jobs.host import Host, Shelf
from pseudoword.jobs.library.inspector import Inspector
from tests.jobs.small_host import small_host
from tests.tiny_models import WIDTH

FACTS = EmbeddingMetadata(
    title="A toy", author="Ada", steps=7, clip_skip=1, recipe='{"batch": "4"}', extra={"someone.else": "kept"}
)


def rows(count: int, width: int = WIDTH, seed: int = 0) -> Tensor:
    """Vectors (count, width) about as long as CLIP's."""
    return 0.4 * torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) / width**0.5


def toy(name: str = "zonk", count: int = 3, seed: int = 0) -> Embedding:
    """A word for the tiny model, with facts."""
    return Embedding(name, {"clip_l": rows(count, seed=seed)}, FACTS)


def put(folder: Path, embedding: Embedding, format: FileFormat = "safetensors") -> Path:
    """Save a word in `folder` under its name."""
    return save_embedding(embedding, folder / embedding.name, format)


def library_host(folder: Path, **changes: Any) -> Host:
    """A host with the tiny model loaded and `folder` for its library, where new words belong, too."""
    host = small_host(folder.parent / "runs")
    loaded = LoadedEncoders("tiny", "tiny-1", "sd1", host.model().text_encoders)
    given: dict[str, Any] = {
        "encoders": lambda: loaded,
        "library": lambda: [folder],
        "word_place": lambda name: folder / f"{name}.safetensors",
    }
    return replace(host, **{**given, **changes})


def shelf_of(**files: Mapping[str, Tensor]) -> Shelf:
    """Checkpoint files by name with the vocabularies that they hold."""
    paths: Sequence[Path] = [Path(name) for name in files]
    return Shelf(
        lambda: paths,
        lambda path: {encoder: rows.shape[1] for encoder, rows in files[path.name].items()},
        lambda path: files[path.name],
    )


def library_in(folder: Path) -> Path:
    """An empty library in `folder`."""
    library = folder / "embeddings"
    library.mkdir()
    return library


def put_word(
    inspector: Inspector, name: str, vectors: Tensor | None = None, format: FileFormat = "safetensors"
) -> Path:
    """A word of two vectors, or of `vectors` (n, 32), at the path `name` in the library of `inspector`."""
    (folder,) = inspector.host.library()
    facts = EmbeddingMetadata(steps=120, trained_on="tiny")
    word = Embedding(Path(name).name, {"clip_l": rows(2) if vectors is None else vectors}, facts)
    return save_embedding(word, folder / name, format)


def without_model(host: Host, shelf: dict[Path, dict[str, Tensor]] | None = None) -> Host:
    """`host` with nothing loaded, and checkpoint files with these vocabularies."""
    if shelf is None:
        return replace(host, encoders=lambda: None)
    files = Shelf(lambda: list(shelf), lambda path: {n: v.shape[1] for n, v in shelf[path].items()}, lambda p: shelf[p])
    return replace(host, encoders=lambda: None, shelf=files)
