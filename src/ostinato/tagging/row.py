"""A file of a library: what it says, what the model says, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ostinato.inference.verdict import Verdict
from ostinato.tagging.file_tags import FileTags

Action = Literal["write", "keep", "abstain", "error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A file of a library.

    Attributes
    ----------
    path : Path
        The file, as it was found.
    tags : FileTags
        What it says of itself before anything is written.
    verdict : Verdict or None
        That of the file, or of its album where one is made for an album; None after an error.
    genres : tuple of str
        The verdict's genres under the names that players know, the likeliest first; empty if the
        model abstains, or all are dropped by the map.
    action : str
        ``write``: ``new`` differs from what the file says; ``keep``: it stays as it is, ``why``
        says why; ``abstain``: there is no verdict to write; ``error``: it cannot be read, or not
        be changed.
    new : tuple of str
        The genres that the file has in the end, or would have; those of ``tags`` if it is kept.
    why : str
        A clause: why it is kept, why the model abstains, what is wrong; empty with ``write``.
    seconds : float or None
        How long the file lasts; None where it was not heard.
    written : bool
        Whether ``new`` has been written; never in a dry run.
    """

    path: Path
    tags: FileTags
    verdict: Verdict | None = None
    genres: tuple[str, ...] = ()
    action: Action
    new: tuple[str, ...] = ()
    why: str = ""
    seconds: float | None = None
    written: bool = False

    def failed(self, why: str) -> Row:
        """The same file after an error: nothing was written."""
        return replace(self, action="error", new=self.tags.genres, why=why, written=False)
