"""A folder of embeddings, as the WebUI has one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from pseudoword.embedding.embedding import Embedding
from pseudoword.embedding.files import (
    KNOWN_SUFFIXES,
    SUFFIXES,
    FileFormat,
    load_embedding,
    load_if_embedding,
    save_embedding,
)
from pseudoword.embedding.names import check_name
from pseudoword.errors import EmbeddingFileError

MAX_DEPTH = 100
"""Sub-folders below a folder of embeddings that are looked into; os.walk calls itself for each."""


@dataclass(frozen=True)
class _Finding:
    """What a file turned out to be, for as long as it keeps its `stamp` (time of change and size)."""

    stamp: tuple[int, int]
    name: str | None = None  # None for a picture without an embedding
    broken: str | None = None


class EmbeddingLibrary:
    """The embeddings in `folder` and its sub-folders, found by name in any case of letters.

    A word is called as its file is, and as stored inside for a picture card: the WebUI's rule, so that a word works in
    prompts by the name that is shown here. Broken files are listed in `broken` with the reason and do no harm. The
    folder is read when the library is made and by `refresh()`; a folder that doesn't exist is an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._findings: dict[Path, _Finding] = {}
        self._paths: dict[str, tuple[str, Path]] = {}
        self._broken: dict[Path, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look at the folder again; files that did not change since are not read again."""
        findings = {path: self._examine(path) for path in sorted(embedding_files(self.folder))}
        paths: dict[str, tuple[str, Path]] = {}
        broken: dict[Path, str] = {}
        for path, finding in findings.items():
            if finding.broken is not None:
                broken[path] = finding.broken
            elif finding.name is not None:
                _, first = paths.setdefault(finding.name.casefold(), (finding.name, path))
                if first is not path:
                    broken[path] = f"{path.name} has the same name as {first.name}, which is used; rename one of them."
        self._findings, self._paths, self._broken = findings, paths, broken

    @property
    def broken(self) -> Mapping[Path, str]:
        """Files that cannot be used, and why."""
        return MappingProxyType(self._broken)

    def names(self) -> list[str]:
        """All words, sorted as people sort."""
        return sorted((name for name, _ in self._paths.values()), key=str.casefold)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.casefold() in self._paths

    def path(self, name: str) -> Path:
        """The file of a word. Raises EmbeddingFileError if there is none."""
        return self._entry(name)[1]

    def load(self, name: str) -> Embedding:
        """The embedding of a word, read now, under its name here. Raises EmbeddingFileError."""
        known_as, path = self._entry(name)
        return replace(load_embedding(path), name=known_as)

    def save(
        self,
        embedding: Embedding,
        format: FileFormat = "safetensors",
        *,
        overwrite: bool = False,
        preview: Image.Image | None = None,
    ) -> Path:
        """Write `embedding` into the folder under its own name, which is checked first, and return the file's path.

        `overwrite` replaces a file of this format; a word that is elsewhere in the library never gets a double.
        Raises SettingsError and EmbeddingFileError.
        """
        name = check_name(embedding.name)
        target = self.folder / (name + SUFFIXES[format][0])
        if name in self and not (overwrite and self.path(name) == target):
            raise EmbeddingFileError(
                f"The word {name} already exists in {self.path(name).name}; choose another name or remove that file."
            )
        path = save_embedding(replace(embedding, name=name), target, format, overwrite=overwrite, preview=preview)
        self.refresh()
        return path

    def _entry(self, name: str) -> tuple[str, Path]:
        entry = self._paths.get(name.casefold())
        if entry is None:
            raise EmbeddingFileError(
                f"There is no embedding {name[:100]!a}; choose one of the {len(self)} in the library."
            )
        return entry

    def _examine(self, path: Path) -> _Finding:
        try:
            status = path.stat()
        except OSError as error:
            return _Finding((0, 0), broken=f"{path.name} cannot be opened ({error.strerror}).")
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._findings.get(path)
        if known is not None and known.stamp == stamp:
            return known
        try:
            embedding = load_if_embedding(path)
        except EmbeddingFileError as error:
            return _Finding(stamp, broken=str(error))
        if embedding is None:
            return _Finding(stamp)
        return _Finding(stamp, name=word_in(path, embedding))


def word_in(path: Path, embedding: Embedding) -> str:
    """What prompts call the word that was read from `path`: as the file is called, a picture card as it says inside."""
    return embedding.name if path.suffix.lower() == ".png" else path.stem


def embedding_files(folder: Path, on_error: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """Files that may be embeddings. Links to folders are followed, as in the WebUI, each folder once.

    A folder that cannot be read, or has more than `MAX_DEPTH` others above it, is passed over and told to `on_error`.
    """
    seen: set[str] = set()
    top = os.fspath(folder).count(os.sep)
    for root, folders, files in os.walk(folder, onerror=on_error, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if folders and root.count(os.sep) - top >= MAX_DEPTH:
            folders.clear()
            if on_error is not None:
                on_error(OSError(errno.ENAMETOOLONG, f"its folders are nested more than {MAX_DEPTH} deep", root))
        stems = {Path(file).stem for file in files if Path(file).suffix.lower() in KNOWN_SUFFIXES - {".png"}}
        for file in files:
            path = Path(root, file)
            suffix, stem = path.suffix.lower(), path.stem
            is_preview = suffix == ".png" and (stem in stems or stem.lower().endswith(".preview"))
            if suffix in KNOWN_SUFFIXES and not is_preview and not file.startswith("."):
                yield path
