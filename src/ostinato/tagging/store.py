"""What is known of a library: the tags of its files, and the verdicts on their sound.

A SQLite file in the user's cache. Tags are kept by a file's path for as long as its size and times
stay, verdicts by the digest of the sound (:mod:`ostinato.tagging.payload`) and of the model: a file
that is moved or tagged anew is not heard again, and another model hears all of them. Whatever is in
it can be found out again, so it may be deleted.

That a file cannot be used is kept as well, for this version of Ostinato and as long as the file
stays; but not what the system refused: permission, memory, a disk that fails.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

from ostinato.errors import OstinatoError
from ostinato.inference.model_info import ModelInfo
from ostinato.inference.verdict import Verdict
from ostinato.storage import cause, printable
from ostinato.tagging.file_tags import FileTags

VERSION = 1
_COMMIT_S = 0.5  # a kill loses what was found out within this time
_WAIT_S = 60.0  # for another run that writes

_TABLES = """
CREATE TABLE files (
  folder BLOB, name BLOB, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, tags TEXT, sound TEXT,
  failure TEXT, PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE TABLE verdicts (
  sound TEXT, model TEXT, verdict TEXT, PRIMARY KEY (sound, model)
) WITHOUT ROWID;
"""
_OF_FOLDER = """
SELECT name, size, mtime_ns, ctime_ns, tags, files.sound, verdict, failure FROM files
LEFT JOIN verdicts ON verdicts.sound = files.sound AND model = ? WHERE folder = ?
"""


class StoreError(OstinatoError):
    """What is known of a library cannot be read or written (exit status 1)."""


class State(NamedTuple):
    """What changes if a file does."""

    size: int
    mtime_ns: int
    ctime_ns: int  # as well: other programs write tags and set the time of change back


def state_of(path: Path) -> State:
    """The state of a file, or OSError."""
    status = path.stat()
    return State(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Known(NamedTuple):
    """What is known of a file."""

    state: State
    tags: str  # packed
    sound: str | None  # the digest of its sound; None if it was never needed
    verdict: str | None  # packed
    failure: str  # why it cannot be used; empty if it can, or that is to be tried again


class Store:
    """What is known of libraries, for one model. One thread uses it.

    Parameters
    ----------
    path : Path
        The file; it is made if it is not there.
    model : str
        The digest of the model, and of how it listens.

    Raises
    ------
    StoreError
        From any method: the file is damaged, of a newer version, or cannot be read or written.
    """

    def __init__(self, path: Path, *, model: str) -> None:
        self.path = path
        self._model = model
        self._committed_at = time.monotonic()
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def of_folder(self, folder: Path) -> dict[bytes, Known]:
        """What is known of the files in a folder, by their names."""
        with self._told():
            rows = self._db.execute(_OF_FOLDER, (self._model, os.fsencode(folder.absolute())))
            return {
                name: Known(State(*state), tags, sound, verdict, _of_this_version(failure))
                for name, *state, tags, sound, verdict, failure in rows
            }

    def remember(
        self, path: Path, state: State, tags: FileTags, sound: str | None, failure: str = ""
    ) -> None:
        """Remember a file's tags, the digest of its sound if it is known, or why it has failed.

        ``state`` is from before they were read.
        """
        said = json.dumps(astuple(tags))
        failed = f"{_version()} {failure}" if failure else ""
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*_place(path), *state, said, sound, failed))  # fmt: skip

    def forget(self, path: Path) -> None:
        """Forget a file that is about to change; verdicts on its sound stay."""
        self._write("DELETE FROM files WHERE folder = ? AND name = ?", _place(path))

    def verdict(self, sound: str) -> str | None:
        """The packed verdict on a sound; None if there is none."""
        with self._told():
            found = self._db.execute(
                "SELECT verdict FROM verdicts WHERE sound = ? AND model = ?", (sound, self._model)
            ).fetchone()
        return None if found is None else str(found[0])

    def remember_verdict(self, sound: str, verdict: Verdict) -> None:
        """Remember the verdict on a sound."""
        self._write("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?)",
                    (sound, self._model, packed(verdict)))  # fmt: skip

    def commit(self) -> None:
        """Write what was remembered to the disk."""
        with self._told():
            self._db.commit()
        self._committed_at = time.monotonic()

    def close(self) -> None:
        """Commit, and close the file."""
        self.commit()
        self._db.close()

    def _prepare(self) -> None:
        """Make the tables where there are none; StoreError if they are of a newer version."""
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                f"'{printable(str(self.path))}' is of a newer version of Ostinato: use that one, "
                "or delete the file, and files are heard again."
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with self._told():
            self._db.execute(statement, values)
        if time.monotonic() - self._committed_at > _COMMIT_S:
            self.commit()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite and the system refuse into a sentence."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"'{printable(str(self.path))}', which keeps what is known of a library, cannot be "
                f"used ({cause(error)}): choose another folder with --cache, or delete it if it "
                "is damaged, and files are heard again."
            ) from error


def _version() -> str:
    return str(sys.modules["ostinato"].__version__)  # imported from there, it would be a cycle


def _of_this_version(failure: str) -> str:
    version, _, reason = failure.partition(" ")
    return reason if version == _version() else ""


def _place(path: Path) -> tuple[bytes, bytes]:
    path = path.absolute()  # not resolved: slow, and a link's state is that of its target already
    return os.fsencode(path.parent), os.fsencode(path.name)


def unpacked_tags(text: str) -> FileTags:
    """The tags that were packed."""
    names = FileTags.__dataclass_fields__
    values = dict(zip(names, json.loads(text), strict=True))
    return FileTags(**(values | {"genres": tuple(values["genres"])}))


def packed(verdict: Verdict) -> str:
    """A verdict as text, without its timeline and what the model's file says anyway."""
    shares = dict(verdict.ranked)
    return json.dumps([
        verdict.genre, verdict.abstained, verdict.probability, verdict.seconds, verdict.named,
        [shares[genre] for genre in verdict.genres] if shares else [],
        verdict.distance, verdict.heard_channel,
    ])  # fmt: skip


def unpacked(text: str, info: ModelInfo, *, model: str) -> Verdict:
    """The verdict that was packed, by a model of this name."""
    genre, abstained, probability, seconds, named, shares, distance, channel = json.loads(text)
    pairs = zip(info.genres, shares, strict=True) if shares else ()
    return Verdict(
        model=model,
        model_version=info.version or None,
        genre=genre,
        abstained=abstained,
        named=tuple(named),
        probability=probability,
        ranked=tuple(sorted(pairs, key=lambda pair: -pair[1])),
        seconds=seconds,
        genres=info.genres,
        distance=distance,
        threshold=info.threshold,
        thresholds=info.thresholds,
        other=info.other,
        heard_channel=channel,
    )
