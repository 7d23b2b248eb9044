"""The folder of the spool: the server's own, in which uploads lie as long as requests take."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ostinato.errors import OstinatoError
from ostinato.server.limits import Limits
from ostinato.server.problems import Problem
from ostinato.storage import cause


class Upload:
    """A file that was received; it is deleted at the end of its ``with`` block.

    Attributes
    ----------
    path : Path
        Where it lies: the server's own name.
    name : str
        What its sender calls it: a line of text.
    n_bytes : int
    delete : callable
        Deletes it, once; at the latest, that is done when nobody knows this object any more.
    """

    def __init__(self, path: Path, name: str, n_bytes: int, folder: Folder) -> None:
        self.path, self.name, self.n_bytes = path, name, n_bytes
        self.delete = weakref.finalize(self, _delete, path, folder, n_bytes)

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.delete()


class Folder:
    """A folder that nobody else may read; it goes at ``close()``, or as Python ends.

    Attributes
    ----------
    n_bytes : int
        In all files that lie there.

    Raises
    ------
    OstinatoError
        If there is no space for it, or no right to write.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.n_bytes = self.n_received = 0
        self._numbers = itertools.count()
        place = tempfile.gettempdir()
        try:
            free = shutil.disk_usage(place).free
            if free < limits.upload_bytes:
                raise OstinatoError(
                    f"Expected {limits.upload_bytes / 1e6:.0f} MB or more for uploads in {place}, "
                    f"got {free / 1e6:.0f} MB: free some, or name another folder by TMPDIR."
                )
            self.folder = Path(tempfile.mkdtemp(prefix="ostinato-"))
        except OSError as error:
            raise OstinatoError(
                f"Expected a folder for uploads in {place}, got none: {cause(error)} (TMPDIR)."
            ) from error
        self.close = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def new_file(self) -> tuple[Path, int]:
        """Make a file; its path, and a descriptor to write to."""
        path = self.folder / str(next(self._numbers))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            return path, os.open(path, flags, 0o600)
        except FileNotFoundError:  # systems clean up temporary folders that nobody used for days
            self.folder.mkdir(mode=0o700)
            return path, os.open(path, flags, 0o600)


class Writing:
    """A file that is being written.

    Raises
    ------
    Problem
        Here and in what follows: 413 if it is too large, 429 if the folder holds too much, 507 if
        the disk is full.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self.n_bytes = 0
        self._folder, self._name = folder, name
        with _room():
            self._path, self._descriptor = folder.new_file()

    def add(self, data: bytes) -> None:
        """Write to it."""
        folder, most, n_bytes = self._folder, self._folder.limits.upload_bytes, len(data)
        if self.n_bytes + n_bytes > most:
            raise too_large(f"more in '{self._name}'", most)
        if folder.n_bytes + n_bytes > folder.limits.spool_bytes:
            raise Problem(429, "busy", "Expected room for the upload, got none: try again.", 10)
        self.n_bytes += n_bytes
        folder.n_bytes += n_bytes
        with _room():
            while data:
                data = data[os.write(self._descriptor, data) :]

    def end(self) -> Upload:
        """Close it: it is complete."""
        os.close(self._descriptor)
        self._descriptor = -1
        return Upload(self._path, self._name, self.n_bytes, self._folder)

    def drop(self) -> None:
        """Delete it, unless it is complete."""
        if self._descriptor >= 0:
            self.end().delete()


def _delete(path: Path, folder: Folder, n_bytes: int) -> None:
    with contextlib.suppress(OSError):  # the folder has gone before
        path.unlink()
    folder.n_bytes -= n_bytes


def too_large(got: str, most: int) -> Problem:
    """Give the refusal of what is too large."""
    return Problem(413, "too-large", f"Expected at most {most / 1e6:.1f} MB, got {got}.")


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Problem(
            507, "no-space", f"The server has no room for the upload: {error.strerror}."
        ) from error
