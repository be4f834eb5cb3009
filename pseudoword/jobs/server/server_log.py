"""The server's log: one line of JSON for everything that becomes of a job, in a file beside the runs.

Who reads a server's logs is not always who may see everything: there are no prompts in it, no words, no secrets, and no
folders of the server. Of an error it says where in the code it came from and of which kind it was.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from ..store.job_store import Job
from .measures import CountedErrors, Measures
from .people import shown_owner

FILE = "pseudoword.log"
MOST_BYTES, FORMER_FILES = 5_000_000, 3
MOST_FRAMES = 8
PACKAGE = Path(__file__).parents[2]

log = logging.getLogger("pseudoword")


@contextmanager
def logging_to(runs: Path, measures: Measures) -> Iterator[None]:
    """Inside, what the package logs is written beside the runs in `runs`, and its errors are counted."""
    end = log_to(runs, measures)
    try:
        yield
    finally:
        end()


def log_to(runs: Path, measures: Measures) -> Any:
    """Write what the package logs beside the runs, and count its errors, until what is returned is called."""
    file = _LogFile(runs / FILE, maxBytes=MOST_BYTES, backupCount=FORMER_FILES, encoding="utf-8", delay=True)
    file.setFormatter(AsJson())
    handlers: list[logging.Handler] = [file, CountedErrors(measures)]
    level, before = log.level, log.getEffectiveLevel()
    log.setLevel(min(before, logging.INFO))
    for handler in handlers:
        log.addHandler(handler)

    def end() -> None:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
        log.setLevel(level)

    return end


def tell(event: str, job: Job, seconds: float | None = None) -> None:
    """Log what became of `job`, `seconds` after it was asked for or had begun."""
    facts: dict[str, Any] = {"owner": shown_owner(job.owner), "kind": job.kind, "id": job.id}
    if seconds is not None:
        facts["seconds"] = round(max(seconds, 0.0), 3)
    log.info("job %s", event, extra={"facts": facts})


class AsJson(logging.Formatter):
    """A record as one line of JSON. Of other records than those of jobs only the sentence without its values."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts = getattr(record, "facts", None)
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": str(record.msg) if facts is None else record.getMessage(),
        }
        if facts is not None:
            line.update(facts)
        else:
            line["module"] = record.name
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["frames"] = frames_of(record.exc_info[2])
        return json.dumps(line)


def frames_of(found: Any) -> list[str]:
    """The last places in the code that an error went through, without where the code lies on this computer."""
    frames = traceback.extract_tb(found)[-MOST_FRAMES:]
    return [f"{place_of(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def place_of(file: str) -> str:
    """A file of code: from the package on, and of others the name and its folder's."""
    path = Path(file)
    if path.is_relative_to(PACKAGE):
        return path.relative_to(PACKAGE.parent).as_posix()
    return "/".join(path.parts[-2:])


class _LogFile(RotatingFileHandler):
    """A file that is made, with its folder, for the first line."""

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk is no reason to end what is logged, nor to say so a thousand times."""
