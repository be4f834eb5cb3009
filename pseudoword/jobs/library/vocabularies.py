"""The vocabulary that an embedding is compared with: the loaded model's, or that of a checkpoint file that fits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...diffusion import LoadedEncoders, TextEncoder
from ...errors import ModelError
from ...inspect.maps import Plane, plane_of
from ...inspect.vocabulary import Vocabulary
from ...text import BytePairTokenizer
from ..host import Host, Shelf

FAMILIES = {
    frozenset({("clip_l", 768)}): "a Stable Diffusion 1",
    frozenset({("open_clip_h", 1024)}): "a Stable Diffusion 2",
    frozenset({("clip_l", 768), ("clip_g", 1280)}): "an SDXL",
}


@dataclass(frozen=True, eq=False)
class Fitting:
    """Vocabularies by encoder with their planes, of the checkpoint `title`.

    `loaded` holds the encoders where that is the loaded one, so that they can compute.
    """

    title: str
    vocabularies: Mapping[str, Vocabulary]
    planes: Mapping[str, Plane]
    loaded: LoadedEncoders | None

    def encoder(self, name: str) -> TextEncoder | None:
        """The loaded text encoder called `name`; None where the vocabulary was read from a file alone."""
        encoders = () if self.loaded is None else self.loaded.encoders
        return next((encoder for encoder in encoders if encoder.name == name), None)


class Vocabularies:
    """Those of the models of `host`; the last one used is kept, which is 150 MB for CLIP's, 400 MB for SDXL's."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._kept: tuple[str, Fitting] | None = None

    def fitting(self, widths: Mapping[str, int]) -> Fitting:
        """Vocabularies for an embedding of these `widths` by encoder.

        Of the loaded model where that fits, else of the first checkpoint file that does. Raises ModelError where none
        does, and says what is missing.
        """
        loaded = self._host.encoders()
        with self._lock:
            if loaded is not None and _fits(widths, _widths_of(loaded)):
                return self._remembered(loaded.identity, lambda: self._of_loaded(loaded))
            shelf = self._host.shelf
            path = None if shelf is None else next((p for p in shelf.files() if _fits(widths, shelf.widths(p))), None)
            if shelf is not None and path is not None:
                return self._remembered(str(path), lambda: _of_file(shelf, path))
        raise ModelError(_missing(widths, loaded))

    def _remembered(self, identity: str, make: Callable[[], Fitting]) -> Fitting:
        if self._kept is None or self._kept[0] != identity:
            self._kept = None  # before the next is made: two of SDXL would be 800 MB
            self._kept = (identity, make())
        return self._kept[1]

    def _of_loaded(self, loaded: LoadedEncoders) -> Fitting:
        with self._host.turns:  # in which nobody loads another checkpoint into the memory that is copied
            now = self._host.encoders()
            if now is None or now.identity != loaded.identity:
                raise ModelError("Another checkpoint is being loaded; look again when it is.")
            found = {encoder.name: Vocabulary.of_encoder(encoder) for encoder in loaded.encoders}
        return Fitting(loaded.title, found, _planes(found), loaded)


def _of_file(shelf: Shelf, path: Path) -> Fitting:
    tokenizer = BytePairTokenizer.clip()  # that of all Stable Diffusion models, whatever their towers are
    vectors = shelf.read(path)
    found = {encoder: Vocabulary.of_tensor(encoder, rows, tokenizer) for encoder, rows in vectors.items()}
    return Fitting(path.name, found, _planes(found), None)


def _planes(vocabularies: Mapping[str, Vocabulary]) -> dict[str, Plane]:
    return {name: plane_of(vocabulary) for name, vocabulary in vocabularies.items()}


def _widths_of(loaded: LoadedEncoders) -> dict[str, int]:
    return {encoder.name: encoder.vocabulary.shape[1] for encoder in loaded.encoders}


def _fits(wanted: Mapping[str, int], found: Mapping[str, int]) -> bool:
    return all(found.get(encoder) == width for encoder, width in wanted.items())


def _missing(widths: Mapping[str, int], loaded: LoadedEncoders | None) -> str:
    needed = " and ".join(f"{encoder}, {width} wide" for encoder, width in widths.items())
    family = FAMILIES.get(frozenset(widths.items()))
    what = f"{family} checkpoint" if family else "the checkpoint that it was made for"
    now = "no model is loaded" if loaded is None else f"{loaded.title} has others"
    return (
        f"This embedding is for the text encoder {needed}; {now}, and no checkpoint file here has it. "
        f"Load {what} to see its nearest tokens, its lengths among the vocabulary's, and the map."
    )
