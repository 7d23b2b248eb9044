"""The journal of changed files: what each file was, what it became, and how to bring it back.

It is a database of SQLite in four tables, to which rows are added and never changed:

- ``runs``: when, by which model, with which settings; for an undo, which run it undoes;
- ``starts``: before a copy is made, where and under which temporary name;
- ``changes``: before a file is replaced, all that is known of it, with the delta to its old bytes;
- ``ends``: after that, how it ended.

A start without an end was interrupted: :func:`ostinato.tagging.repair.repair` mends it.
``writers`` says who has held the lock. docs/reference/tag-journal.md describes every column.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from ostinato.storage import cause, is_file, printable, user_data
from ostinato.tagging.entry import Change, End, Entry, Run, Start
from ostinato.tagging.file_tags import FileTags
from ostinato.tagging.journal_file import JournalError, connect, sqlite_errors

NAME = "tags.sqlite"


class Journal:
    """An open journal; close it, or use it as a context. One thread uses it at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._ended: list[tuple[int, float, str, str]] = []  # not written yet
        self._is_writing = False

    @classmethod
    def open(cls, path: Path | None = None, *, must_exist: bool = False) -> Journal:
        """Open a journal, by default the user's; it and its folder are made if they do not exist.

        Raises
        ------
        UsageError
            If no path is given, and the user has no home folder.
        JournalError
            If it is of a newer version, damaged, no journal, or cannot be read or made; with
            ``must_exist``, if there is none.
        """
        path = user_data(NAME, option="--journal") if path is None else path.absolute()
        if must_exist and not is_file(path):
            name = printable(str(path))
            raise JournalError(f"There is no journal {name}: nothing was written by it yet.")
        return cls(path, connect(path))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is not written yet, and close it."""
        try:
            self.flush()
        finally:
            self._connection.close()

    # --- writing -----------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of the one who writes; JournalError, which names the other, if held."""
        lock = FileLock(f"{self.path}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise JournalError(f"Another run writes files: {self._writer()}.") from error
        except OSError as error:
            name = printable(str(self.path))
            raise JournalError(f"The journal {name} cannot be locked: {cause(error)}.") from error
        try:
            with sqlite_errors(self.path):
                self._connection.execute(
                    "INSERT INTO writers VALUES (?, ?, ?)",
                    (time.time(), os.getpid(), platform.node()),
                )
            self._is_writing = True
            yield
            self.flush()
        finally:
            self._is_writing = False
            with suppress(JournalError):  # after an error, which is what to tell
                self.flush()
            lock.release()

    def begin_run(self, *, model: str, settings: str, undoes: int | None = None) -> int:
        """Add a run, and give its number; within :meth:`writing`."""
        assert self._is_writing, "begin_run belongs inside `with journal.writing()`"
        with sqlite_errors(self.path):
            added = self._connection.execute(
                "INSERT INTO runs (time, model, settings, undoes) VALUES (?, ?, ?, ?)",
                (time.time(), model, settings, undoes),
            )
        return int(added.lastrowid or 0)

    def start(self, run: int, path: Path, part: str) -> int:
        """Note that a file is going to be copied to a temporary name; give the start's number."""
        assert self._is_writing, "start belongs inside `with journal.writing()`"
        with self._transaction(is_lasting=False):
            added = self._connection.execute(
                "INSERT INTO starts (run, path, part) VALUES (?, ?, ?)",
                (run, os.fsencode(path), os.fsencode(part)),
            )
        return int(added.lastrowid or 0)

    def begin(self, start: int, change: Change) -> None:
        """Note a change, so that it outlives a loss of power, before the file is replaced."""
        row = {
            "start": start,
            "time": time.time(),
            **{name: getattr(change, name) for name in change.__slots__},
            "old_tags": json.dumps(asdict(change.old_tags), ensure_ascii=True),
            "genres": json.dumps(change.genres, ensure_ascii=True),
            # An inode may take all of 64 bits, and SQLite has a sign.
            "device": _signed(change.device),
            "inode": _signed(change.inode),
        }
        with self._transaction(is_lasting=True):
            names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
            self._connection.execute(f"INSERT INTO changes ({names}) VALUES ({places})", row)

    def end(self, start: int, what: End, why: str = "") -> None:
        """Note how a start ended. It is written with what comes next: if lost, it is found out."""
        self._ended.append((start, time.time(), what, why))

    def flush(self) -> None:
        """Write what is not written yet."""
        if self._ended:
            with self._transaction(is_lasting=True):
                pass

    @contextmanager
    def _transaction(self, *, is_lasting: bool) -> Iterator[None]:
        """Write all that is done within the context, and the ends before it, as one."""
        with sqlite_errors(self.path):
            if self._connection.in_transaction:  # what was interrupted
                self._connection.execute("ROLLBACK")
            # NORMAL outlives a killed process, FULL a machine that stops as well.
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if is_lasting else 'NORMAL'}")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                # An interruption may come between an end and its being known: the first one counts.
                self._connection.executemany(
                    "INSERT OR IGNORE INTO ends VALUES (?, ?, ?, ?)", self._ended
                )
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise
            self._ended.clear()

    def _writer(self) -> str:
        """Who took the lock last, as a clause."""
        with sqlite_errors(self.path):
            row = self._connection.execute(
                "SELECT time, pid, host FROM writers ORDER BY rowid DESC LIMIT 1"
            ).fetchone()
        name = printable(str(self.path))
        if row is None:
            return f"it holds the lock of {name}; wait for it"
        began, pid, host = row
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(began))
        elsewhere = f" on {printable(host)}" if host != platform.node() else ""
        return f"process {pid}{elsewhere} holds {name} since {since}; wait for it, or end it"

    # --- reading -----------------------------------------------------------------------------

    def open_starts(self) -> list[Start]:
        """Starts that have no end, the oldest first."""
        return self._starts("WHERE id NOT IN (SELECT start FROM ends)")

    def done(self, run: int, paths: Sequence[Path] = ()) -> list[Start]:
        """Changes of a run that are done and not taken back, the newest first.

        Those of files at or below some paths, if any are given.
        """
        undone = self._undone()
        where, names = _below(paths)
        done = self._starts(
            "JOIN ends ON ends.start = id AND what = 'done' "
            f"WHERE run = ? AND {where} ORDER BY id DESC",
            run,
            *names,
        )
        return [start for start in done if start.id not in undone]

    def change(self, start: int) -> Change | None:
        """The change that was begun at a start; None if none was."""
        names = Change.__slots__
        with sqlite_errors(self.path):
            row = self._connection.execute(
                f"SELECT {', '.join(names)} FROM changes WHERE start = ?", (start,)
            ).fetchone()
        if row is None:
            return None
        with sqlite_errors(self.path):
            kept = dict(zip(names, row, strict=True))
            kept |= {"old_tags": _tags(kept["old_tags"]), "genres": _genres(kept["genres"])}
            kept |= {name: kept[name] % (1 << 64) for name in ("device", "inode")}
            return Change(**kept)

    def history(self, path: Path | None = None) -> Iterator[Entry]:
        """All changes, the oldest first; those of a file, or of the files below a folder."""
        undone = self._undone()
        where, names = _below([path] if path else [])
        with sqlite_errors(self.path):
            rows = self._connection.execute(
                "SELECT starts.id, run, runs.undoes, changes.time, path, model, way, old_tags, "
                "genres, coalesce(what, 'begun'), coalesce(why, '') FROM changes "
                "JOIN starts ON starts.id = changes.start JOIN runs ON runs.id = run "
                f"LEFT JOIN ends ON ends.start = starts.id WHERE {where} ORDER BY starts.id",
                names,
            )
            for start, run, undoes, at, name, model, way, tags, genres, what, why in rows:
                yield Entry(
                    start=start,
                    run=run,
                    undoes=undoes,
                    time=at,
                    path=_path(name),
                    model=model,
                    way=way,
                    old_tags=_tags(tags),
                    genres=_genres(genres),
                    state="undone" if what == "done" and start in undone else what,
                    why=why,
                )

    def runs(self) -> Iterator[Run]:
        """All runs, the oldest first."""
        undone = self._undone()
        n_files: Counter[int] = Counter()
        n_undone: Counter[int] = Counter()
        with sqlite_errors(self.path):
            for start, run in self._connection.execute(
                "SELECT id, run FROM starts JOIN ends ON ends.start = id AND what = 'done'"
            ):
                n_files[run] += 1
                n_undone[run] += start in undone
            rows = self._connection.execute(
                "SELECT id, time, model, settings, undoes FROM runs ORDER BY id"
            )
            for run, at, model, settings, undoes in rows:
                yield Run(run, at, model, settings, undoes, n_files[run], n_undone[run])

    def last_run(self, paths: Sequence[Path] = ()) -> int | None:
        """The last run whose changes, of files at or below these paths, are not taken back.

        Those that undid another are not meant: each call goes one run further back. None if there
        is no such run.
        """
        undone = self._undone()
        where, names = _below(paths)
        with sqlite_errors(self.path):
            rows = self._connection.execute(
                "SELECT starts.id, run FROM starts JOIN runs ON runs.id = run "
                "JOIN ends ON ends.start = starts.id AND what = 'done' "
                f"WHERE runs.undoes IS NULL AND {where} ORDER BY starts.id DESC",
                names,
            )
            return next((run for start, run in rows if start not in undone), None)

    def run(self, number: int) -> Run:
        """A run by its number; JournalError if there is none."""
        found = next((run for run in self.runs() if run.id == number), None)
        if found is None:
            name = printable(str(self.path))
            raise JournalError(f"There is no run {number} in {name}: --history lists its runs.")
        return found

    def _starts(self, where: str, *values: object) -> list[Start]:
        """Starts, and what is written of them."""
        self.flush()
        with sqlite_errors(self.path):
            rows = self._connection.execute(
                f"SELECT id, run, path, part FROM starts {where}", values
            )
            return [Start(n, run, _path(path), os.fsdecode(part)) for n, run, path, part in rows]

    def _undone(self) -> set[int]:
        """Starts whose changes were taken back, by a change that was not taken back itself."""
        self.flush()
        undone: set[int] = set()
        with sqlite_errors(self.path):
            for start, undoes in self._connection.execute(
                "SELECT changes.start, undoes FROM changes JOIN ends ON ends.start = changes.start "
                "AND what = 'done' WHERE undoes IS NOT NULL ORDER BY changes.start DESC"
            ):
                if start not in undone:
                    undone.add(undoes)
        return undone


def _below(paths: Sequence[Path]) -> tuple[str, list[bytes]]:
    """A condition of SQL for these files, and those below these folders; true if there are none."""
    names: list[bytes] = []
    for path in paths:
        name = os.fsencode(os.path.realpath(path))
        folder = name.rstrip(os.fsencode(os.sep)) + os.fsencode(os.sep)
        names += [name, folder, folder[:-1] + bytes([folder[-1] + 1])]
    one = "(starts.path = ? OR starts.path >= ? AND starts.path < ?)"
    return " OR ".join([one] * len(paths)).join("()") if paths else "TRUE", names


def _path(name: bytes) -> Path:
    return Path(os.fsdecode(name))


def _tags(text: str) -> FileTags:
    try:
        said = json.loads(text)
        return FileTags(**said | {"genres": tuple(said["genres"])})
    except (ValueError, TypeError, KeyError) as error:
        raise sqlite3.DatabaseError("a row of it cannot be read") from error


def _genres(text: str) -> tuple[str, ...]:
    try:
        return tuple(json.loads(text))
    except (ValueError, TypeError) as error:
        raise sqlite3.DatabaseError("a row of it cannot be read") from error


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
