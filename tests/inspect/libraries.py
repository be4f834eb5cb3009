"""Folders of embeddings for the tests of the library's table."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from torch import Tensor

from pseudoword.embedding import Embedding, EmbeddingMetadata, FileFormat, save_embedding
from pseudoword.embedding.safetensors_file import write_safetensors
from pseudoword.inspect import library_row, library_table
from pseudoword.inspect.library_row import LibraryRow, Reading
from pseudoword.inspect.library_table import LibraryTable
from tests.embedding import words


def word(folder: Path, name: str, vectors: Tensor, format: FileFormat = "safetensors") -> Path:
    """A word of the SD 1 family without any facts."""
    return save_embedding(Embedding(name, {"clip_l": vectors}, EmbeddingMetadata()), folder / name, format)


def many_words(folder: Path, count: int) -> None:
    """`count` different words, quickly written and an hour old."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        data = write_safetensors({"w": words.vectors(1, 16, seed=index)}, {})
        (folder / f"word-{index:04}.safetensors").write_bytes(data)
    age(folder)


def age(folder: Path) -> None:
    """Make every file in `folder` an hour old: what changed within the last two seconds is not remembered."""
    then = time.time() - 3600
    for root, _, files in os.walk(folder):
        for file in files:
            if os.path.isfile(os.path.join(root, file)):
                os.utime(os.path.join(root, file), (then, then))


def by_path(table: LibraryTable) -> dict[str, LibraryRow]:
    """The rows by their shown path."""
    return {row.path: row for row in table.rows}


def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list to which the name of each file is added whose content is read from now on."""
    names: list[str] = []
    real = library_row.read_facts

    def noted(path: Path) -> Reading:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(library_table, "read_facts", noted)
    return names


def remembered(cache: Path) -> list[str]:
    """Names of the files that the cache knows."""
    with closing(sqlite3.connect(cache)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return sorted(os.path.basename(os.fsdecode(path)) for (path,) in connection.execute("SELECT path FROM files"))
