"""The training pictures: found, looked at one by one, and those that cannot be used named with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ..decoding import FOREIGN_SUFFIXES, SUFFIXES, Decoded, decode_picture, load_picture
from ..errors import DatasetError
from .captions import filewords_of, load_templates

if TYPE_CHECKING:
    from .settings import TrainSettings

MIN_SIDE = 16  # pixels; below that there is nothing to see, whatever the model
MAX_ENLARGEMENT = 4  # times; beyond, a model learns the blur
SMALL_SIDE = 768  # pixels; CLIP looks at 224 to 384
REASONS_SHOWN = 5


@dataclass(frozen=True)
class Picture:
    """One usable picture; `width` and `height` in pixels, upright; `filewords` is what [filewords] stands for at it."""

    path: Path
    width: int
    height: int
    filewords: str

    def too_small_for(self, size: int) -> Skipped | None:
        """Why a training at `size` pixels would pass over it, None where it would not."""
        least = max(MIN_SIDE, -(-size // MAX_ENLARGEMENT))
        if min(self.width, self.height) >= least:
            return None
        return Skipped(
            self.path,
            f"it has {self.width} × {self.height} pixels, and training at {size} needs {least} on each side; "
            "give a larger picture",
        )

    def load(self) -> Image.Image:
        """The picture as a person sees it, mode RGB, with gray where it is transparent. Raises DatasetError."""
        try:
            return load_picture(self.path)
        except DatasetError as problem:
            raise DatasetError(f"{self.path.name} can no longer be used: {problem}.") from problem

    def load_small(self) -> Image.Image:
        """As `load`, but with at most 768 pixels along its longer side: enough to look at it, and for CLIP."""
        picture = self.load()
        picture.thumbnail((SMALL_SIDE, SMALL_SIDE), Image.Resampling.LANCZOS)
        return picture


@dataclass(frozen=True)
class Skipped:
    """A file that cannot be used, and why, in words that go on from "it was skipped:"."""

    path: Path
    reason: str


@dataclass(frozen=True)
class PictureSet:
    """What was found: the usable `pictures` in a fixed order, and those `skipped`."""

    pictures: tuple[Picture, ...]
    skipped: tuple[Skipped, ...]

    def without(self, more: Iterable[Skipped]) -> PictureSet:
        """The set after `more` of its pictures turned out unusable. Raises DatasetError if none is left."""
        skipped = self.skipped + tuple(more)
        gone = {skip.path for skip in skipped}
        left = tuple(picture for picture in self.pictures if picture.path not in gone)
        if not left:
            raise _nothing_usable(skipped)
        return replace(self, pictures=left, skipped=skipped)

    def large_enough(self, size: int) -> PictureSet:
        """The set without pictures that would have to be enlarged more than four times for training at `size` pixels.

        Raises DatasetError if none is left.
        """
        return self.without(skip for picture in self.pictures if (skip := picture.too_small_for(size)))


def find_pictures(source: Path | Sequence[Path], settings: TrainSettings) -> PictureSet:
    """The usable pictures at `source`: a folder (not its sub-folders), a file, or several of both.

    Every picture is decoded once, so that nothing is wrong with it later. Those of a folder come in the order of their
    names; a picture that was there before, pixel for pixel, is skipped. Raises DatasetError if a path
    does not exist, if no picture is usable, or if the template file is not.
    """
    load_templates(settings.templates)
    paths = files_at(source)
    pictures: list[Picture] = []
    skipped: list[Skipped] = []
    seen: dict[bytes, Path] = {}
    for path in paths:
        try:
            pictures.append(look_at(path, settings, seen))
        except DatasetError as problem:
            skipped.append(Skipped(path, str(problem).rstrip(".")))
    found = PictureSet(tuple(pictures), ()).without(skipped)
    return found if settings.size is None else found.large_enough(settings.size)


def files_at(source: Path | Sequence[Path]) -> list[Path]:
    """The files at `source` that should be pictures, see `find_pictures`; none is opened. Raises DatasetError."""
    sources = [Path(source)] if isinstance(source, (str, Path)) else [Path(path) for path in source]
    return list(dict.fromkeys(path for place in sources for path in _candidates(place)))


def files_without(source: Path | Sequence[Path], left_out: Collection[Path]) -> list[Path]:
    """Those of `files_at` that are not `left_out`.

    Raises DatasetError, also where none remains, and for a path that is none of them.
    """
    found = files_at(source)
    for path in left_out:
        if path not in found:
            raise DatasetError(
                f"There is no picture called {path.name!r} to leave out; give the name of a file there, or check the "
                "pictures again."
            )
    left = [path for path in found if path not in left_out]
    if not any(path.suffix.lower() in SUFFIXES for path in left):
        raise DatasetError("All pictures are left out; take some of them back, or give others.")
    return left


def _candidates(source: Path) -> Iterator[Path]:
    """The files at `source` that should be pictures: what was named itself, or in a folder what is called like one."""
    try:
        source = source.expanduser()
        exists = source.exists()
    except (OSError, RuntimeError, ValueError) as problem:  # a name too long, a `~nobody`, a null character
        reason = getattr(problem, "strerror", None) or problem
        raise DatasetError(
            f"{str(source)!r} cannot be looked at ({reason}); give a folder of pictures or picture files."
        ) from problem
    if not exists:
        raise DatasetError(f"{str(source)!r} does not exist; give a folder of pictures or picture files.")
    if not source.is_dir():
        if not source.is_file():
            raise DatasetError(
                f"{str(source)!r} is neither a file nor a folder; give a folder of pictures or picture files."
            )
        yield source
        return
    try:
        entries = sorted(source.iterdir(), key=lambda path: (path.name.casefold(), path.name))
    except OSError as problem:
        raise DatasetError(
            f"The folder {str(source)!r} cannot be read ({problem.strerror}); check that you may."
        ) from problem
    files = [path for path in entries if not path.name.startswith(".") and path.is_file()]
    found = [path for path in files if path.suffix.lower() in SUFFIXES | FOREIGN_SUFFIXES]
    if not found:
        raise DatasetError(_no_pictures(source, files, entries))
    yield from found


def _no_pictures(source: Path, files: Sequence[Path], entries: Sequence[Path]) -> str:
    folders = [path.name for path in entries if path.is_dir() and not path.name.startswith(".")]
    if not files and not folders:
        return f"The folder {str(source)!r} is empty; put pictures into it, 3 to 10 are a good start."
    has = [f"{len(files)} other files"] if files else []
    if folders:
        has.append(f"the sub-folder {folders[0]!r}" if len(folders) == 1 else f"{len(folders)} sub-folders")
    remedy = (
        f"give {str(source / folders[0])!r} if they are in there"
        if folders
        else "give PNG, JPEG, WEBP, BMP, GIF or TIFF files"
    )
    return f"The folder {str(source)!r} holds no picture, only {' and '.join(has)}; {remedy}."


def look_at(path: Path, settings: TrainSettings, seen: dict[bytes, Path]) -> Picture:
    """The picture at `path`, noted in `seen` by its pixels. Raises DatasetError with the reason it is unusable."""
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        raise DatasetError(f"{path.suffix} files are not read; save it as PNG or JPEG")
    decoded = decode_picture(path)
    width, height = decoded.rgb.size
    if min(width, height) < MIN_SIDE:
        raise DatasetError(f"it has only {width} × {height} pixels; give a larger picture")
    if decoded.alpha is not None and decoded.alpha.getextrema()[1] == 0:
        raise DatasetError("it is transparent all over; give a picture that shows something")
    filewords = filewords_of(path, settings)  # first: a picture whose caption is bad does not stand for its copies
    earlier = seen.setdefault(_fingerprint(decoded), path)
    if earlier != path:
        raise DatasetError(f"it is the same picture as {earlier.name}; remove one of them")
    return Picture(path, width, height, filewords)


def _fingerprint(decoded: Decoded) -> bytes:
    digest = hashlib.sha256(repr(decoded.rgb.size).encode())
    digest.update(decoded.rgb.tobytes())
    if decoded.alpha is not None:
        digest.update(decoded.alpha.tobytes())
    return digest.digest()


def _nothing_usable(skipped: Sequence[Skipped]) -> DatasetError:
    if not skipped:
        return DatasetError("No picture was given; give a folder of pictures or picture files.")
    reasons = [f"{skip.path.name}: {skip.reason}" for skip in skipped[:REASONS_SHOWN]]
    more = f"; and {len(skipped) - REASONS_SHOWN} more" if len(skipped) > REASONS_SHOWN else ""
    none = (
        "The only picture cannot be used" if len(skipped) == 1 else f"None of the {len(skipped)} pictures can be used"
    )
    return DatasetError(f"{none}: {'; '.join(reasons)}{more}.")
