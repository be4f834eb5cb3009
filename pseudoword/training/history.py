"""The run's events, one JSON object a line, always in step with its checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from .run_folder import reporting_failed_writes, write_whole


class History:
    """Records of a run in `path`; each is a dictionary with "event" and "step" (see `events.to_record`).

    Records are held back until `flush`, which is called before a checkpoint is written: so a checkpoint, which says how
    many records there were, never counts one that the file lacks, and `restore` removes those beyond it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0  # of self.records, those on the disk
        self.records: list[dict[str, Any]] = []

    def add(self, record: dict[str, Any]) -> None:
        """Note `record`; it reaches the disk with the next `flush`."""
        self.records.append(record)

    def flush(self) -> None:
        """Append what is new to the file and wait for the disk. Raises TrainingError, the file being as before then."""
        lines = "".join(json.dumps(record) + "\n" for record in self.records[self._written :])
        if not lines:
            return
        # Unbuffered: closing a buffered file would write again what the disk just refused.
        with reporting_failed_writes(self._path), open(self._path, "ab", buffering=0) as file:
            size = file.tell()
            try:
                rest = memoryview(lines.encode())
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException:  # Ctrl-C, too: what is half written would be written again
                file.truncate(size)
                raise
        self._written = len(self.records)

    def drop_after(self, step: int) -> None:
        """Forget records of later steps than `step`, in memory and on the disk."""
        kept = [record for record in self.records if record["step"] <= step]
        on_disk = [record for record in self.records[: self._written] if record["step"] <= step]
        if len(on_disk) < self._written:
            write_whole(self._path, "".join(json.dumps(record) + "\n" for record in on_disk).encode())
        self.records, self._written = kept, len(on_disk)

    def restore(self, count: int) -> None:
        """Take over the first `count` records of the file; what follows them, whole or not, leaves the file."""
        self.records = list(islice(read_history(self._path), count))
        self._written = len(self.records)
        if self._path.exists():
            write_whole(self._path, "".join(json.dumps(record) + "\n" for record in self.records).encode())

    def of_kind(self, event: str) -> list[dict[str, Any]]:
        """All records of one kind, such as "validated", in order."""
        return [record for record in self.records if record["event"] == event]


def read_history(path: Path) -> Iterator[dict[str, Any]]:
    """The records in a history file, without the half line that a killed process may leave; none if it is missing."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int) and "event" in record:
            yield record
