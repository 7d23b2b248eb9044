"""Bytes of an open file: read where they must be there, and replaced by more or fewer."""

from __future__ import annotations

import os
from typing import BinaryIO

from mutagen._util import resize_bytes

from ostinato.tagging.file_tags import Damaged

NEW_PADDING = 1024
"""Bytes left free behind a tag that is made or outgrows its place, so that the next change fits."""


def size_of(file: BinaryIO) -> int:
    """Size of the file in bytes."""
    return file.seek(0, os.SEEK_END)


def read_at(file: BinaryIO, at: int, n_bytes: int) -> bytes:
    """Exactly these bytes; Damaged if the file ends before them, whatever size is claimed."""
    if at < 0 or n_bytes < 0 or at + n_bytes > size_of(file):
        raise Damaged("it is cut off, or states a size that is not its own")
    file.seek(at)
    return file.read(n_bytes)


def replace_at(file: BinaryIO, at: int, old_size: int, new: bytes) -> None:
    """Put bytes in the place of others; what is behind them moves if the sizes differ."""
    resize_bytes(file, old_size, len(new), at)
    file.seek(at)
    file.write(new)
