"""Piped sound as a file, since most formats cannot be read in order."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from ostinato.audio.samples import AudioError

MOST_SPOOLED_BYTES = 8 << 30
"""A stream longer than this is refused, lest one that never ends fills the disk."""

_COPIED_AT_ONCE = 1 << 20  # bytes


def spool(stream: BinaryIO) -> Path:
    """Copy a stream to its end into a temporary file, which the caller deletes.

    Raises
    ------
    AudioError
        If the stream cannot be read, gives more than 8 GiB, or the disk is full.
    """
    name = stream_name(stream)
    handle, copy = tempfile.mkstemp(prefix="ostinato-")
    path = Path(copy)
    try:
        with os.fdopen(handle, "wb") as file:
            while data := stream.read(_COPIED_AT_ONCE):
                if file.tell() + len(data) > MOST_SPOOLED_BYTES:
                    most = f"{MOST_SPOOLED_BYTES >> 30} GiB"
                    raise AudioError(name, f"it gave more than {most}: does it ever end")
                file.write(data)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            why = f"it cannot be copied to a file ({error.strerror})"
            raise AudioError(name, why) from error
        raise
    return path


def stream_name(stream: BinaryIO) -> str:
    """Name of a stream for errors: its own, such as ``"<stdin>"``, or ``"<stream>"``."""
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else "<stream>"
