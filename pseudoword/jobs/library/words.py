"""The words that prompts may use: where their files are, and the vectors of those that a prompt says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...diffusion import Tokenizer
from ...embedding import Embedding, EmbeddingLibrary, load_embedding
from ...errors import EmbeddingFileError, SettingsError
from ...text.chunks import chunk_prompt
from ...training.run_folder import RunFolder

RUNS = Path("runs")


@dataclass(frozen=True)
class TrainedWord:
    """A word and the file that holds its vectors."""

    name: str
    path: Path

    def load(self) -> Embedding:
        """Its vectors and metadata. Raises EmbeddingFileError."""
        return load_embedding(self.path)

    @property
    def short_hash(self) -> str:
        """The first 12 digits of the file's SHA-256, as in A1111's "TI hashes"."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]


def trained_words(runs: Path = RUNS) -> list[TrainedWord]:
    """The words that `train` left in `runs`, one folder each: `runs/WORD/WORD.safetensors`."""
    paths = list[str]()  # not yet as Path, of which thousands take a second
    with suppress(OSError), os.scandir(runs) as folders:
        for folder in folders:
            with suppress(OSError), os.scandir(folder) as entries:  # a file, or a run that is removed just now
                paths += [entry.path for entry in entries if entry.name.endswith(".safetensors")]
    found = [Path(path) for path in sorted(paths, key=lambda path: path.split(os.sep))]
    return [TrainedWord(path.stem, path) for path in found if path.name != "checkpoint.safetensors"]


def words_at(places: Sequence[Path]) -> list[TrainedWord]:
    """The words in `places`, each a file or a folder. Of two with the same name the first is used.

    Broken files of a folder with sound ones are words, too: a prompt that says one gets the reason from `load`.
    Raises EmbeddingFileError for a place that does not exist, a file that is no embedding, and a folder without any.
    """
    found: list[TrainedWord] = []
    for place in places:
        if place.is_dir():
            found += _words_in_folder(place)
        elif place.exists():
            name = load_embedding(place).name if place.suffix.lower() == ".png" else place.stem
            found.append(TrainedWord(name, place))
        else:
            raise EmbeddingFileError(f"{str(place)!r} does not exist; give an embedding file or a folder of them.")
    return found


def _words_in_folder(folder: Path) -> list[TrainedWord]:
    library = EmbeddingLibrary(folder)
    if not len(library):
        reasons = "; ".join(library.broken.values())
        raise EmbeddingFileError(f"The folder {str(folder)!r} holds no embedding{': ' + reasons if reasons else ''}.")
    words = [TrainedWord(name, library.path(name)) for name in library]
    # A picture is called as it says inside, and a broken one says nothing.
    return words + [TrainedWord(path.stem, path) for path in library.broken if path.suffix.lower() != ".png"]


def words_said(prompts: Sequence[str], words: Sequence[TrainedWord], tokenizer: Tokenizer) -> list[TrainedWord]:
    """Those of `words` that `prompts` say, in the order of `words`."""
    by_name: dict[str, TrainedWord] = {}
    for word in words:
        by_name.setdefault(word.name.casefold(), word)
    counts = {word.name: 1 for word in by_name.values()}
    chunks = [chunk for prompt in prompts for chunk in chunk_prompt(prompt, tokenizer, counts)]
    said = {name for chunk in chunks for _, name, _ in chunk.word_vectors}
    return [word for word in by_name.values() if word.name in said]


def clip_skip_of(embeddings: Sequence[Embedding]) -> int | None:
    """The layer that all `embeddings` were trained with; None where they differ or do not say."""
    layers = {embedding.metadata.clip_skip for embedding in embeddings}
    return layers.pop() if len(layers) == 1 else None


def check_is_free(name: str, files: RunFolder, runs: Path = RUNS) -> None:
    """Raise SettingsError where a word called `name` is in another folder of `runs`, or in this one without its run.

    Prompts could mean only one of two, and a word whose run is not there would be lost.
    """
    own = files.path / f"{name}.safetensors"
    if own.exists() and not files.checkpoint.exists():
        raise SettingsError(
            f"There is a word {name!r} already, in {own}, without the run that made it; "
            "choose another name, or remove that file."
        )
    for word in trained_words(runs):
        if word.name.casefold() == name.casefold() and word.path.parent.resolve() != files.path.resolve():
            raise SettingsError(
                f"There is a word {name!r} already, in {word.path}; choose another name, delete the folder "
                f"{word.path.parent}, or train in it, with --restart to learn the word anew."
            )
