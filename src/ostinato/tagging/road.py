"""The one road by which a file is changed, and changed back.

1. The journal learns the temporary name. A copy is made, beside the file, or among the temporary
   files if the file shall be overwritten in place. The new bytes are made there, and proven.
2. The journal learns all that is needed to bring the old bytes back: from here on, that outlives a
   loss of power. What brings them back was tried.
3. If nobody has touched the file meanwhile, the copy takes its name, or it is overwritten where it
   differs. The journal learns that it is done.

After every step, an interruption leaves the old file or the new one, or bytes of both that
:mod:`ostinato.tagging.repair` makes the new one; and the journal says which.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import NamedTuple, Never

from ostinato.audio.samples import AudioError
from ostinato.storage import cause, printable
from ostinato.tagging import copies
from ostinato.tagging.delta import DeltaError, apply_delta, reverse_delta
from ostinato.tagging.entry import Change, Start, Way
from ostinato.tagging.file_tags import FileTags, TagError
from ostinato.tagging.journal import Journal
from ostinato.tagging.repair import part_paths, remove_parts, settle

_LONGEST_SUFFIX = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A file that was changed, as it is now.

    ``path`` is the file itself where a link was given. ``way`` is None if it needed no change:
    nothing was written then. ``n_bytes`` were written into it or its copy; ``mtime_ns`` is in
    nanoseconds since 1970; ``payload`` is the digest of its sound.
    """

    path: Path
    way: Way | None
    n_bytes: int
    size: int
    mtime_ns: int
    payload: str


class Made(NamedTuple):
    """What is known of a file whose new bytes were made."""

    payload: str
    old_tags: FileTags
    genres: tuple[str, ...]
    old_sha256: bytes
    undoes: int | None = None


class Target(NamedTuple):
    """A file that may be changed, and its status when it was looked at."""

    path: Path
    status: os.stat_result

    @property
    def n_names(self) -> int:
        """Number of its hard links."""
        return self.status.st_nlink

    def leave(self, reason: str) -> Never:
        """Raise a TagError: the file is left, for this reason, which is a clause."""
        raise _left(self.path, reason)

    def check_untouched(self) -> None:
        """Raise a TagError if anybody has touched the file since."""
        now = self.path.stat()
        for name in ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"):
            if getattr(now, name) != getattr(self.status, name):
                self.leave("another program changed it meanwhile")


def look_at(path: Path) -> Target:
    """Look at a file that is to be changed; a link stands for what it leads to.

    Raises
    ------
    TagError
        If it is gone, no file, a loop of links, or read-only.
    """
    with _told(path):
        target = Target(Path(os.path.realpath(path, strict=True)), path.stat())
    if not S_ISREG(target.status.st_mode):
        target.leave("it is no regular file")
    if not target.status.st_mode & 0o222:  # root may write it, and yet its owner does not want it
        target.leave(f"it is read-only (mode {S_IMODE(target.status.st_mode):04o})")
    with _told(path):
        target.path.open("r+b").close()  # a copy could take the name of what may not be written
    return target


def _left(path: Path, reason: str) -> TagError:
    return TagError(f"'{printable(str(path))}' is left as it is: {reason}.", reason)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file within the context into a TagError."""
    try:
        yield
    except (OSError, DeltaError) as error:
        is_gone = isinstance(error, FileNotFoundError) and not os.path.lexists(path)
        reason = "it is gone" if is_gone else cause(error).partition(";")[0]
        raise _left(path, reason) from error
    except AudioError as error:
        raise _left(path, error.reason) from error


def replace_file(
    journal: Journal,
    run: int,
    target: Target,
    make: Callable[[Path], Made],
    *,
    in_place: bool,
    keeps_links: bool,
    mtime_ns: int,
) -> Changed:
    """Replace what is in a file by what ``make`` writes into a temporary one, which is empty.

    With ``keeps_links`` it is overwritten, so that all its hard links show the same; with
    ``in_place`` as well, if its size stays what it was. Else the temporary file takes its name,
    and gets ``mtime_ns`` as its time of change, in nanoseconds since 1970.

    Raises
    ------
    TagError
        If the file must be left, or anything goes wrong; it is as it was then.
    JournalError
        If the journal cannot be written; the file is as it was, or the next run mends it.
    """
    suffix = target.path.suffix if len(os.fsencode(target.path.suffix)) < _LONGEST_SUFFIX else ""
    part = f".ostinato-{secrets.token_hex(8)}.part{suffix}"
    start = Start(journal.start(run, target.path, part), run, target.path, part)
    try:
        with _told(target.path):
            return _replaced(journal, start, target, make, in_place, keeps_links, mtime_ns)
    except BaseException as error:
        # Where not even this is possible, the start has no end, and the next run mends it.
        what, sentence = settle(journal, start)
        if what != "dropped" and isinstance(error, TagError):
            raise TagError(sentence) from error
        raise


def _replaced(
    journal: Journal,
    start: Start,
    target: Target,
    make: Callable[[Path], Made],
    in_place: bool,
    keeps_links: bool,
    mtime_ns: int,
) -> Changed:
    beside, elsewhere = part_paths(start)
    size = target.status.st_size
    part = elsewhere if in_place else beside
    copies.make_private(part)
    made = make(part)
    new_sha256 = copies.sha256(part)
    if new_sha256 == made.old_sha256:
        target.check_untouched()
        remove_parts(start)
        journal.end(start.id, "dropped", "it needs no change")
        return Changed(
            path=target.path, way=None, n_bytes=0, size=size, mtime_ns=target.status.st_mtime_ns,
            payload=made.payload,
        )  # fmt: skip
    if in_place and part.stat().st_size != size:
        copies.make_private(beside)
        copies.copy_bytes(part, beside)
        part = beside
    way: Way = "in-place" if keeps_links or part == elsewhere else "copy"
    if way == "copy" and (unkept := copies.unkept(target.path, part)):
        target.leave(unkept)
    new_size = part.stat().st_size
    os.utime(part, ns=(target.status.st_atime_ns, mtime_ns))
    if part == beside:
        copies.sync(part)
    delta = reverse_delta(target.path, part, in_place=part == elsewhere)
    _try(delta, part, made.old_sha256)
    forward = reverse_delta(part, target.path, in_place=True) if part == elsewhere else b""
    target.check_untouched()
    journal.begin(
        start.id,
        Change(
            way=way,
            undoes=made.undoes,
            device=target.status.st_dev,
            inode=target.status.st_ino,
            size=size,
            mtime_ns=target.status.st_mtime_ns,
            payload=made.payload,
            old_tags=made.old_tags,
            genres=made.genres,
            old_sha256=made.old_sha256,
            new_sha256=new_sha256,
            new_size=new_size,
            new_mtime_ns=mtime_ns,
            delta=delta,
            forward=forward,
        ),
    )
    target.check_untouched()
    if way == "copy":
        part.replace(target.path)
        copies.sync_folder(target.path.parent)
        n_bytes = new_size
    else:
        n_bytes = copies.overwrite(target.path, part)
        with suppress(PermissionError):  # who may write a file need not own it
            os.utime(target.path, ns=(target.status.st_atime_ns, mtime_ns))
    now = target.path.stat()
    remove_parts(start)
    journal.end(start.id, "done")
    return Changed(
        path=target.path, way=way, n_bytes=n_bytes, size=now.st_size, mtime_ns=now.st_mtime_ns,
        payload=made.payload,
    )  # fmt: skip


def _try(delta: bytes, new: Path, old_sha256: bytes) -> None:
    """Make the old bytes from the new file, and throw them away."""
    digest = hashlib.sha256()
    apply_delta(new, delta, digest.update)
    if digest.digest() != old_sha256:
        raise DeltaError("another program changed it meanwhile")
