"""Which genres a file gets: what the model says, what the file says, and whose word counts."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ostinato.errors import UsageError, near
from ostinato.inference.verdict import Verdict
from ostinato.tagging.file_tags import FileTags
from ostinato.tagging.genre_map import GenreMap
from ostinato.tagging.row import Action, Row

ONLY_MISSING, REPLACE, ADD = "only-missing", "replace", "add"

EMPTY = "empty"

_NOT_KNOWN = {"unknown", "unknown genre", "undefined", "none", "n/a", "genre", "<unknown>"}
"""What programs write into the genre's field where they know none (without regard to case)."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is done to the genres of a file.

    Attributes
    ----------
    what : str
        ``only-missing``: files without a genre get one; ``replace``: those with one get the
        model's instead; ``add``: they get the model's as well, behind theirs.
    min_probability : float or None
        A genre is written at or above it; None: at or above the model's own threshold. A verdict
        from which the model abstains is never written.
    top : int or None
        The most genres that a file gets of the model; None: those that the model names, which is
        one unless it is multi-label.
    where : str or None
        Only files whose genre is so are looked at: ``empty``, or a pattern such as ``Unknown`` or
        ``*rock*``, without regard to case.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    what: str = ONLY_MISSING
    min_probability: float | None = None
    top: int | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        known = (ONLY_MISSING, REPLACE, ADD)
        if self.what not in known:
            raise UsageError(
                f"Expected the policy {', '.join(known)}, got '{self.what}'{near(self.what, known)}"
            )
        if self.min_probability is not None and not 0 <= self.min_probability <= 1:
            raise UsageError(f"Expected a probability from 0 to 1, got {self.min_probability:g}.")
        if self.top is not None and self.top < 1:
            raise UsageError(f"Expected at least 1 genre a file, got {self.top}.")

    def is_about(self, tags: FileTags) -> bool:
        """Whether the file is one of those that :attr:`where` asks for."""
        if self.where is None:
            return True
        if self.where.casefold() == EMPTY:
            return not tags.genres
        pattern = self.where.casefold()
        return any(fnmatch.fnmatchcase(genre.casefold(), pattern) for genre in tags.genres)

    def may_change(self, tags: FileTags) -> bool:
        """Whether any verdict could change the file: else it need not be heard."""
        return tags.is_writable and (self.what != ONLY_MISSING or is_missing(tags.genres))

    def chosen(self, verdict: Verdict) -> tuple[str, ...]:
        """The verdict's genres that are likely enough, as the model calls them."""
        if verdict.genre is None:
            return ()
        least = max(self.min_probability or 0.0, verdict.threshold or 0.0)
        likely = [
            genre
            for genre, probability in verdict.ranked
            if probability >= least
            and genre != verdict.other
            and (not verdict.thresholds or genre in verdict.named)
        ]
        return tuple(likely[: self.top or len(verdict.named)])

    def decide(self, path: Path, tags: FileTags, verdict: Verdict | None, names: GenreMap) -> Row:
        """Make the row of a file.

        ``verdict`` may be None where no verdict could change the file (:meth:`may_change`).
        """
        genres = () if verdict is None else names.names(self.chosen(verdict))

        def row(action: Action, new: Sequence[str] = tags.genres, why: str = "") -> Row:
            return Row(
                path=path, tags=tags, verdict=verdict, genres=genres, action=action, new=tuple(new),
                why=why,
            )  # fmt: skip

        if not self.may_change(tags):
            why = "it has a genre" if tags.is_writable else "its format cannot hold tags here"
            return row("keep", why=why)
        assert verdict is not None
        if not genres:
            return row("abstain", why=self._why_none(verdict))
        old = {} if is_missing(tags.genres) else {g.casefold(): g for g in tags.genres}
        if all(genre.casefold() in old for genre in genres) and (
            self.what == ADD or len(old) == len(genres)
        ):
            return row("keep", why="it says the same")
        if self.what == ADD:
            return row("write", [*old.values(), *(g for g in genres if g.casefold() not in old)])
        return row("write", genres)

    def _why_none(self, verdict: Verdict) -> str:
        """Why there is no genre to write, as a clause."""
        if verdict.abstained:
            return verdict.abstained
        if self.chosen(verdict):
            return f"the genre map leaves out {verdict.genre}"
        least, likely = self.min_probability or 0.0, verdict.probability
        return f"{verdict.genre} is {likely:.0%} likely, below the {least:.0%} asked for"


def is_missing(genres: Sequence[str]) -> bool:
    """Whether a file says no genre, or only what programs write where they know none."""
    return all(genre.strip().casefold() in _NOT_KNOWN | {""} for genre in genres)
