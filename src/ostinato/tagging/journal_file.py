"""The file of a journal: its tables, and what is said where it cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from ostinato.errors import OstinatoError
from ostinato.storage import cause, printable

VERSION = 1
_PATIENCE_S = 10.0
_APPLICATION = 0x4F73_7467  # "Ostg": other programs have SQLite files as well

_SCHEMA = f"""
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, model TEXT NOT NULL, settings TEXT NOT NULL,
    undoes INTEGER REFERENCES runs
);
CREATE TABLE starts (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, path BLOB NOT NULL,
    part BLOB NOT NULL
);
CREATE TABLE changes (
    start INTEGER PRIMARY KEY REFERENCES starts, time REAL NOT NULL, way TEXT NOT NULL,
    undoes INTEGER REFERENCES starts, device INTEGER NOT NULL, inode INTEGER NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, payload TEXT NOT NULL,
    old_tags TEXT NOT NULL, genres TEXT NOT NULL, old_sha256 BLOB NOT NULL,
    new_sha256 BLOB NOT NULL, new_size INTEGER NOT NULL, new_mtime_ns INTEGER NOT NULL,
    delta BLOB NOT NULL, forward BLOB NOT NULL
);
CREATE INDEX changes_undoes ON changes (undoes) WHERE undoes IS NOT NULL;
CREATE TABLE ends (
    start INTEGER PRIMARY KEY REFERENCES starts, time REAL NOT NULL, what TEXT NOT NULL,
    why TEXT NOT NULL
);
CREATE INDEX starts_run ON starts (run);
CREATE TABLE writers (time REAL NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {VERSION};
"""


class JournalError(OstinatoError):
    """A journal cannot be used: of a newer version, damaged, in use (exit status 1)."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file of a journal; it and its folder are made if they do not exist.

    Raises
    ------
    JournalError
        If it is of a newer version, damaged, no journal, or cannot be read or made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite_errors(path):
            # isolation_level None: transactions begin where it is written, and nowhere else.
            connection = sqlite3.connect(
                path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            try:
                if not _asked(connection, "page_count"):
                    _make(connection, path)
                _check(connection, path)
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA journal_mode = WAL")
            except BaseException:
                connection.close()
                raise
    except OSError as error:
        name = printable(str(path))
        raise JournalError(f"The journal {name} cannot be made: {cause(error)}.") from error
    return connection


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn an error of SQLite's within the context into a JournalError."""
    try:
        yield
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.OperationalError):
            advice = "; mend that, or choose another journal"
        else:
            advice = ": it is damaged, or no journal; choose another"
        name = printable(str(path))
        raise JournalError(f"The journal {name} cannot be used: {error}{advice}.") from error


def _make(connection: sqlite3.Connection, path: Path) -> None:
    with FileLock(f"{path}.lock", timeout=_PATIENCE_S):  # two runs may be the first at once
        if _asked(connection, "page_count"):
            return
        if path.exists() and path.stat().st_size:  # SQLite would overwrite a page of anything
            raise sqlite3.DatabaseError("file is not a database")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    name, version = printable(str(path)), _asked(connection, "user_version")
    if _asked(connection, "application_id") != _APPLICATION:
        raise JournalError(f"{name} is a database of another program: choose another journal.")
    if version > VERSION:
        raise JournalError(
            f"The journal {name} was written by a newer Ostinato (its form is version {version}, "
            f"this one knows {VERSION}): update Ostinato, or choose another journal."
        )


def _asked(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
