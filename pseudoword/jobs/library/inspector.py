"""What the inspector knows of a host: its library, the word that is looked at, and the model it is compared with."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ...embedding import Embedding, load_embedding
from ...errors import EmbeddingFileError, ModelError, SettingsError
from ...inspect.figures import Relations, WordFigures, figures_of, relations_of, widths_of
from ...inspect.health import Finding, findings_of
from ...inspect.layers import LayerFigures, layer_figures
from ...inspect.library_related import related_rows
from ...inspect.library_row import LibraryRow, ModelShape
from ...inspect.library_table import LibraryTable
from ...inspect.maps import WordMap, word_map
from ..host import Host
from ..job_board import JobBoard
from ..server.folders import check_may_name, named_folder
from ..strips.strips import Strips
from .library_reader import LibraryReader
from .vocabularies import Fitting, Vocabularies

MOST_FOLDERS = 8  # besides the library, whose tables are kept
MOST_WORDS = 16  # whose figures are kept
NEAREST_TOKENS, NEAREST_WORDS = 10, 12


@dataclass(frozen=True, eq=False)
class Examined:
    """All that is known of the word in `row`.

    `fitting` is what it was compared with; where there is nothing, `missing` says why, and there are neither `figures`
    nor `findings`. `others` are the nearest other words, which `relations` has figures of.
    """

    row: LibraryRow
    embedding: Embedding
    fitting: Fitting | None
    missing: str
    figures: WordFigures | None
    findings: tuple[Finding, ...]
    relations: Relations
    others: tuple[tuple[str, Embedding], ...]

    def map_for(self, encoder: str) -> WordMap:
        """The word's map for a text encoder. Raises ModelError without a vocabulary, SettingsError without encoder."""
        if self.figures is None or self.fitting is None:
            raise ModelError(self.missing)
        if encoder not in self.figures.encoders:
            known = ", ".join(self.figures.encoders)
            raise SettingsError(f"The embedding has no vectors for {encoder[:40]!r}; it has {known}.")
        found, vocabulary = self.figures.encoders[encoder], self.fitting.vocabularies[encoder]
        return word_map(self.embedding, found, vocabulary, self.fitting.planes[encoder], self.others)


class Inspector:
    """Looks into the embeddings of `host`. What takes long is a job on `board`, where there is one."""

    def __init__(self, host: Host, board: JobBoard | None = None) -> None:
        self.host = host
        self.strips = Strips(host, board)
        self.vocabularies = Vocabularies(host)
        self._library = LibraryReader(host.library, host.library_cache)
        self._folders: OrderedDict[Path, LibraryReader] = OrderedDict()
        self._examined: OrderedDict[object, Examined] = OrderedDict()
        self._lock = threading.Lock()

    def reader(self, folder: str = "") -> LibraryReader:
        """What reads `folder` of this computer, or without one the library.

        Raises SettingsError for a folder that is not there, or that nobody may name here.
        """
        if not folder.strip():
            return self._library
        check_may_name(self.host, Path(folder.strip()), self.host.library())
        path = named_folder(folder, "embeddings").resolve()
        with self._lock:
            reader = self._folders.pop(path, None) or LibraryReader(lambda: [path], self.host.library_cache)
            self._folders[path] = reader
            while len(self._folders) > MOST_FOLDERS:
                self._folders.popitem(last=False)
        return reader

    def labelled(self, folder: str = "") -> dict[str, LibraryRow]:
        """The rows of the library, or of a folder, by what tells them apart: their paths in it, or whole ones."""
        return labelled(self.reader(folder).table(), whole=bool(folder.strip()))

    def labels(self, folder: str = "") -> list[str]:
        """The embeddings that can be looked at, in alphabetical order; none before they have been read.

        Pages are built with it, and nobody wants to wait for a thousand files then.
        """
        known = labelled(self.reader(folder).watch().table, whole=bool(folder.strip()))
        sound = (label for label, row in known.items() if not row.problem)
        return sorted(sound, key=lambda label: (label.casefold(), label))

    def row(self, label: str) -> LibraryRow:
        """The file called `label`. Raises SettingsError where it is in no table that was read."""
        for reader in self._readers():
            is_library = reader is self._library
            found = labelled(reader.table(), whole=not is_library).get(label)
            if found is not None:
                if not is_library:  # a link may lead out of the folder that was named
                    for file in (found.file, found.preview):
                        if file is not None:
                            check_may_name(self.host, file, self.host.library())
                return found
        raise SettingsError(f"There is no embedding {label[:100]!r} here; read the library again and choose one.")

    def load(self, label: str) -> Embedding:
        """The embedding called `label`, read now, named as prompts call it. Raises PseudowordError."""
        return embedding_of(self.row(label))

    def names(self) -> list[str]:
        """What prompts and expressions can say; of two of a name the first. None before they have been read, too."""
        return list(by_name(self._library.watch().table))

    def words(self) -> WordsOfLibrary:
        """The words of the library for expressions."""
        return WordsOfLibrary(by_name(self._library.table()))

    def counts(self) -> dict[str, int]:
        """How many vectors each word of the library has."""
        return {name: row.vector_count or 1 for name, row in self.words().rows.items()}

    def shape(self) -> ModelShape | None:
        """What embeddings must be made for to fit the loaded model; None without one."""
        loaded = self.host.encoders()
        if loaded is None:
            return None
        return ModelShape(loaded.architecture, sum(encoder.vocabulary.shape[1] for encoder in loaded.encoders))

    def examine(self, label: str) -> Examined:
        """Everything about the embedding called `label`. Raises PseudowordError where it cannot be read."""
        row = self.row(label)
        tables = (reader.table() for reader in self._readers())
        table = next(table for table in tables if any(other.file == row.file for other in table.rows))
        try:
            status = row.file.stat()
        except OSError as problem:
            raise EmbeddingFileError(f"{row.file.name} is gone ({problem.strerror}); read the library again.") from None
        loaded = self.host.encoders()
        key = (row.file, status.st_mtime_ns, status.st_size, id(table), None if loaded is None else loaded.identity)
        with self._lock:
            known = self._examined.get(key)
        if known is None:
            known = self._examine(row, table)
            with self._lock:
                self._examined[key] = known
                while len(self._examined) > MOST_WORDS:
                    self._examined.popitem(last=False)
        return known

    def layers(self, examined: Examined, encoder: str) -> LayerFigures:
        """What becomes of the word in the layers of a text encoder. Raises ModelError where that is not loaded."""
        tower = None if examined.fitting is None else examined.fitting.encoder(encoder)
        if tower is None:
            raise ModelError(
                examined.missing
                or "What the layers make of a word needs its model loaded, not only its vocabulary; "
                f"load {examined.fitting.title if examined.fitting else 'it'}."
            )
        with self.using_model():
            return layer_figures(tower, examined.embedding)

    @contextmanager
    def using_model(self) -> Iterator[None]:
        """A turn at the loaded model, without traces of other people's generations where it is fit for that."""
        with self.host.turns, ExitStack() as stack:
            with suppress(ModelError):  # one that cannot be trained on is used as it is
                stack.enter_context(self.host.model().borrowed())
            yield

    def _examine(self, row: LibraryRow, table: LibraryTable) -> Examined:
        embedding = embedding_of(row)
        others = []
        for other in related_rows(row, table.rows, NEAREST_WORDS):
            with suppress(EmbeddingFileError):  # it changed since the table was read
                others.append((other.name, load_embedding(other.file)))
        relations = relations_of(embedding, others)
        try:
            fitting = self.vocabularies.fitting(widths_of(embedding))
            figures = figures_of(embedding, fitting.vocabularies.values(), NEAREST_TOKENS, with_specials=False)
        except ModelError as problem:
            return Examined(row, embedding, None, str(problem), None, (), relations, tuple(others))
        return Examined(row, embedding, fitting, "", figures, findings_of(figures), relations, tuple(others))

    def _readers(self) -> list[LibraryReader]:
        """What reads the library, and then every folder that was named."""
        with self._lock:
            return [self._library, *self._folders.values()]


@dataclass(frozen=True)
class WordsOfLibrary:
    """Rows by the name of their word, as the `WordSource` of expressions."""

    rows: dict[str, LibraryRow]

    def names(self) -> Sequence[str]:
        """All words."""
        return list(self.rows)

    def load(self, name: str) -> Embedding:
        """The embedding called `name`, one of `names()`. Raises EmbeddingFileError."""
        return embedding_of(self.rows[name])


def embedding_of(row: LibraryRow) -> Embedding:
    """The embedding in the file of `row`, read now, named as prompts call it. Raises EmbeddingFileError."""
    return replace(load_embedding(row.file), name=row.name)


def by_name(table: LibraryTable) -> dict[str, LibraryRow]:
    """The sound rows of `table` by the name of their word; of two of a name the first."""
    rows: dict[str, LibraryRow] = {}
    for row in table.rows:
        if not row.problem:
            rows.setdefault(row.name, row)
    return rows


def labelled(table: LibraryTable, *, whole: bool) -> dict[str, LibraryRow]:
    """The rows of `table` by their paths, `whole` or in their folder; a number where two are called alike."""
    rows: dict[str, LibraryRow] = {}
    for row in table.rows:
        label = name = str(row.file) if whole else row.path
        number = 1
        while label in rows:
            number += 1
            label = f"{name} ({number})"
        rows[label] = row
    return rows
