"""Files that arrive whole: nobody ever sees half of one, whatever is killed or unplugged meanwhile."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from pseudoword.errors import EmbeddingFileError


def write_whole(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write `data` to `path`: into a temporary file beside it, to the disk, then under its name in one move.

    Raises EmbeddingFileError if the file exists and `overwrite` is not set, or if it cannot be written; then nothing is
    left behind.
    """
    check_free(path, overwrite=overwrite)
    temporary = path.with_name(f".pseudoword-{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _move(temporary, path, overwrite=overwrite)
        _sync_folder(path.parent)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise EmbeddingFileError(f"{path.name} cannot be written ({reason}); nothing was changed.") from error
    finally:
        with suppress(OSError, ValueError):  # usually moved away by now; and no other error shall hide the real one
            temporary.unlink()


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raises EmbeddingFileError if something is called `path` that must not be replaced."""
    if not overwrite and os.path.lexists(path):
        raise EmbeddingFileError(f"{path.name} already exists; choose another name or ask to overwrite it.")


def _move(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, path)  # unlike a rename, fails if somebody made the file since we looked
            return
        except FileExistsError:
            check_free(path, overwrite=False)
        except OSError:  # a file system without hard links: the check above has to do
            pass
    os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows cannot open folders, and some network drives cannot sync them
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
