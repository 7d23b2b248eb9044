"""What is kept of a file that is changed, and what is told of it later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ostinato.tagging.file_tags import FileTags

Way = Literal["copy", "in-place"]
End = Literal["done", "dropped", "left"]
State = Literal["begun", "done", "dropped", "left", "undone"]


class Run(NamedTuple):
    """A run that wrote, or meant to.

    ``time`` is in seconds since 1970; ``n_files`` were changed, and ``n_undone`` of them are as
    before by now.
    """

    id: int
    time: float
    model: str
    settings: str
    undoes: int | None
    n_files: int
    n_undone: int


class Start(NamedTuple):
    """A file that was going to be changed, and the name of the temporary copy."""

    id: int
    run: int
    path: Path
    part: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """All that is kept of a file before it is replaced.

    ``way`` is ``"copy"`` (another file took the name) or ``"in-place"``; ``undoes`` is the start
    whose change this takes back. ``delta`` makes the old file from the new one; ``forward``, in
    place, the new from the old; it is empty where the copy has the new bytes.
    """

    way: Way
    undoes: int | None = None
    device: int
    inode: int
    size: int
    mtime_ns: int
    payload: str
    old_tags: FileTags
    genres: tuple[str, ...]
    old_sha256: bytes
    new_sha256: bytes
    new_size: int
    new_mtime_ns: int
    delta: bytes
    forward: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A line of the history: what became of a file in a run.

    ``time`` is in seconds since 1970; ``genres`` are what it got, ``old_tags`` what it had;
    ``undoes`` is the run that was taken back by this, if one was.
    ``state`` is ``"done"``, or ``"undone"`` if a later run took it back; ``"dropped"``: it is as it
    was; ``"left"``: it was interrupted, and somebody changed the file before it was mended;
    ``"begun"``: it is being changed, or was interrupted and not mended yet.
    """

    start: int
    run: int
    undoes: int | None
    time: float
    path: Path
    model: str
    way: Way
    old_tags: FileTags
    genres: tuple[str, ...]
    state: State
    why: str
