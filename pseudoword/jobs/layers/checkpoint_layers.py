"""The layers that each checkpoint wants: a table by its hash, in one file, and as a text to edit and share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from ...embedding.whole_file import write_whole
from ...errors import EmbeddingFileError, SettingsError
from ...text.layer_choice import EncoderLayers, LayerChoice, parse_layers

FILE = "checkpoint-layers.json"
MOST_CHECKPOINTS = 5_000
LONGEST_TITLE = 200
HEADING = "# hash; layers; layers of the negative prompt, if others; name"
SHORTEST_HASH = 10  # what the WebUI shows as a model's hash; the whole is a SHA-256
_HASH = re.compile(rf"[0-9a-f]{{{SHORTEST_HASH},64}}")


@dataclass(frozen=True)
class WantedLayers:
    """The layers that a checkpoint wants; `title` is its name, for who reads the table."""

    prompt: EncoderLayers
    negative: EncoderLayers | None = None
    title: str = ""

    @property
    def choice(self) -> LayerChoice:
        """What that says about a generation."""
        return LayerChoice(prompt=self.prompt, negative=self.negative)


class CheckpointLayers:
    """The table in the file `path`, which need not be there. May be used by several threads at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = Lock()

    def entries(self) -> dict[str, WantedLayers]:
        """All of it, by hash; what cannot be read in the file is left out."""
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        read = {key: _entry(value) for key, value in found.items()} if isinstance(found, dict) else {}
        return {key: entry for key, entry in read.items() if entry is not None and _HASH.fullmatch(key)}

    def wanted(self, sha256: str | None) -> WantedLayers | None:
        """What the checkpoint with this hash wants, None where that is not known; the table may say its beginning."""
        entries = self.entries() if sha256 else {}
        fitting = [key for key in entries if str(sha256).startswith(key)]
        return entries[max(fitting, key=len)] if fitting else None

    def remember(self, sha256: str, wanted: WantedLayers) -> None:
        """Put `wanted` into the table, in the place of what was known of this checkpoint.

        Raises SettingsError for a hash that is none, EmbeddingFileError where the file cannot be written.
        """
        check_hash(sha256)
        with self._writing:
            self._write({**self._others(sha256), sha256: wanted})

    def forget(self, sha256: str) -> None:
        """Take out what is known of this checkpoint. Raises EmbeddingFileError where the file cannot be written."""
        with self._writing:
            self._write(self._others(sha256))

    def replace(self, text: str, instead_of: str) -> None:
        """Let the table be what `text` says, which somebody made of `instead_of`.

        Raises SettingsError for a line that cannot be read, and where the table changed meanwhile; EmbeddingFileError
        where the file cannot be written.
        """
        entries = parse_table(text)
        with self._writing:
            if parse_table(instead_of) != self.entries():
                raise SettingsError(
                    "The table was changed by somebody else meanwhile; keep a copy of your lines, read it anew, and "
                    "add them to it."
                )
            self._write(entries)

    def _others(self, sha256: str) -> dict[str, WantedLayers]:
        return {key: entry for key, entry in self.entries().items() if not sha256.startswith(key)}

    def _write(self, entries: Mapping[str, WantedLayers]) -> None:
        found = {key: _told(entry) for key, entry in entries.items()}
        data = json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        try:
            write_whole(self._path, data.encode(), overwrite=True)
        except UnicodeEncodeError as problem:  # half a character, which JSON from a page can contain
            raise EmbeddingFileError(f"{self._path.name} cannot be written ({problem}); nothing was changed.") from None


def table_text(entries: Mapping[str, WantedLayers]) -> str:
    """`entries` as a text that `parse_table` reads: a line each, in the order of names."""
    in_order = sorted(entries.items(), key=lambda item: (item[1].title.casefold(), item[0]))
    lines = [
        f"{key}; {entry.prompt.text}; {entry.negative.text if entry.negative else ''}; {entry.title}"
        for key, entry in in_order
    ]
    return "\n".join([HEADING, *lines])


def parse_table(text: str) -> dict[str, WantedLayers]:
    """The entries that `text` says: `hash; layers; negative layers; name` in each line, the last two if wanted.

    Empty lines, and such as begin with #, say nothing. Raises SettingsError, which tells the line.
    """
    entries: dict[str, WantedLayers] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            key, entry = _parse_line(line)
            if key in entries:
                raise SettingsError(f"{key} stands in the table twice; keep one line.")
        except SettingsError as problem:
            raise SettingsError(f"Line {number}: {problem}") from None
        entries[key] = entry
    if len(entries) > MOST_CHECKPOINTS:
        raise SettingsError(f"The table has at most {MOST_CHECKPOINTS:,} checkpoints, and this has {len(entries):,}.")
    return entries


def with_others(
    entries: Mapping[str, WantedLayers], others: Mapping[str, WantedLayers]
) -> tuple[dict[str, WantedLayers], int]:
    """`entries` with `others` in the place of what they say of the same checkpoints, and of how many that was else.

    A hash and the beginning of it are the same checkpoint's.
    """
    alike: dict[str, list[str]] = {}
    for key in entries:
        alike.setdefault(key[:SHORTEST_HASH], []).append(key)
    kept, changed = dict(entries), 0
    for other, wanted in others.items():
        same = [key for key in alike.get(other[:SHORTEST_HASH], ()) if key.startswith(other) or other.startswith(key)]
        said = [kept.pop(key) for key in same if key in kept]
        changed += any(before.choice != wanted.choice for before in said)
    return kept | dict(others), changed


def check_hash(text: str) -> None:
    """Raise SettingsError unless `text` is a checkpoint's hash, or the beginning of one."""
    if not _HASH.fullmatch(text):
        raise SettingsError(
            f"{text[:80]!r} is not a checkpoint's hash; give its SHA-256 or the first ten characters of it, as a "
            "picture's infotext does."
        )


def _parse_line(line: str) -> tuple[str, WantedLayers]:
    key, *rest = (part.strip() for part in line.split(";", 3))
    check_hash(key.lower())
    layers, negative, title = (*rest, "", "", "")[:3]
    if not layers:
        raise SettingsError(f"{key} has no layers; write them after a semicolon, as in {key}; 2")
    return key.lower(), WantedLayers(parse_layers(layers), parse_layers(negative) if negative else None, shown(title))


def shown(title: str) -> str:
    """A name as the table has it: one line, not too long."""
    return " ".join(title.split())[:LONGEST_TITLE]


def _told(entry: WantedLayers) -> dict[str, str]:
    told = {"prompt": entry.prompt.text, "title": shown(entry.title)}
    return told if entry.negative is None else told | {"negative": entry.negative.text}


def _entry(told: object) -> WantedLayers | None:
    if not isinstance(told, dict):
        return None
    try:
        negative = told.get("negative")
        return WantedLayers(
            parse_layers(str(told.get("prompt", ""))),
            None if negative is None else parse_layers(str(negative)),
            shown(str(told.get("title", ""))),
        )
    except SettingsError:
        return None
