"""Corpus: a table of recordings, and the frames of each.

One row a recording, with the groups that a split must respect: ``recording`` (files with the same
sound) and ``artist``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets.augment_audio import NO_COPIES, AudioAugmentation
from ostinato.datasets.groups import artist_groups, linked
from ostinato.errors import DataError, UsageError
from ostinato.features import FeatureSpec, Frames

_COMPILATION = 3  # artists

PARTS = ("train", "valid", "test")
"""The parts of a split."""

OTHER = "other"
"""The genre of recordings that are none of the other genres."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One row of a corpus.

    Attributes
    ----------
    id : str
        Unique: ``"blues.00000"``, the path below the collection's folder, or what a table says.
    genre : str
        The genre, or the first of several.
    also : tuple of str
        Its other genres.
    artist, title, album : str or None
        As the table or the file's tags write them, None if unknown. Who is meant is in
        :attr:`Corpus.artists`. Files of one album have the same text.
    recording : str
        Files with the same value hold the same sound (an exact replica). By default the id.
    path : str or None
        The audio file, if there is one.
    faults : tuple of str
        Known faults: ``"replica of metal.00061"``.

    Raises
    ------
    DataError
        If it has a genre twice.
    """

    id: str
    genre: str
    artist: str | None = None
    title: str | None = None
    album: str | None = None
    recording: str = ""
    path: str | None = None
    faults: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.recording:
            object.__setattr__(self, "recording", self.id)
        if len(set(self.genres)) < len(self.genres):
            raise DataError(
                f"Recording '{self.id}': expected each genre once, got {', '.join(self.genres)}."
            )

    @property
    def genres(self) -> tuple[str, ...]:
        """All its genres."""
        return (self.genre, *self.also)


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and why (one sentence)."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Audio files with their genres, before any of them is opened, sorted by genre and id."""

    name: str
    source: str
    layout: str  # what names the genres, for error sentences
    recordings: Sequence[Recording]
    paths: Sequence[Path]  # one a recording, in the same order
    skipped: Sequence[Skipped] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Recordings with their frames.

    Attributes
    ----------
    name : str
        ``"gtzan"``, or the name of the folder or table.
    source : str
        The folder, table or file with the frames, for the report.
    frames : sequence of float32 array [shape=(n_frames, n_features)]
        One a recording, in the same order. Recordings may differ in ``n_frames``.
    skipped : tuple of Skipped
        Files that could not be read, or are known to be corrupt.
    left_out : dict of str to int
        Genres with too few recordings to learn from, and how many recordings they had.
    notes : tuple of str
        Remarks on how the data were read, a sentence each.
    augmentation : AudioAugmentation
        How the augmented copies were made.
    copies : tuple of sequence of float32 array
        The frames of each copy, in the order of ``frames``. No model is judged on them.

    Raises
    ------
    DataError
        If there are no recordings, an id occurs twice, there are not as many frames or copies as
        there must be, or some are empty or of another width than ``spec`` says.
    """

    name: str
    source: str
    recordings: Sequence[Recording]
    frames: Sequence[Frames]
    spec: FeatureSpec
    skipped: tuple[Skipped, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    augmentation: AudioAugmentation = NO_COPIES
    copies: tuple[Sequence[Frames], ...] = ()

    def __post_init__(self) -> None:
        if not self.recordings:
            raise DataError(f"Corpus '{self.name}': expected at least one recording, got none.")
        if len(self.copies) != self.augmentation.copies:
            raise DataError(
                f"Corpus '{self.name}': expected {self.augmentation.copies} copies of every "
                f"recording, got {len(self.copies)}."
            )
        n_features = self.spec.n_features
        for every in (self.frames, *self.copies):
            if len(self.recordings) != len(every):
                raise DataError(
                    f"Corpus '{self.name}': expected frames for each of {len(self.recordings)} "
                    f"recordings, got {len(every)}."
                )
            for recording, frames in zip(self.recordings, every, strict=True):
                if frames.ndim != 2 or not len(frames) or frames.shape[1] != n_features:
                    raise DataError(
                        f"Corpus '{self.name}', recording '{recording.id}': expected one frame or "
                        f"more of shape (n_frames, {n_features}), got {frames.shape}."
                    )
        twice = [name for name, n in Counter(r.id for r in self.recordings).items() if n > 1]
        if twice:
            raise DataError(
                f"Corpus '{self.name}': the id '{twice[0]}' occurs more than once; "
                "every recording needs an id of its own."
            )

    def with_copies_of(self, augmentation: AudioAugmentation) -> Corpus:
        """Return this corpus if its copies were made with these settings, else raise UsageError."""
        if self.augmentation != augmentation:
            raise UsageError(
                f"waveform: expected {augmentation.describe()} of every recording, got "
                f"{self.augmentation.describe()} in '{self.name}' ({self.source}): copies are made "
                "of audio, as it is loaded, so give it with --data DIR."
            )
        return self

    def __len__(self) -> int:
        return len(self.recordings)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(r.id for r in self.recordings)

    @property
    def genres(self) -> tuple[str, ...]:
        """The genres that occur, sorted: the class order of every model, table and matrix."""
        return tuple(sorted({genre for r in self.recordings for genre in r.genres}))

    @property
    def is_multi_label(self) -> bool:
        """Whether a recording has several genres."""
        return any(r.also for r in self.recordings)

    @property
    def other(self) -> str:
        """The genre named ``other``, in any case: what is none of the others; empty if none is."""
        genres = self.genres
        return next((g for g in genres if g.casefold() == OTHER and len(genres) > 1), "")

    @property
    def labels(self) -> NDArray[np.int64]:
        """Index into :attr:`genres` of each recording's first genre [shape=(n_recordings,)]."""
        index = {genre: i for i, genre in enumerate(self.genres)}
        return np.array([index[r.genre] for r in self.recordings], dtype=np.int64)

    @property
    def targets(self) -> NDArray[np.float32]:
        """1 for each genre that a recording has, else 0 [shape=(n_recordings, n_genres)]."""
        index = {genre: i for i, genre in enumerate(self.genres)}
        targets = np.zeros((len(self.recordings), len(index)), np.float32)
        for row, recording in zip(targets, self.recordings, strict=True):
            row[[index[genre] for genre in recording.genres]] = 1
        return targets

    @cached_property
    def artists(self) -> tuple[str | None, ...]:
        """The artist of each recording for splits and statistics, None where unknown.

        Connected artists have one name: see :func:`ostinato.datasets.groups.artist_groups`.
        """
        return artist_groups([r.artist for r in self.recordings])

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The group of each recording that no fair split divides: one artist, album or sound.

        Rows are in one group if they share any of these, directly or in a chain. An album by three
        artists or more is a compilation: it joins nobody.
        """
        keys: list[list[Hashable]] = [[("recording", r.recording)] for r in self.recordings]
        by: dict[str | None, set[str | None]] = {}
        for r, artist in zip(self.recordings, self.artists, strict=True):
            by.setdefault(r.album, set()).add(artist)
        for own, r, artist in zip(keys, self.recordings, self.artists, strict=True):
            if artist is not None:
                own.append(("artist", artist))
            if r.album is not None and len(by[r.album] - {None}) < _COMPILATION:
                own.append(("album", r.album))
        return tuple(self.recordings[first].id for first in linked(keys))

    def positions(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """Positions of the recordings with these ids [shape=(n_ids,)]; DataError for another id."""
        where = {r.id: i for i, r in enumerate(self.recordings)}
        try:
            return np.array([where[name] for name in ids], dtype=np.int64)
        except KeyError as error:
            raise DataError(f"Corpus '{self.name}' has no recording {error}.") from None
