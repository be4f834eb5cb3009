"""The scores of a folder as a job of the queue: what was asked for and what came of it are files in the job's folder.

request.json   what was asked for; pictures that were uploaded besides are in pictures/
result.json    the scores, once there are all, or those by the time when it was ended

What was scored by the time of a restart is known by the file of features, so that nothing is encoded twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ...embedding.whole_file import write_whole
from ...errors import EmbeddingFileError, JobError
from ...scoring import Scores, Unreadable
from ..copied_files import copies_of
from ..host import Host
from ..watched_job import HeldUp, Queued
from .picture_fetching import INTERNET, Ways
from .score_job import ScoreJob
from .score_request import NamedPicture, ScoreRequest
from .score_result import ScoreResult
from .scored_pictures import may_be_read

REQUEST, RESULT, UPLOADED = "request.json", "result.json", "pictures"
BEST_TOLD = 5  # texts whose best pictures are told
LONGEST_TOLD = 80  # letters


def write_request(request: ScoreRequest, folder: Path) -> None:
    """Put `request` into `folder`, with its pictures. Raises OSError, EmbeddingFileError, SettingsError."""
    copies: dict[Path, Path] = {}
    if request.pictures:
        copies = copies_of([picture.path for picture in request.pictures], folder / UPLOADED)
    names = [(picture.name, copy.name) for picture, copy in zip(request.pictures, copies, strict=True)]
    told = {**asdict(replace(request, pictures=())), "pictures": names}
    for key in ("folder", "head"):
        told[key] = None if told[key] is None else str(told[key])
    write_whole(folder / REQUEST, (json.dumps(told, indent=2) + "\n").encode(), overwrite=True)


def read_request(folder: Path) -> ScoreRequest:
    """The request that `write_request` put into `folder`. Raises JobError where it cannot be read."""
    try:
        told = json.loads((folder / REQUEST).read_bytes())
        pictures = tuple(NamedPicture(name, folder / UPLOADED / Path(file).name) for name, file in told["pictures"])
        return ScoreRequest(
            pictures,
            None if told["folder"] is None else Path(told["folder"]),
            tuple(told["addresses"]),
            tuple(told["labels"]),
            tuple(told["templates"]),
            told["long"],
            told["model"],
            None if told["head"] is None else Path(told["head"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise JobError(f"What was to be scored cannot be read any more ({problem}); score it anew.") from problem


def shown_request(request: ScoreRequest) -> dict[str, Any]:
    """Its settings, for who may see them, without the folders of the server."""
    folder = "" if request.folder is None else request.folder.name
    shown: dict[str, Any] = {"about": folder, "folder": folder}
    if request.labels:
        shown["classes" if request.templates else "texts"] = "; ".join(request.labels)[:2000]
    if request.head is not None:
        shown["head"] = request.head.name
    return {**shown, "CLIP model": request.model}


class FolderScoring(ScoreJob):
    """The scores of the request in the folder of `queued`."""

    KIND = "scoring"

    def __init__(self, id: str, host: Host, queued: Queued, ways: Ways = INTERNET) -> None:
        super().__init__(id, read_request(queued.folder), host, None, None, ways, queued)
        self._folder = queued.folder
        found = read_result(queued.folder / RESULT)
        if found is not None:
            self._result, self._rows = found
            self._title = self._result.model

    def thumbnail(self, row: int) -> bytes | None:
        """The picture of a row, small, as a JPEG; None where there is none, or it is not to be read any more."""
        with self._changed:
            path = self._rows[row].path if 0 <= row < len(self._rows) else self._folder
        is_own = path.is_relative_to(self._folder)
        return super().thumbnail(row) if is_own or may_be_read(self._host, path) else None

    def _own_file(self, name: str) -> Path:
        return self._folder / name

    def _keep(self, result: ScoreResult) -> None:
        try:
            content = json.dumps(result_as_kept(result, self._rows)).encode()
            write_whole(self._folder / RESULT, content, overwrite=True)
        except (OSError, EmbeddingFileError) as problem:
            raise HeldUp(f"{problem} Make room on the server's disk, then resume it.") from problem
        super()._keep(result)

    def _result_of_queue(self) -> Mapping[str, Any]:
        says = [] if self._result is None else sentences_about(self._result)
        return {**super()._result_of_queue(), "says": says}


# ---- the result ----------------------------------------------------------------------------------------------------


def result_as_kept(result: ScoreResult, rows: list[NamedPicture]) -> dict[str, Any]:
    """A result, and where its pictures are, as plain JSON values."""
    cosines = None if result.scores is None else result.scores.cosines.tolist()
    told = {name: getattr(result, name) for name in vars(result) if name not in ("scores", "unreadable", "pictures")}
    unreadable = [(one.path, one.reason) for one in result.unreadable]
    return {**told, "cosines": cosines, "unreadable": unreadable, "rows": [(one.name, str(one.path)) for one in rows]}


def read_result(path: Path) -> tuple[ScoreResult, list[NamedPicture]] | None:
    """What `result_as_kept` made; None where there is none, or none that can be read."""
    try:
        told = json.loads(path.read_bytes())
        rows = [NamedPicture(name, Path(place)) for name, place in told["rows"]]
        cosines = told["cosines"]
        scores = None if cosines is None else Scores(torch.tensor(cosines), told["logit_scale"], told["model"])
        result = ScoreResult(
            told["model"],
            told["width"],
            told["logit_scale"],
            tuple(row.name for row in rows),
            tuple(told["labels"]),
            told["are_classes"],
            scores,
            told["head"],
            tuple(told["head_scores"]),
            tuple(told["notes"]),
            tuple(Unreadable(name, reason) for name, reason in told["unreadable"]),
        )
        return result, rows
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sentences_about(result: ScoreResult) -> list[str]:
    """What came of it: how many pictures, and which fits each text best."""
    count = len(result.pictures)
    told = [f"{count:,} {'picture' if count == 1 else 'pictures'} scored by {result.model}."]
    if result.unreadable:
        told.append(f"{len(result.unreadable):,} could not be read.")
    if result.scores is not None:
        for place, picture in list(enumerate(result.scores.best_pictures))[:BEST_TOLD]:
            label = result.labels[place]
            shown = label if len(label) <= LONGEST_TOLD else f"{label[:LONGEST_TOLD]}…"
            best = float(result.scores.clip_scores[picture, place])
            told.append(f"Best for “{shown}”: {result.pictures[picture]}, CLIPScore {best:.1f}.")
    return told
