"""Piped sound as a file, since most formats cannot be read in order."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from ostinato.audio.samples import AudioError

MOST_SPOOLED_BYTES = 8 << 30
"""A stream longer than this is refused, lest one that never ends fills the disk."""

MOST_LEFT_BYTES = 256 << 20
"""Disk space that is left free: this much, or a twentieth of the disk where that is less."""

_COPIED_AT_ONCE = 1 << 20  # bytes


def is_pipe(path: Path) -> bool:
    """Whether a path leads to a pipe: a FIFO, ``<(command)``, often ``/dev/stdin``."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def spool_pipe(path: Path) -> Path:
    """Copy what a pipe gives, as :func:`spool` does; it waits for a program that writes to it."""
    name = os.fspath(path)
    try:
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise AudioError(name, f"it cannot be opened ({error.strerror})") from error
    with stream:
        return spool(stream, name)


def spool(stream: BinaryIO, name: str | None = None) -> Path:
    """Copy a stream to its end into a temporary file, which the caller deletes.

    Raises
    ------
    AudioError
        If the stream cannot be read, is a device, gives more than 8 GiB or than the disk of
        temporary files has room for; it is called ``name``, by default by its own.
    """
    name = name or stream_name(stream)
    if stream.isatty():
        raise AudioError(name, "it is a terminal: expected a pipe or a file")
    is_device = _is_device(stream)
    try:
        handle, copy = tempfile.mkstemp(prefix="ostinato-")
    except OSError as error:
        raise AudioError(name, _no_room(error)) from error
    path = Path(copy)
    try:
        with os.fdopen(handle, "wb") as file:
            while data := _read(stream, name):
                if is_device:
                    raise AudioError(name, "it is a device: expected a pipe or a file")
                if file.tell() + len(data) > MOST_SPOOLED_BYTES:
                    most = f"{MOST_SPOOLED_BYTES >> 30} GiB"
                    raise AudioError(name, f"it gave more than {most}: does it ever end")
                disk = shutil.disk_usage(path.parent)
                if disk.free - len(data) < min(MOST_LEFT_BYTES, disk.total // 20):
                    given = f"it gave {file.tell() / 1e9:.1f} GB and goes on"
                    raise AudioError(name, f"{given}, and {_full(path.parent)}")
                file.write(data)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise AudioError(name, _no_room(error)) from error
        raise
    return path


def stream_name(stream: BinaryIO) -> str:
    """Name of a stream for errors: its own, such as ``"<stdin>"``, or ``"<stream>"``."""
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else "<stream>"


def _is_device(stream: BinaryIO) -> bool:
    """Tell ``/dev/zero`` and the like, which would be copied for ever."""
    try:
        return stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)
    except OSError:  # no file at all, but something in memory
        return False


def _read(stream: BinaryIO, name: str) -> bytes:
    try:
        return stream.read(_COPIED_AT_ONCE)
    except OSError as error:
        raise AudioError(name, f"it cannot be read ({error.strerror})") from error


def _full(folder: Path) -> str:
    return f"the disk of {folder} is nearly full; set TMPDIR to another folder"


def _no_room(error: OSError) -> str:
    why = error.strerror or str(error)
    return f"it cannot be copied to a temporary file ({why}); set TMPDIR to another folder"
