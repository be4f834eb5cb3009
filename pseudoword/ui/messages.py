"""What every panel tells in one line."""

from __future__ import annotations

from html import escape


def says(text: str, kind: str) -> str:
    """`text` as a line of HTML."""
    return f'<p class="pseudoword-{kind}" role="status">{escape(text)}</p>'
