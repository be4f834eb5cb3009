"""Sentences without the folders of the computer that they were made on."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from functools import cache

from ..host import Host

MOST_LETTERS = 2000


def without_folders(host: Host, text: str) -> str:
    """`text` with the paths of runs and embeddings as they are called in their folder, and those at home from `~` on.

    Messages are made for who sits at the computer; over the network it is nobody's business where things lie.
    """
    return hiding_folders(host)(text)


def hiding_folders(host: Host) -> Callable[[str], str]:
    """`without_folders` for many texts: the folders, of which there may be thousands, are looked up once, if at all."""
    looked_up = cache(lambda: _spelled_folders(host))

    def hide(text: str) -> str:
        if os.sep not in text:
            return text
        for spelled, instead in looked_up():
            text = instead.join(re.split(spelled, text))
        return text

    return hide


def _spelled_folders(host: Host) -> list[tuple[str, str]]:
    """Expressions that find the host's folders in a text, and what stands there instead."""
    places = [host.runs, *host.library(), *(host.folders or ()), *host.outputs()]
    if host.features is not None:
        places.append(host.features.parent)
    short = {str(place): "" for place in places if not place.suffix or place.is_dir()}
    home = os.path.expanduser("~")
    short.update({tempfile.gettempdir(): "", os.getcwd(): "", home: f"~{os.sep}"})
    found = []
    for folder in sorted(short, key=len, reverse=True):  # what lies in another first
        path = os.path.join(folder, "")
        if path.strip(".") != os.sep:  # some servers' home is the root, which everything is below
            spellings = {re.escape(path), re.escape(repr(path)[1:-1])}  # where quoted, backslashes stand twice
            found.append((rf"(?<![\w.-])(?:{'|'.join(spellings)})", short[folder]))
    return found


def for_page(host: Host, text: str) -> str:
    """`text` as a page says it: whole for who has the computer to himself, else `without_folders`."""
    return text if host.folders is None else without_folders(host, text)


def shortened(sentence: str) -> str:
    """`sentence` without its middle where somebody wrote a very long text that it repeats; its end has the remedy."""
    return sentence if len(sentence) <= MOST_LETTERS else f"{sentence[: MOST_LETTERS // 2]} … {sentence[-500:]}"
