"""All jobs of a server, in one SQLite file: an index of what was asked for, by whom, and how it stands.

What a job made lies in its folder; the file can be made anew from there. Every change is one short transaction, so a
process that is killed at any moment leaves the file as it was before or after one.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ...errors import JobError, LimitReached, NoSuchJob
from .job_file import connected, empty, set_aside
from .job_states import ENDED, OPEN, JobState, check_may_follow

FILE = ".jobs.sqlite3"
MOST_LINES = 500  # of one job's log
LONGEST_TEXT = 2000


@dataclass(frozen=True)
class Job:
    """One job. Times are seconds since 1970; of `total` units of work `done` are done.

    `folder` is its folder's name among the runs, empty where it has none (any more), and `server` the process that it
    belongs to. Those of higher `priority` come first, and among one person's those of lower `position`.
    """

    kind: str
    owner: str
    title: str
    settings: Mapping[str, Any]
    folder: str = ""
    server: str = ""
    state: JobState = "waiting"
    message: str = ""
    done: int = 0
    total: int = 0
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    priority: int = 0
    position: float = 0.0
    result: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen, unless it failed and is tried again."""
        return self.state in ENDED


COLUMNS = [one.name for one in fields(Job)]
JSON_COLUMNS = ("settings", "result")


class JobStore:
    """The jobs in the file at `path`, which is made with the first job. Any thread, and several processes, may use it.

    Methods raise JobError where the file cannot be read or written, NoSuchJob for an id that is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()  # guards the connection
        self._connection: sqlite3.Connection | None = None

    # ---- reading ---------------------------------------------------------------------------------------------------

    def job(self, id: str) -> Job:
        """The job called `id`."""
        with self._reading() as connection:
            return _job(connection, id)

    def jobs(
        self,
        owner: str | None = None,
        states: Sequence[JobState] = (),
        search: str = "",
        server: str | None = None,
        kinds: Sequence[str] = (),
        count: int = -1,
        start: int = 0,
    ) -> tuple[list[Job], int]:
        """Jobs from number `start` on, at most `count`, and how many there are: those under way first, then the latest.

        Only those of `owner`, in one of `states`, of `server`, of one of `kinds`, and with `search` in their title,
        where these are given.
        """
        conditions, values = ["1"], list[Any]()
        for column, value in (("owner", owner), ("server", server)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        for column, wanted in (("state", states), ("kind", kinds)):
            if wanted:
                conditions.append(f"{column} IN ({','.join('?' * len(wanted))})")
                values += wanted
        if search:
            conditions.append("instr(lower(title), lower(?))")
            values.append(_text(search))
        chosen = f"FROM jobs WHERE {' AND '.join(conditions)}"
        states_first = " ".join(f"WHEN '{state}' THEN {place}" for place, state in enumerate(OPEN))
        order = f"ORDER BY CASE state {states_first} ELSE {len(OPEN)} END, coalesce(ended, created) DESC, rowid DESC"
        with self._reading() as connection:
            total = connection.execute(f"SELECT count(*) {chosen}", values).fetchone()[0]
            rows = connection.execute(
                f"SELECT {','.join(COLUMNS)} {chosen} {order} LIMIT ? OFFSET ?", [*values, count, start]
            )
            return [_read(row) for row in rows], total

    def of_folder(self, folder: str) -> Job | None:
        """The job whose folder is called so."""
        with self._reading() as connection:
            question = f"SELECT {','.join(COLUMNS)} FROM jobs WHERE folder = ? AND folder <> ''"
            row = connection.execute(question, [_text(folder)]).fetchone()
            return None if row is None else _read(row)

    def folders(self) -> set[str]:
        """The folders that belong to a job."""
        with self._reading() as connection:
            return {folder for (folder,) in connection.execute("SELECT folder FROM jobs WHERE folder <> ''")}

    def counts(self) -> dict[tuple[str, str], int]:
        """How many jobs there are, by kind and state."""
        with self._reading() as connection:
            found = connection.execute("SELECT kind, state, count(*) FROM jobs GROUP BY kind, state")
            return {(kind, state): count for kind, state, count in found}

    def servers(self) -> set[str]:
        """The servers of jobs that have not ended."""
        marks = ",".join("?" * len(OPEN))
        with self._reading() as connection:
            found = connection.execute(f"SELECT DISTINCT server FROM jobs WHERE state IN ({marks})", OPEN)
            return {server for (server,) in found}

    def last_begun(self) -> dict[str, float]:
        """By owner when the latest of the jobs began."""
        with self._reading() as connection:
            found = connection.execute("SELECT owner, max(started) FROM jobs WHERE started IS NOT NULL GROUP BY owner")
            return dict(found.fetchall())

    def log(self, id: str) -> list[tuple[float, str]]:
        """Times and lines of a job's log, the oldest first."""
        with self._reading() as connection:
            return connection.execute("SELECT at, line FROM log WHERE job = ? ORDER BY number", [id]).fetchall()

    def version(self) -> tuple[int, int]:
        """Another one after every change, here or by another process."""
        with self._reading() as connection:
            if self._connection is None:
                return 0, 0
            return connection.execute("PRAGMA data_version").fetchone()[0], connection.total_changes

    # ---- writing ---------------------------------------------------------------------------------------------------

    def add(self, job: Job, most_open: int | None = None) -> Job:
        """Add a new job, behind the others. Raises LimitReached where its owner has `most_open` that have not ended."""
        with self._writing() as connection:
            if most_open is not None:
                marks = ",".join("?" * len(OPEN))
                question = f"SELECT count(*) FROM jobs WHERE owner = ? AND state IN ({marks})"
                has = connection.execute(question, [job.owner, *OPEN]).fetchone()[0]
                if has >= most_open:
                    raise LimitReached(
                        f"{has} of your jobs have not ended, and {most_open} at a time are allowed here; "
                        "wait for one, or cancel one."
                    )
            last = connection.execute("SELECT max(position) FROM jobs").fetchone()[0]
            job = replace(job, position=0.0 if last is None else last + 1)
            try:
                connection.execute(f"INSERT INTO jobs ({','.join(COLUMNS)}) VALUES ({_marks()})", _written(job))
            except sqlite3.IntegrityError as problem:
                raise JobError(f"There is a job for {job.title!r} already; look at it on the jobs page.") from problem
            _note(connection, job.id, job.message or f"{job.state.capitalize()}.")
            return job

    def become(self, id: str, state: JobState, message: str = "", **changes: Any) -> Job:
        """Let the job called `id` become `state`, with a line in its log. Raises JobError where that cannot be.

        `changes` are of any further columns.
        """
        with self._writing() as connection:
            before, now = _job(connection, id), time.time()
            if state != before.state:
                check_may_follow(before.state, state)
                changes.setdefault("ended", now if state in ENDED else None)
                if state == "running":
                    changes.setdefault("started", now)
            job = replace(before, state=state, message=message, **changes)
            _put(connection, job)
            if (state, message) != (before.state, before.message):
                _note(connection, id, f"{state.capitalize()}: {message}" if message else f"{state.capitalize()}.")
            return job

    def change(self, id: str, **changes: Any) -> Job:
        """Change columns of the job called `id` other than its state."""
        assert "state" not in changes
        with self._writing() as connection:
            job = replace(_job(connection, id), **changes)
            _put(connection, job)
            return job

    def note(self, id: str, line: str) -> None:
        """Add a line to the job's log; the oldest are forgotten where there are very many."""
        with self._writing() as connection:
            _note(connection, _job(connection, id).id, line)

    def take_over(self, server: str, successor: str) -> list[Job]:
        """Give the jobs of `server`, which is gone, to `successor`, each to one alone; returns those not ended."""
        with self._writing() as connection:
            rows = connection.execute(f"SELECT {','.join(COLUMNS)} FROM jobs WHERE server = ?", [server]).fetchall()
            connection.execute("UPDATE jobs SET server = ? WHERE server = ?", [successor, server])
            return [replace(job, server=successor) for job in map(_read, rows) if not job.has_ended]

    def delete(self, id: str) -> None:
        """Forget the job called `id`, with its log."""
        with self._writing() as connection:
            connection.execute("DELETE FROM jobs WHERE id = ?", [_job(connection, id).id])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # ---- the file --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None and not self._path.exists():
                with contextlib.closing(empty()) as connection:
                    yield connection
                return
            with self._telling():
                yield self._opened()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is done in it, or nothing where an error ends it."""
        with self._lock, self._telling():
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as problem:
            raise JobError(
                f"The list of jobs, {self._path}, cannot be used ({problem}); make room on its disk, or move it away: "
                "it is made anew from the folders of the runs."
            ) from problem

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = connected(self._path)
            except sqlite3.DatabaseError as problem:
                if isinstance(problem, sqlite3.OperationalError):  # busy, or the disk refuses: not its content
                    raise
                set_aside(self._path)
                self._connection = connected(self._path)
            weakref.finalize(self, self._connection.close)
        return self._connection


def _job(connection: sqlite3.Connection, id: str) -> Job:
    row = connection.execute(f"SELECT {','.join(COLUMNS)} FROM jobs WHERE id = ?", [_text(id)]).fetchone()
    if row is None:
        raise NoSuchJob("There is no such job any more; read the list of jobs again.")
    return _read(row)


def _put(connection: sqlite3.Connection, job: Job) -> None:
    assignments = ",".join(f"{column} = ?" for column in COLUMNS)
    connection.execute(f"UPDATE jobs SET {assignments} WHERE id = ?", [*_written(job), job.id])


def _note(connection: sqlite3.Connection, id: str, line: str) -> None:
    connection.execute("INSERT INTO log (job, at, line) VALUES (?, ?, ?)", [id, time.time(), _text(line)])
    connection.execute(
        "DELETE FROM log WHERE job = ? AND number <= "
        "(SELECT number FROM log WHERE job = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        [id, id, MOST_LINES],
    )


def _marks() -> str:
    return ",".join("?" * len(COLUMNS))


def _written(job: Job) -> list[Any]:
    values = []
    for column in COLUMNS:
        value = getattr(job, column)
        if column in JSON_COLUMNS:
            value = json.dumps(dict(value))
        values.append(_text(value) if isinstance(value, str) and column not in JSON_COLUMNS else value)
    return values


def _read(row: Sequence[Any]) -> Job:
    values = dict(zip(COLUMNS, row, strict=True))
    for column in JSON_COLUMNS:
        values[column] = json.loads(values[column])
    return Job(**{**values, "shared": bool(values["shared"])})


def _text(text: str) -> str:
    """`text` as a database takes it: names of files may hold halves of characters."""
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()
