"""Which file keeps the features of pictures: one that is named with `--cache`, or this user's own."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..embedding.metadata import encodable
from ..errors import SettingsError
from ..scoring.feature_cache import may_be_cache


def add_cache_flag(parser: argparse.ArgumentParser) -> None:
    """`--cache`."""
    parser.add_argument(
        "--cache", type=Path, metavar="FILE", help="where features are kept [default: one file for you]"
    )


def cache_of(arguments: argparse.Namespace) -> Path:
    """The file to use. Raises SettingsError for one that is something else, since it would be replaced."""
    named: Path | None = arguments.cache
    if named is not None and not may_be_cache(named):
        raise SettingsError(
            f"{encodable(str(named))} is there and is no cache of features, and would be replaced; name another file, "
            "or delete it."
        )
    return named or default_cache()


def default_cache() -> Path:
    """The file for this user's features, where this system keeps what can be made again."""
    if sys.platform == "win32":
        place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches"
    else:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return place / "pseudoword" / "clip-features.sqlite"
