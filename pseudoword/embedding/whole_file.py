"""Files that arrive whole: nobody ever sees half of one, whatever is killed or unplugged meanwhile."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pseudoword.errors import EmbeddingFileError


def write_whole(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write `data` to `path`: into a temporary file beside it, to the disk, then under its name in one move.

    Raises EmbeddingFileError if the file exists and `overwrite` is not set, or if it cannot be written; then nothing is
    left behind.
    """
    if not overwrite and path.exists():
        raise _exists(path)
    temporary = path.with_name(f".pseudoword-{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _move(temporary, path, overwrite=overwrite)
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EmbeddingFileError(f"{path.name} cannot be written ({reason}); nothing was changed.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _move(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, path)  # unlike a rename, fails if somebody made the file since we looked
            return
        except FileExistsError:
            raise _exists(path) from None
        except OSError:  # a file system without hard links: the check above has to do
            pass
    os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exists(path: Path) -> EmbeddingFileError:
    return EmbeddingFileError(f"{path.name} already exists; choose another name or ask to overwrite it.")
