"""What an interrupted run has left is brought to an end: each file is the old one or the new one.

A file that is replaced by a copy is one of the two at any moment, and the journal needs only to
learn which. One that was being overwritten is finished. One that is neither was changed by
somebody since, and is left.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from ostinato.storage import cause, is_folder, printable
from ostinato.tagging.copies import is_between, overwrite, sha256
from ostinato.tagging.delta import DeltaError, apply_delta
from ostinato.tagging.entry import Change, End, Start
from ostinato.tagging.journal import Journal
from ostinato.tagging.journal_file import JournalError


def repair(journal: Journal) -> list[str]:
    """Mend what an interrupted run left; within :meth:`Journal.writing`, before anything else.

    Returns
    -------
    list of str
        A sentence for each file that was being changed: what was found, and what was done.

    Raises
    ------
    JournalError
        If the journal cannot be read or written.
    """
    told = [settle(journal, start)[1] for start in journal.open_starts()]
    journal.flush()
    return told


def settle(journal: Journal, start: Start) -> tuple[End | None, str]:
    """Bring one start to its end; give that, and a sentence about it.

    It has no end yet where the file cannot be reached, or the journal not be used.
    """
    what: End | None = None
    try:
        what, why = _settled(journal.change(start.id), start)
        journal.end(start.id, what, why)
    except (OSError, DeltaError, JournalError) as error:
        why = f"the next run will look at it again, since {cause(error).partition(';')[0]}"
    name = printable(str(start.path))
    return what, f"'{name}' was being changed when it was interrupted: {why}."


def part_paths(start: Start) -> tuple[Path, Path]:
    """Where the temporary copy of a start may be: beside the file, or among temporary files."""
    return start.path.with_name(start.part), Path(tempfile.gettempdir(), start.part)


def remove_parts(start: Start) -> None:
    """Remove the temporary copies of a start."""
    for path in part_paths(start):
        path.unlink(missing_ok=True)


def _settled(change: Change | None, start: Start) -> tuple[End, str]:
    """How a start ended, after it was mended, and a clause that says so."""
    if not is_folder(start.path.parent):
        raise FileNotFoundError(2, "its folder cannot be reached")
    if change is None:
        remove_parts(start)
        return "dropped", "it is as it was"
    is_there = os.path.lexists(start.path)
    digest = sha256(start.path) if is_there else b""
    is_mixed = is_there and digest not in (change.old_sha256, change.new_sha256)
    if is_mixed and change.way == "in-place" and _finish(change, start):
        digest = change.new_sha256
    if digest == change.new_sha256:
        with suppress(OSError):
            status = start.path.stat()
            os.utime(start.path, ns=(status.st_atime_ns, change.new_mtime_ns))
        remove_parts(start)
        return "done", "its tags are written"
    if digest == change.old_sha256:
        remove_parts(start)
        return "dropped", "it is as it was"
    if change.way == "copy" or not is_there:
        remove_parts(start)
    return "left", "it is gone" if not is_there else "it was changed since, and is left as it is"


def _finish(change: Change, start: Start) -> bool:
    """Overwrite the rest of a file that was overwritten in part; False if it is not such a file."""
    with tempfile.TemporaryDirectory(prefix="ostinato-") as folder:
        old, new = Path(folder, "old"), Path(folder, "new")
        try:
            if change.forward:  # both deltas copy nothing but what is the same in both files
                _make(old, start.path, change.delta)
                _make(new, old, change.forward)
            else:
                new = part_paths(start)[0]
                _make(old, new, change.delta)
            wanted = (change.old_sha256, change.new_sha256)
            if (sha256(old), sha256(new)) != wanted or not is_between(start.path, old, new):
                return False
        except (DeltaError, FileNotFoundError):
            return False
        overwrite(start.path, new)
    return True


def _make(to: Path, source: Path, delta: bytes) -> None:
    with to.open("wb") as file:
        apply_delta(source, delta, file.write)
