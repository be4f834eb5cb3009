"""What somebody looks for among pictures, as a form or a command line says it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ...embedding.metadata import encodable
from ...errors import SettingsError
from ...scoring.index_filter import Wanted

MOST_WORDS = 20
MOST_LETTERS = 2000  # of all words together; the database refuses patterns of more than 50,000 bytes


@dataclass(frozen=True)
class Question:
    """What is looked for and where: `since` and `until` are days such as 2024-05-31, `words` stand in the prompt."""

    text: str = ""
    like: str = ""
    model: str = ""
    folder: str = ""
    since: str = ""
    until: str = ""
    checkpoint: str = ""
    least: float | None = None
    most: float | None = None
    words: str = ""

    def wanted(self, roots: tuple[str, ...]) -> Wanted:
        """Which pictures come into question. Raises SettingsError for what is no day, and for too many words."""
        if len(self.words) > MOST_LETTERS:
            raise SettingsError(f"The words have more than {MOST_LETTERS} letters; name some that stand in the prompt.")
        until = day(self.until)
        return Wanted(
            roots,
            None if (since := day(self.since)) is None else since.timestamp(),
            None if until is None else (until + timedelta(days=1)).timestamp(),
            encodable(self.checkpoint),
            self.least,
            self.most,
            tuple(self.words.replace(",", " ").split())[:MOST_WORDS],
        )


def day(text: str) -> datetime | None:
    """The beginning of the day that is written as 2024-05-31, on this computer's clock. Raises SettingsError."""
    if not text.strip():
        return None
    try:
        found = datetime.strptime(text.strip(), "%Y-%m-%d")
        found.timestamp()
        (found + timedelta(days=1)).timestamp()
        return found
    except (ValueError, OverflowError, OSError) as problem:
        raise SettingsError(f"{text[:20]!r} is no day; write it as 2024-05-31.") from problem
