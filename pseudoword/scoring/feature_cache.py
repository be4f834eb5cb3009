"""Features of pictures and texts, remembered in one SQLite file: what was encoded once is never encoded again.

A feature is found by what a picture is, the SHA-256 of its bytes, and by the model it is of; so it is known again
wherever the file is moved to, and features of two models never meet. Where path, size and time of a file are those of
the last look, not even its bytes are read.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from zlib import crc32

from ..cache_file import CacheFile, CacheFormat

CACHE_VERSION = 1
"""To be raised when pictures are decoded, or their prompts read, in another way."""

# Names of files may hold halves of characters, which no TEXT can.
_PICTURES = "CREATE TABLE pictures (path BLOB PRIMARY KEY, stamp TEXT NOT NULL, content BLOB NOT NULL) WITHOUT ROWID"
_FEATURES = (
    "CREATE TABLE features (content BLOB NOT NULL, model BLOB NOT NULL, feature BLOB NOT NULL, prompt BLOB NOT NULL, "
    "checksum INTEGER NOT NULL)"
)
_INDEX = "CREATE UNIQUE INDEX found_by ON features (content, model)"
_FORMAT = CacheFormat(0x50735363, CACHE_VERSION, (_PICTURES, _FEATURES, _INDEX))  # "PsSc"
_SEARCH = (
    "SELECT path, stamp, p.content, feature, prompt, checksum FROM pictures p JOIN features f "
    "ON f.content = p.content AND f.model = ? WHERE path "
)
_NAMES, _ODD_NAMES = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_ASKED_AT_ONCE = 900  # of SQLite's 999 values in a question
_WRITTEN_AFTER_S = 1.0  # each writing waits for the disk; what is lost at most when the process is killed
FRESH_S = 2.0  # what FAT's clock cannot tell apart: a file this young may change again without a trace


class Remembered(NamedTuple):
    """The `feature` of something as float16 numbers, and for a picture the `prompt` that its file holds."""

    feature: bytes
    prompt: str = ""


class FeatureCache:
    """The features of the model `identity` in the file at `path`; None remembers nothing. To be used in a `with`.

    No method raises; `problem` says why nothing is remembered any more. Several threads may ask at a time.
    """

    def __init__(self, path: Path | None, identity: str) -> None:
        self._file = CacheFile(path, _FORMAT)
        self._model = bytes.fromhex(identity)[:8]  # to tell a handful of models apart; a shorter index is faster
        self._lock = threading.Lock()
        self._pictures: list[tuple[bytes, str, bytes]] = []
        self._features: list[tuple[bytes, bytes, bytes, bytes, int]] = []
        self._written_at = time.monotonic()
        self._has_new = False

    def __enter__(self) -> FeatureCache:
        self._file.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._write()
            if self._has_new and kind is None:
                self._file.check()
            self._file.close()

    @property
    def problem(self) -> str | None:
        """Why the file is of no use, in a sentence; None while all is well."""
        return self._file.problem

    def of_files(self, paths: Sequence[str], stamps: Sequence[str]) -> list[Remembered | None]:
        """What is known of each of the pictures at the absolute `paths`, as they were at `stamps`."""
        # Tens of thousands of pictures a second: every call of a function counts.
        keys = [path.encode(_NAMES, _ODD_NAMES) for path in paths]
        rows = {}
        for start in range(0, len(keys), _ASKED_AT_ONCE):
            rows.update({row[0]: row for row in self._rows_of(keys[start : start + _ASKED_AT_ONCE])})
        found: list[Remembered | None] = []
        for row, wanted in zip(map(rows.get, keys), stamps, strict=True):
            remembered = None
            if row is not None:
                _, stamp, content, feature, prompt, checksum = row
                if stamp == wanted and checksum == _checksum(content, self._model, feature, prompt):
                    remembered = Remembered(feature, str(prompt, "utf-8", "replace"))
            found.append(remembered)
        return found

    def _rows_of(self, keys: Sequence[bytes]) -> list[Any]:
        """The rows of `keys`, and perhaps others."""
        with self._lock:
            # Pictures of one folder follow each other: it is faster to go through them than to look for each.
            most = 2 * len(keys)
            rows = self._file.ask(f"{_SEARCH} BETWEEN ? AND ? LIMIT {most}", self._model, min(keys), max(keys))
            if len(rows) == most:
                rows = self._file.ask(f"{_SEARCH} IN ({','.join('?' * len(keys))})", self._model, *keys)
            return rows

    def of_content(self, content: bytes) -> Remembered | None:
        """What is known of the picture, or the text, whose SHA-256 is `content`."""
        question = "SELECT feature, prompt, checksum FROM features WHERE content = ? AND model = ?"
        with self._lock:
            rows = self._file.ask(question, content, self._model)
        for feature, prompt, checksum in rows:
            if checksum == _checksum(content, self._model, feature, prompt):
                return Remembered(feature, prompt.decode("utf-8", "replace"))
        return None

    def put(
        self, content: bytes, remembered: Remembered, path: str = "", stamp: str = "", changed_at: float = 0
    ) -> None:
        """Remember what is known of `content`, and that it was at `path` when its file had the `stamp`.

        It waits for `settle`, or the end, to be written together with others.
        """
        prompt = remembered.prompt.encode("utf-8", "replace")
        checksum = _checksum(content, self._model, remembered.feature, prompt)
        with self._lock:
            self._features.append((content, self._model, remembered.feature, prompt, checksum))
            if path and abs(time.time() - changed_at) > FRESH_S:
                self._pictures.append((os.fsencode(path), stamp, content))

    def settle(self) -> None:
        """Write what waits, unless that was done a moment ago; to be called after each portion."""
        with self._lock:
            if time.monotonic() - self._written_at > _WRITTEN_AFTER_S:
                self._write()

    def _write(self) -> None:
        features, self._features = self._features, []
        pictures, self._pictures = self._pictures, []
        if features:
            self._has_new = True
            self._file.write(
                ("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?)", features),
                ("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", pictures),
            )
        self._written_at = time.monotonic()


def may_be_cache(path: Path) -> bool:
    """Whether nothing that is not ours would be lost if a cache were kept at `path`."""
    try:
        with open(path, "rb") as file:
            start = file.read(100)
    except (OSError, ValueError):  # not there, or what the cache itself finds out and leaves as it is
        return True
    return not start or start[68:72] == _FORMAT.application_id.to_bytes(4, "big")


def content_of_text(text: str, long: str) -> bytes:
    """By what the feature of a text is found; `long` is what becomes of one that is too long."""
    return hashlib.sha256(f"text {long} {text}".encode("utf-8", "surrogatepass")).digest()


def _checksum(content: bytes, model: bytes, feature: bytes, prompt: bytes) -> int:
    # SQLite does not notice when bytes inside a value change.
    try:
        return crc32(content + model + feature + prompt)
    except TypeError:  # nor when they become another kind of value
        return -1
