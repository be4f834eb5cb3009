"""Tables that are written while a folder is scored: what was in a file stays until the new table is complete."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from ..embedding.metadata import encodable
from ..errors import SettingsError
from ..inspect.csv_text import harmless
from ..scoring.comparison import Cell


class Table(Protocol):
    """A table that grows."""

    def add(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Put `rows` at its end."""
        ...


@contextmanager
def csv_table(path: Path, header: Sequence[str]) -> Iterator[Table]:
    """A CSV file at `path`, there when the block ends well. Raises SettingsError where it cannot be written."""
    with arriving(path) as temporary, ExitStack() as stack:
        with writing(path):
            file = open(temporary, "x", encoding="utf-8", newline="")  # noqa: SIM115
        stack.callback(closed, file)
        table = _CsvTable(path, csv.writer(file))
        table.add([header])
        yield table
        with writing(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()


@contextmanager
def parquet_table(path: Path, header: Sequence[str], texts: Sequence[str]) -> Iterator[Table]:
    """A Parquet file at `path`; those columns are text that `texts` names, the others are numbers.

    Raises SettingsError where it cannot be written, or pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise SettingsError(
            "--parquet needs pyarrow, which is not installed; install it with pip install pyarrow, or use --csv."
        ) from error
    fields = [(name, pyarrow.string() if name in texts else pyarrow.float64()) for name in header]
    schema = pyarrow.schema(fields)
    with arriving(path) as temporary, ExitStack() as stack:
        with writing(path):
            writer = parquet.ParquetWriter(str(temporary), schema)
        stack.callback(closed, writer)
        yield _ParquetTable(path, writer, schema, pyarrow)
        with writing(path):
            writer.close()


class _CsvTable:
    def __init__(self, path: Path, writer: Any) -> None:
        self._path = path
        self._writer = writer

    def add(self, rows: Sequence[Sequence[Cell]]) -> None:
        """See Table."""
        with writing(self._path):
            self._writer.writerows([harmless(cell) for cell in row] for row in rows)


class _ParquetTable:
    def __init__(self, path: Path, writer: Any, schema: Any, pyarrow: Any) -> None:
        self._path = path
        self._writer = writer
        self._schema = schema
        self._pyarrow = pyarrow

    def add(self, rows: Sequence[Sequence[Cell]]) -> None:
        """See Table."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        if columns:
            arrays = [self._pyarrow.array(values, one.type) for values, one in zip(columns, self._schema, strict=True)]
            with writing(self._path):
                self._writer.write_table(self._pyarrow.Table.from_arrays(arrays, schema=self._schema))


@contextmanager
def arriving(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, which becomes `path` when the block ends well and vanishes when it does not."""
    temporary = path.with_name(f".pseudoword-{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        with writing(path):
            os.replace(temporary, path)
    finally:
        with suppress(OSError, ValueError):  # usually moved away by now
            temporary.unlink()


def closed(file: Any) -> None:
    """Close `file`, which may be closed already; what it could not write was told before."""
    with suppress(OSError):
        file.close()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the disk's complaints into a sentence."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"{encodable(str(path))} cannot be written ({reason}), and is as it was before; what was encoded is kept "
            "in the cache, so the same command is done quickly when there is room."
        ) from error
