"""Genres are written into files, so that nothing else changes and all can be undone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ostinato.storage import printable
from ostinato.tagging import copies, tags
from ostinato.tagging.file_tags import FileTags, TagError
from ostinato.tagging.journal import Journal
from ostinato.tagging.other_items import other_items
from ostinato.tagging.payload import payload_digest
from ostinato.tagging.road import Changed, Made, look_at, replace_file

HardLinks = Literal["skip", "break", "in-place"]


class Changer:
    """Writes genres into files, within a run of a journal.

    Parameters
    ----------
    journal : Journal
        Its lock must be held (:meth:`Journal.writing`), and what an interrupted run left be mended
        (:func:`ostinato.tagging.repair.repair`).
    run : int
        From :meth:`Journal.begin_run`.
    in_place : bool
        Whether to overwrite only the bytes that differ, where a file keeps its size.
    hard_links : {"skip", "break", "in-place"}
        What is done with a file that has several names: it is left; the name that is given gets a
        file of its own; or it is overwritten, so that all names show the new tags.
    keep_mtime : bool
        Whether a file keeps the time of its last change.
    """

    def __init__(
        self,
        journal: Journal,
        run: int,
        *,
        in_place: bool = False,
        hard_links: HardLinks = "skip",
        keep_mtime: bool = False,
    ) -> None:
        self._journal, self._run = journal, run
        self._in_place, self._hard_links = in_place, hard_links
        self._keep_mtime = keep_mtime

    def change(
        self, path: Path, genres: Sequence[str], *, old: FileTags, comment: str | None = None
    ) -> Changed:
        """Write the genres of a file; a link stands for the file that it leads to.

        Parameters
        ----------
        path : Path
            The file.
        genres : sequence of str
            Its genres from now on; none removes the tag.
        old : FileTags
            What the decision was made by: a file that says another thing now is left.
        comment : str, optional
            A comment beside the genres, as :func:`ostinato.tagging.tags.write_genres` takes it.

        Raises
        ------
        TagError
            If the file is left as it was: it is gone, read-only, has hard links, was changed by
            another program, its disk is full, or what must not change would.
        JournalError
            If the journal cannot be written.
        """
        target = look_at(path)
        if target.n_names > 1 and self._hard_links == "skip":
            target.leave(
                f"it has {target.n_names} hard links, which are names of one file; --hard-links "
                "break or in-place changes it"
            )

        def make(part: Path) -> Made:
            digest = copies.copy_bytes(target.path, part)
            target.check_untouched()
            if tags.read_tags(part) != old:
                target.leave("its tags were changed since they were read")
            payload, others = payload_digest(part), other_items(part)
            try:
                tags.write_genres(part, genres, comment=comment)
            except TagError as error:  # it knows the temporary name alone
                names = printable(str(part)), printable(str(path))
                raise TagError(str(error).replace(*names), error.reason) from error
            new = tags.read_tags(part)
            if new.genres != tuple(genres):
                target.leave("its genres would not be read back as they are written")
            if replace(new, genres=old.genres, kind=old.kind) != old:
                target.leave("its other tags would not be read back as they are")
            if other_items(part) != others:
                target.leave("its other tags would not stay what they are")
            if payload_digest(part) != payload:
                target.leave("its sound would not stay what it is")
            return Made(payload, old, tuple(genres), digest)

        return replace_file(
            self._journal,
            self._run,
            target,
            make,
            in_place=self._in_place and (target.n_names == 1 or self._hard_links != "break"),
            keeps_links=target.n_names > 1 and self._hard_links == "in-place",
            mtime_ns=target.status.st_mtime_ns if self._keep_mtime else time.time_ns(),
        )
