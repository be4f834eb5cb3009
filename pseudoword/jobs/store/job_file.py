"""The SQLite file of the list of jobs: its tables, made and brought up to date when it is opened."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from ...errors import JobError

APPLICATION_ID = 0x50734A62  # "PsJb"
WAIT_S = 15.0  # for another process that writes; it takes milliseconds

# One entry a version; a file of an earlier version gets what it lacks.
VERSIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE jobs (id TEXT PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL, title TEXT NOT NULL, "
        "settings TEXT NOT NULL, folder TEXT NOT NULL, server TEXT NOT NULL, state TEXT NOT NULL, "
        "message TEXT NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL, created REAL NOT NULL, started REAL, "
        "ended REAL, priority INTEGER NOT NULL, position REAL NOT NULL, result TEXT NOT NULL, shared INTEGER NOT NULL)",
        "CREATE UNIQUE INDEX one_job_a_folder ON jobs (folder) WHERE folder <> ''",
        "CREATE INDEX jobs_by_state ON jobs (state, created)",
        "CREATE INDEX jobs_by_owner ON jobs (owner, created)",
        "CREATE TABLE log (number INTEGER PRIMARY KEY, job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, "
        "at REAL NOT NULL, line TEXT NOT NULL)",
        "CREATE INDEX log_by_job ON log (job, number)",
    ),
)


def set_aside(path: Path) -> None:
    """Keep a damaged file under another name, with what belongs to it."""
    for companion in ("-wal", "-shm", ""):
        file = path.with_name(path.name + companion)
        if file.exists():
            file.replace(path.with_name(f"{path.name}.damaged-{int(time.time())}{companion}"))


def connected(path: Path) -> sqlite3.Connection:
    """The file at `path`, made where it is missing. Raises JobError for one of a later version, DatabaseError."""
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make a new file a store, and bring one of an earlier version up to date. Raises JobError for a later one."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a result that was told to be there survives a power cut, too
    connection.execute("PRAGMA foreign_keys = ON")
    if connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
        raise sqlite3.DatabaseError("it is damaged")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(VERSIONS):
            raise JobError(
                f"The list of jobs, {path}, was written by a later version of Pseudoword; use that one, or move the "
                "file away: it is made anew from the folders of the runs."
            )
        for statements in VERSIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(VERSIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def empty() -> sqlite3.Connection:
    """What is read as long as there is no file: nothing is written where nothing was asked for."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for statements in VERSIONS:
        for statement in statements:
            connection.execute(statement)
    return connection
