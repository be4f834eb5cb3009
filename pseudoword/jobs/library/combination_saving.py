"""Saving what an expression gives as a word of the library."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from ...embedding import EmbeddingMetadata, FileFormat, check_name
from ...inspect.arithmetic import Combination
from .inspector import Inspector
from .word_saving import save_word


def save_combination(
    inspector: Inspector, combination: Combination, name: str, format: FileFormat, description: str, replace: bool
) -> tuple[Path, Path | None]:
    """Save `combination` as the word `name`, with `replace` in the place of one that is called so.

    Returns its file, and the file that was replaced, of which a copy is kept. Raises as `save_word` does.
    """
    name = check_name(name.strip())
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    facts = EmbeddingMetadata(description=description.strip(), date=now)
    row = next((row for known, row in inspector.words().rows.items() if known.casefold() == name.casefold()), None)
    there = row.file if replace and row is not None else None
    return save_word(inspector.host, combination.embedding(name, facts), format, there), there
