"""Copies of files, and bytes written into files: what a change is made of."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

_READ_BYTES = 1 << 20
# What network shares say, and folders that may be entered and not be listed.
_NOT_ASKED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES}
_OF_THE_SYSTEM = ("security.", "trusted.")  # extended attributes that only it may set


def sha256(path: Path) -> bytes:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def copy_bytes(source: Path, to: Path) -> bytes:
    """Copy what is in a file into another that exists; give its SHA-256."""
    digest = hashlib.sha256()
    with source.open("rb") as file, to.open("r+b") as copy:
        while data := file.read(_READ_BYTES):
            digest.update(data)
            copy.write(data)
    return digest.digest()


def make_private(path: Path) -> None:
    """Make an empty file that nobody else may read; OSError if there is one."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system can be asked to."""
    if os.name == "nt":  # it does so by itself
        return
    try:
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in _NOT_ASKED:
            raise


def unkept(source: Path, copy: Path) -> str:
    """Give a copy the owner, mode, extended attributes and ACL of its source.

    Returns
    -------
    str
        What cannot be kept, as a clause; empty if all was.
    """
    was, now = source.stat(), copy.stat()
    if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        try:
            os.chown(copy, was.st_uid, was.st_gid)
        except OSError:
            return f"its owner ({was.st_uid}:{was.st_gid}) cannot be given to the copy"
    shutil.copystat(source, copy)
    attributes = _attributes(source)
    for name in _attributes(copy).keys() - attributes.keys():  # an ACL that the folder hands down
        with suppress(OSError):
            os.removexattr(copy, name)
    copy.chmod(stat.S_IMODE(was.st_mode))  # removing an ACL changes the mode
    if _attributes(copy) != attributes:
        return "its extended attributes or ACL cannot be given to the copy"
    return ""


def _attributes(path: Path) -> dict[str, bytes]:
    """Extended attributes of a file, ACL included."""
    found: dict[str, bytes] = {}
    if hasattr(os, "listxattr"):
        with suppress(OSError):  # the file system knows none
            for name in os.listxattr(path):
                if not name.startswith(_OF_THE_SYSTEM):
                    found[name] = os.getxattr(path, name)
    return found


def overwrite(path: Path, new: Path) -> int:
    """Write another file's bytes into a file, only where they differ; give how many were written.

    What is longer is appended first, so that a full disk is met before anything is overwritten;
    what is shorter is cut off last. Interrupted, it can be done again.
    """
    n_written = 0
    with path.open("r+b", buffering=0) as target, new.open("rb") as source:
        size, new_size = target.seek(0, os.SEEK_END), source.seek(0, os.SEEK_END)
        try:
            for at in range(size, new_size, _READ_BYTES):
                n_written += _write_at(target, at, _read_at(source, at, _READ_BYTES))
        except OSError:
            target.truncate(size)
            raise
        for at in range(0, min(size, new_size), _READ_BYTES):
            n_bytes = min(_READ_BYTES, min(size, new_size) - at)
            old, data = _read_at(target, at, n_bytes), _read_at(source, at, n_bytes)
            for begin, end in _differing(old, data):
                n_written += _write_at(target, at + begin, data[begin:end])
        target.truncate(new_size)
        os.fsync(target.fileno())
    return n_written


_APART = 4096  # differences that are nearer are written as one


def _differing(old: bytes, new: bytes) -> Iterator[tuple[int, int]]:
    """Where two blocks of one length differ."""
    if old == new:
        return
    places = np.flatnonzero(np.frombuffer(old, np.uint8) != np.frombuffer(new, np.uint8))
    for group in np.split(places, np.flatnonzero(np.diff(places) > _APART) + 1):
        yield int(group[0]), int(group[-1]) + 1


def is_between(path: Path, old: Path, new: Path) -> bool:
    """Whether a file is what :func:`overwrite` leaves if it is interrupted: each byte of either."""
    sizes = [part.stat().st_size for part in (old, new)]
    size = path.stat().st_size
    if not min(sizes) <= size <= max(sizes):
        return False
    with path.open("rb") as file, old.open("rb") as one, new.open("rb") as other:
        while data := file.read(_READ_BYTES):
            found = np.frombuffer(data, np.uint8)
            is_known = np.zeros(len(data), bool)
            for source in (one, other):
                known = np.frombuffer(source.read(len(data)), np.uint8)
                is_known[: len(known)] |= known == found[: len(known)]
            if not is_known.all():
                return False
    return True


def _read_at(file: BinaryIO, at: int, n_bytes: int) -> bytes:
    file.seek(at)
    data = b""
    while len(data) < n_bytes and (more := file.read(n_bytes - len(data))):
        data += more
    return data


def _write_at(file: BinaryIO, at: int, data: bytes) -> int:
    file.seek(at)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    return len(data)
