"""The library of embeddings, under `/pseudoword/v1/library`: its table, sorted and filtered, and its previews."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, get_args

from fastapi import Depends, FastAPI, HTTPException, Response

from ..decoding import load_picture
from ..diffusion import Architecture
from ..errors import DatasetError
from ..inspect.library_row import LibraryRow, ModelShape
from ..inspect.library_view import COLUMNS, RowFilter, filtered, ordered, to_csv
from ..jobs.library.inspector import Inspector
from ..jobs.library.library_reader import LibraryReading
from .answers import refuse_other_sites, telling

PREFIX = "/pseudoword/v1/library"
# Where things lie on a server is nobody's business over the network; `path` says it within the library.
SHOWN = tuple(column for column in COLUMNS if column not in ("folder", "preview"))
MOST_ROWS = 500  # in one answer
THUMBNAIL, THUMBNAILS = 96, 1024  # pixels along the longer side; how many are kept, 5 KB each
WEEK_S = 7 * 86400
SOON_S = 0.3  # a library whose files are known is read within this: then one answer is enough


@dataclass(frozen=True)
class Asked:
    """What rows of which table are wanted, in which order."""

    folder: str = ""
    search: str = ""
    sort: str = "name"
    descending: bool = False
    fits: bool = False
    architecture: str = ""
    duplicates: bool = False
    problems: bool = False


ASKED: Any = Depends(Asked)  # each field is a parameter of the request


def add_library_routes(app: FastAPI, inspector: Inspector, dependencies: Sequence[Any] = ()) -> None:
    """Add the routes to `app`, behind `dependencies` of FastAPI. All but `stop` only read."""

    def table(
        asked: Asked = ASKED, first: int = 0, count: int = 100, read: bool = False, known: int = -1
    ) -> dict[str, Any]:
        """`count` rows from `first` on. `read` looks at the files again; the table of version `known` is not sent."""
        with telling(inspector.host):
            reader = inspector.reader(asked.folder)
            if read or not reader.watch().version:
                reader.read()
                reader.wait(SOON_S)
            reading = reader.watch()
            return as_json(inspector, asked, reading, max(first, 0), min(max(count, 0), MOST_ROWS), known)

    def csv(asked: Asked = ASKED) -> Response:
        """All rows that the table would show, as CSV."""
        with telling(inspector.host):
            text = to_csv([row for _, row in wanted(inspector, asked)], SHOWN)
        headers = {"Content-Disposition": 'attachment; filename="embeddings.csv"'}
        return Response(text, media_type="text/csv", headers=headers)

    def stop(folder: str = "") -> dict[str, Any]:
        """End reading a folder that is too large to wait for."""
        with telling(inspector.host):
            inspector.reader(folder).stop()
        return {}

    def preview(word: str) -> Response:
        """A small picture of an embedding."""
        with telling(inspector.host):
            row = inspector.row(word)
        if row.preview is None:
            raise HTTPException(404, "This embedding has no preview.")
        try:
            content = thumbnail(row.preview, row.preview.stat().st_mtime_ns)
        except (DatasetError, OSError) as problem:
            raise HTTPException(404, f"The preview {row.preview.name} cannot be shown: {problem}.") from problem
        return Response(content, media_type="image/png", headers={"Cache-Control": f"private, max-age={WEEK_S}"})

    routes: dict[str, Callable[..., Any]] = {"": table, ".csv": csv, "/preview": preview}
    for path, answer in routes.items():
        app.add_api_route(PREFIX + path, answer, methods=["GET"], response_model=None, dependencies=list(dependencies))
    guards = [Depends(refuse_other_sites), *dependencies]
    app.add_api_route(PREFIX + "/stop", stop, methods=["POST"], response_model=None, dependencies=guards)


def wanted(inspector: Inspector, asked: Asked) -> list[tuple[str, LibraryRow]]:
    """The rows that are asked for, with their labels. Raises SettingsError for an unknown column or family."""
    labels = {row.file: label for label, row in inspector.labelled(asked.folder).items()}
    family = asked.architecture if asked.architecture in get_args(Architecture) else None
    # Without a model nothing is known to fit: then nothing is left out.
    shown = RowFilter(
        asked.search,
        inspector.shape() if asked.fits else None,
        cast("Architecture | None", family),
        asked.duplicates,
        asked.problems,
    )
    rows = inspector.reader(asked.folder).table().rows
    return [(labels[row.file], row) for row in ordered(filtered(rows, shown), asked.sort, descending=asked.descending)]


def as_json(
    inspector: Inspector, asked: Asked, reading: LibraryReading, first: int, count: int, known: int
) -> dict[str, Any]:
    """How far reading is, and the rows from `first` on, unless the table of version `known` is the newest."""
    answer: dict[str, Any] = {
        "reading": reading.is_under_way,
        "done": reading.done,
        "files": reading.total,
        "version": reading.version,
        "complete": reading.table.complete,
        "skipped": list(reading.table.skipped),
    }
    if not reading.version or reading.version == known:
        return answer
    rows, shape = wanted(inspector, asked), inspector.shape()
    groups = {group.number: group.sentence for group in reading.table.groups}
    return {
        **answer,
        "all": len(reading.table.rows),
        "found": len(rows),
        "model": None if shape is None else shape.architecture,
        "rows": [row_as_json(label, row, shape, groups) for label, row in rows[first : first + count]],
    }


def row_as_json(label: str, row: LibraryRow, shape: ModelShape | None, groups: dict[int, str]) -> dict[str, Any]:
    """One row: its columns, `label`, whether it fits the loaded model (null without one), and its duplicates."""
    values = {column: COLUMNS[column](row) for column in SHOWN}
    return {
        "label": label,
        **values,
        "fits": None if shape is None or row.problem else row.fits(shape),
        "duplicates": groups.get(row.group or 0, ""),
        "preview": None if row.preview is None else row.changed_ns,
    }


@lru_cache(maxsize=THUMBNAILS)
def thumbnail(path: Path, changed_ns: int) -> bytes:
    """The picture at `path`, as it was at `changed_ns`, small, as PNG. Raises DatasetError where it is broken."""
    picture = load_picture(path)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
