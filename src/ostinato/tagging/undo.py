"""Old tags come back: every byte of a file as it was before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ostinato.tagging import copies
from ostinato.tagging.delta import apply_delta
from ostinato.tagging.entry import Start
from ostinato.tagging.file_tags import TagError
from ostinato.tagging.journal import Journal
from ostinato.tagging.journal_file import JournalError
from ostinato.tagging.road import Made, look_at, replace_file


def undo(
    journal: Journal,
    run: int | None = None,
    paths: Sequence[Path] = (),
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[tuple[Path, TagError | None]]:
    """Bring back what files were before a run; within :meth:`Journal.writing`.

    Only files that are still as the run left them are changed, and each gets its time of change
    back. The undo is a run of its own in the journal.

    Parameters
    ----------
    journal : Journal
        What an interrupted run left must be mended before.
    run : int, optional
        By default the last one whose changes, of files at or below ``paths``, are not undone yet.
    paths : sequence of Path
        Files and folders to which it is limited; all, if there are none.
    progress : callable, optional
        Called before each file with the number of files that are done, that of all, and its name.

    Yields
    ------
    (Path, TagError or None)
        Each file, the last one changed first, and why it is left, if it is.

    Raises
    ------
    JournalError
        If there is no such run, or the journal cannot be read or written.
    """
    if run is None:
        run = journal.last_run(paths)
        if run is None:
            return
    undoes = journal.run(run).id
    number: int | None = None
    starts = journal.done(undoes, paths)
    for n_done, start in enumerate(starts):
        if progress:
            progress(n_done, len(starts), start.path.name)
        number = number or journal.begin_run(model="", settings=f"undo {undoes}", undoes=undoes)
        try:
            _undo(journal, number, start)
        except TagError as error:
            yield start.path, error
        else:
            yield start.path, None


def _undo(journal: Journal, run: int, start: Start) -> None:
    """Bring back one file."""
    change = journal.change(start.id)
    if change is None:
        raise JournalError(f"The journal lacks a row of its run {start.run}: it is damaged.")
    target = look_at(start.path)
    if target.path != start.path:
        target.leave("a link has taken its place")
    if target.n_names > 1 and change.way == "copy":
        target.leave(f"it has {target.n_names} hard links by now, which are names of one file")

    def make(part: Path) -> Made:
        if (
            target.status.st_size != change.new_size
            or copies.sha256(target.path) != change.new_sha256
        ):
            target.leave("it was changed since")
        with part.open("r+b") as file:
            apply_delta(target.path, change.delta, file.write)
        if copies.sha256(part) != change.old_sha256:
            target.leave("its old bytes do not come back")
        now = replace(change.old_tags, genres=change.genres)
        return Made(change.payload, now, change.old_tags.genres, change.new_sha256, start.id)

    replace_file(
        journal,
        run,
        target,
        make,
        in_place=bool(change.forward),
        keeps_links=target.n_names > 1,
        mtime_ns=change.mtime_ns,
    )
