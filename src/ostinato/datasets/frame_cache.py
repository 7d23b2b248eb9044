"""Frames on disk: the frames of a file are computed once.

The cache is a folder (the user's cache folder, or ``--cache DIR``)::

    hashes.txt                                 the SHA-256 of each path when it was last read
    tags.txt                                   artist, album and title, by SHA-256
    <FeatureSpec digest>/<ab>/<sha256>.npy     the frames of a file with these bytes
    <FeatureSpec digest>/<ab>/<sha256>-*.npy   those of an augmented copy, or another fact of it

The key of an entry is the SHA-256 of the file's *bytes* and the digest of the FeatureSpec: a file
that is moved, renamed or copied is found again, a changed one is not. ``hashes.txt`` maps (path,
size, modification time) to the SHA-256, and only saves reading the file. Entries are spread over
256 sub-folders: 100,000 files are some 400 a folder.

Several processes may use one cache at once. An entry is written beside its place and renamed, so it
is whole or absent. It ends with the SHA-256 of its other bytes (NumPy reads such a file as any
other ``.npy``), checked on every load: a damaged entry counts as absent. A line of a text file is
appended in one write and carries its own checksum, so a torn line is ignored.

Failures are not kept: a file that could not be read is tried again each time.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.errors import OstinatoError
from ostinato.features import FeatureSpec, Frames
from ostinato.storage import WriteError, cause, expanded, replacing, user_cache

_HASHES, _TAGS = "hashes.txt", "tags.txt"

_SETTLED_NS = 2_000_000_000
"""A file that changed within this time may change again under the same modification time: FAT's
clock, the coarsest in use, ticks every 2 s."""


class CacheError(OstinatoError):
    """The cache cannot be read or written: a full disk, no permission (exit status 1)."""


class FrameCache:
    """Frames, by the content of their file and their FeatureSpec; CacheError where it fails.

    The folder is created by the first write; by default it is the user's cache, e.g.
    ``~/.cache/ostinato/frames``. Where that cannot be written, ``note`` says which folder is used.
    """

    def __init__(self, folder: Path | None = None) -> None:
        own, self.note = user_cache() if folder is None else (folder, "")
        self.folder = own / "frames" if folder is None else expanded(own)
        self._hashes: dict[tuple[str, int, int], str] | None = None  # by path, size and time
        self._tags: dict[str, tuple[str | None, ...]] | None = None  # by SHA-256

    def known_hash(self, path: Path, *, size: int, mtime_ns: int) -> str | None:
        """The remembered SHA-256 of a file; None if the file is new or has changed since."""
        if self._hashes is None:
            self._hashes = {(a, b, c): sha256 for a, b, c, sha256 in self._read(_HASHES)}
        return self._hashes.get(_key(path, size, mtime_ns))

    def remember_hash(self, path: Path, *, size: int, mtime_ns: int, sha256: str) -> None:
        """Remember the SHA-256 of a file, unless it changed a moment ago.

        ``size`` (bytes) and ``mtime_ns`` are from *before* the file was hashed.
        """
        if time.time_ns() - mtime_ns < _SETTLED_NS:
            return
        key = _key(path, size, mtime_ns)
        self._append(_HASHES, [*key, sha256])
        if self._hashes is not None:
            self._hashes[key] = sha256

    def known_tags(self, sha256: str) -> tuple[str | None, ...] | None:
        """The remembered tags of the file with these bytes; None if they were never read."""
        if self._tags is None:
            self._tags = {sha256: tuple(tags) for sha256, *tags in self._read(_TAGS)}
        return self._tags.get(sha256)

    def remember_tags(self, sha256: str, tags: tuple[str | None, ...]) -> None:
        """Remember the tags of the file with these bytes."""
        self._append(_TAGS, [sha256, *tags])
        if self._tags is not None:
            self._tags[sha256] = tags

    def load(self, sha256: str, spec: FeatureSpec, *, suffix: str = "") -> Frames | None:
        """The frames of the file with these bytes; None if they are absent or damaged.

        ``suffix`` names an augmented copy, or another fact of the file.
        """
        try:
            content = self._entry(sha256, spec, suffix).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error("read", error) from error
        body, checksum = content[:-32], content[-32:]
        if hashlib.sha256(body).digest() != checksum:
            return None
        stored: Frames = np.load(io.BytesIO(body), allow_pickle=False)
        return stored

    def store(self, sha256: str, spec: FeatureSpec, computed: Frames, *, suffix: str = "") -> None:
        """Store the frames of the file with these bytes, whole or not at all."""
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(computed, dtype=np.float32), allow_pickle=False)
        body = buffer.getvalue()
        try:
            with replacing(self._entry(sha256, spec, suffix)) as beside:
                beside.write_bytes(body + hashlib.sha256(body).digest())
        except WriteError as error:
            raise self._error("written", error.__cause__) from error

    def shards(self, spec: FeatureSpec) -> Path:
        """The folder for frames of this spec in shards (:mod:`ostinato.datasets.shards`)."""
        return self.folder / spec.digest() / "shards"

    def _entry(self, sha256: str, spec: FeatureSpec, suffix: str) -> Path:
        name = f"{sha256}-{suffix}" if suffix else sha256
        return self.folder / spec.digest() / sha256[:2] / f"{name}.npy"

    def _append(self, name: str, values: list[Any]) -> None:
        """Append a line to a text file of the cache."""
        record = json.dumps(values).encode("ascii")
        # The line break comes first: this record begins a line even after a torn one.
        line = b"\n%08x %s" % (zlib.crc32(record), record)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / name).open("ab", buffering=0) as file:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise self._error("written", error) from error

    def _read(self, name: str) -> Iterator[list[Any]]:
        """The lines of a text file of the cache that are whole."""
        try:
            lines = (self.folder / name).read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error("read", error) from error
        for line in lines:
            checksum, _, record = line.partition(b" ")
            if record and checksum == b"%08x" % zlib.crc32(record):
                yield json.loads(record)

    def _error(self, verb: str, error: BaseException | None) -> CacheError:
        return CacheError(
            f"The frame cache '{self.folder}' (--cache DIR) cannot be {verb}: {cause(error)}."
        )


def _key(path: Path, size: int, mtime_ns: int) -> tuple[str, int, int]:
    # Not resolved: the status is that of a link's target already, and resolving is slow.
    return str(path.absolute()), size, mtime_ns
