"""Features of all pictures in a folder, however many: read and decoded in threads while the model encodes.

Memory does not grow with the folder, apart from the paths: only a few pictures are on their way at a time.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..cache_file import stamp_of
from ..decoding import FOREIGN_SUFFIXES, SUFFIXES, decode_picture, on_gray
from ..errors import DatasetError, SettingsError
from .clip import IMAGES_AT_ONCE, ClipScorer, Using
from .feature_cache import FeatureCache, Remembered
from .infotext import prompt_in

MAX_FILE_BYTES = 512 * 2**20  # a file is read whole, and the pixels of what is decoded are fewer bytes than that
_LOOKED_UP_AT_ONCE = 900
_GONE = "it was there when the folder was listed, and is gone now"
_LONGEST_RATIO = 20  # of a picture's sides; longer ones are rare, and can be made to fill all memory
_CONVERTED_AT_ONCE = 32_767  # numbers; for more torch wakes other threads, which takes longer than the work
_AHEAD = 2 * IMAGES_AT_ONCE  # pictures that are decoded, or waited for, while others are encoded


@dataclass(frozen=True)
class Unreadable:
    """A file or folder that could not be read, and why: half a sentence with a remedy."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Portion:
    """Some pictures in the order of their paths, with their features (N, D) of unit length, N ≥ 0.

    `prompts` are those that the files hold, "" where they hold none; `remembered` of the features were known before.
    The features are rounded to 16 bits, so that they are the same whether they were known or not.
    """

    paths: tuple[str, ...]
    features: Tensor
    prompts: tuple[str, ...]
    remembered: int
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The absolute paths of all pictures in a folder and below, and what could not be looked into or is not read."""

    paths: tuple[str, ...]
    unreadable: tuple[Unreadable, ...] = ()


def pictures_below(folder: Path) -> Listing:
    """The pictures in `folder` and below, in the order of folders and names; links to folders are not followed.

    A picture is told by its suffix. Raises SettingsError where `folder` is none.
    """
    if not folder.is_dir():
        raise SettingsError(f"{str(folder)!r} is no folder; give one with pictures in it.")
    paths, unreadable = [], []

    def note(error: OSError) -> None:
        unreadable.append(Unreadable(str(error.filename), f"it cannot be looked into ({error.strerror})"))

    for place, folders, names in os.walk(os.path.abspath(folder), onerror=note):
        folders.sort()
        start = os.path.join(place, "")
        for name in sorted(names):
            suffix = name[name.rfind(".") :].lower()  # os.path's own functions would take longer than all the rest
            if suffix in SUFFIXES:
                paths.append(start + name)
            elif suffix in FOREIGN_SUFFIXES:
                reason = f"pictures of the kind {suffix} are not read; save it as PNG or JPEG"
                unreadable.append(Unreadable(start + name, reason))
    return Listing(tuple(paths), tuple(unreadable))


def folder_features(
    paths: Iterable[str],
    scorer: ClipScorer,
    cache: FeatureCache,
    workers: int | None = None,
    at_once: int = IMAGES_AT_ONCE,
    using: Using | None = None,
) -> Generator[Portion, None, None]:
    """Features of the pictures at the absolute `paths`, in this order; `cache` is asked first, and told what is new.

    A picture that cannot be read is named in its portion, and the others go on. `workers` is the number of threads
    that decode, by default as many as there are processors; at most `at_once` of the pictures that are not known are
    in a portion. Only they are encoded within `using()`, where the model is lent to others meanwhile.
    """
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="decoding")
    try:
        line = _Line(scorer.preprocess, using or scorer.alone, cache, at_once)
        remaining = iter(paths)
        while some := list(islice(remaining, _LOOKED_UP_AT_ONCE)):
            stamps, problems = _stamps(some)
            known = cache.of_files(some, stamps)
            if None not in known and not line.waiting:
                yield _portion_of(some, [one for one in known if one])
                continue
            for path, one in zip(some, known, strict=True):
                line.add(path, problems.get(path) or one or pool.submit(_read, path, line))
                if line.is_full:
                    yield line.take()
        while line.waiting:
            yield line.take()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _Read:
    """What a thread made of a file: its feature, where its content is known, or else its pixels (3, H, W)."""

    content: bytes
    prompt: str
    stamp: str
    changed_at: float
    found: Remembered | Tensor


_Waiting = tuple[str, "str | Remembered | Future[_Read]"]


@dataclass
class _Line:
    """The pictures on their way, in order: those that are known, are being read, or cannot be read, with the reason."""

    preprocess: Callable[[Image.Image], Tensor]
    using: Using
    cache: FeatureCache
    at_once: int
    waiting: deque[_Waiting] = field(default_factory=deque)
    read_ahead: int = 0
    is_first: bool = True

    def add(self, path: str, found: str | Remembered | Future[_Read]) -> None:
        """Put a picture at the end."""
        self.waiting.append((path, found))
        self.read_ahead += isinstance(found, Future)

    @property
    def is_full(self) -> bool:
        """Whether some must be taken before more are added."""
        return self.read_ahead >= _AHEAD or len(self.waiting) >= 2 * _LOOKED_UP_AT_ONCE

    def take(self) -> Portion:
        """The first pictures of the line, as many as are encoded at once, or a lookup's worth of known ones."""
        paths: list[str] = []
        prompts: list[str] = []
        features: list[bytes] = []
        unreadable: list[Unreadable] = []
        new: list[tuple[int, _Read]] = []  # places among `features`, and what is to be encoded for them
        remembered = 0
        # The encoder idles until the first are decoded: so these are fewer.
        most, self.is_first = (max(self.at_once // 4, 1) if self.is_first else self.at_once), False
        while self.waiting and len(new) < most and len(paths) < _LOOKED_UP_AT_ONCE:
            path, found = self.waiting.popleft()
            if isinstance(found, Future):
                self.read_ahead -= 1
                try:
                    read = found.result()
                except DatasetError as problem:
                    found = str(problem)
                else:
                    if isinstance(read.found, Remembered):
                        found = read.found
                        self.cache.put(read.content, found, path, read.stamp, read.changed_at)
                    else:
                        new.append((len(paths), read))
                        found = Remembered(b"", read.prompt)
            if isinstance(found, str):
                unreadable.append(Unreadable(path, found))
                continue
            remembered += bool(found.feature)
            paths.append(path)
            prompts.append(found.prompt)
            features.append(found.feature)
        for (place, read), feature in zip(new, self._encoded([read for _, read in new]), strict=True):
            features[place] = feature
            self.cache.put(read.content, Remembered(feature, read.prompt), paths[place], read.stamp, read.changed_at)
        self.cache.settle()
        return Portion(tuple(paths), features_of(features), tuple(prompts), remembered, tuple(unreadable))

    def _encoded(self, reads: Sequence[_Read]) -> list[bytes]:
        if not reads:
            return []
        pixels = torch.stack([read.found for read in reads if isinstance(read.found, Tensor)])
        with self.using() as scorer:
            return as_bytes(scorer.features_of_pixels(pixels))


def as_bytes(features: Tensor) -> list[bytes]:
    """Each of `features` (N, D) as the cache holds it."""
    return [row.tobytes() for row in features.half().numpy()]


def features_of(rows: Sequence[bytes]) -> Tensor:
    """Features (N, D) of unit length from those that the cache holds."""
    if not rows:
        return torch.zeros(0, 0)
    halves = torch.frombuffer(bytearray().join(rows), dtype=torch.float16).reshape(len(rows), -1)
    features = torch.empty(halves.shape)
    at_once = max(_CONVERTED_AT_ONCE // halves.shape[1], 1)
    for part, place in zip(halves.split(at_once), features.split(at_once), strict=True):
        place.copy_(part)  # in a tenth of NumPy's time
    return features


def _portion_of(paths: Sequence[str], known: Sequence[Remembered]) -> Portion:
    """A portion of `paths`, all of which are `known`."""
    features, prompts = zip(*known, strict=True)
    return Portion(tuple(paths), features_of(features), prompts, len(known))


def _stamps(paths: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Size and time of each file as `stamp_of` has them; of what is no file why, and the stamp ""."""
    stamps, problems = [], {}
    for path in paths:
        try:
            status = os.stat(path)
            stamp = stamp_of(status)
            if not stat.S_ISREG(status.st_mode):
                stamp, problems[path] = "", "it is no file, but a folder, a pipe or a device"
        except FileNotFoundError:
            stamp, problems[path] = "", _GONE
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            stamp, problems[path] = "", f"it cannot be read ({reason}); check that you may"
        stamps.append(stamp)
    return stamps, problems


def _read(path: str, line: _Line) -> _Read:
    """Read, and where it is not known by its content decode, one picture. Raises DatasetError with the reason."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size > MAX_FILE_BYTES:
                raise DatasetError(f"it has more than {MAX_FILE_BYTES // 2**20} MB; make it smaller")
            data = file.read()
    except FileNotFoundError as problem:
        raise DatasetError(_GONE) from problem
    except OSError as problem:
        raise DatasetError(f"it cannot be read ({problem.strerror}); check that you may") from problem
    except MemoryError as problem:
        raise DatasetError("there is too little memory to read it; make it smaller") from problem
    content = hashlib.sha256(data).digest()
    known = line.cache.of_content(content)
    if known is not None:
        return _Read(content, known.prompt, stamp_of(status), status.st_mtime, known)
    pixels = line.preprocess(middle_of(on_gray(decode_picture(io.BytesIO(data)))))
    return _Read(content, prompt_in(data), stamp_of(status), status.st_mtime, pixels)


def middle_of(picture: Image.Image) -> Image.Image:
    """The middle of a picture that is very long: open_clip would enlarge all of it before it cuts out a square."""
    longest = _LONGEST_RATIO * min(picture.size)
    left, top = (max(side - longest, 0) // 2 for side in picture.size)
    return picture.crop((left, top, picture.width - left, picture.height - top)) if left or top else picture
