"""Folds and splits, and the checks that every split must pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ostinato.datasets.corpus import PARTS, Corpus, Recording
from ostinato.errors import DataError

Artists = Literal["apart", "mixed"]
"""What a split promises about known artists. ``apart``: none is in two parts. ``mixed``: nothing;
the overlap is counted (:func:`shared_artists`) and in every report."""

ARTISTS: tuple[Artists, ...] = get_args(Artists)


class LeakError(DataError):
    """A recording, or an artist who is to be kept apart, is in two parts."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """The ids of each part; ``test`` is empty where a split has no test part."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...] = ()

    def part(self, name: str) -> tuple[str, ...]:
        """The ids of ``train``, ``valid`` or ``test``."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]


@dataclass(frozen=True, kw_only=True)
class Split:
    """One or more folds.

    Attributes
    ----------
    notes : tuple of str
        Caveats for readers of the figures, a sentence each.
    artists : {"apart", "mixed"}
        The promise about known artists (:data:`Artists`).
    leaks : bool
        Whether a recording may be in two parts, as a demonstration
        (:mod:`ostinato.datasets.splits.segments`), never for a comparison of models.
    repeats : int
        Number of times that the folds were drawn: the first ``len(folds) / repeats`` of them are
        the first drawing, and so on. Each drawing holds the same recordings out, every one once.
    """

    name: str
    folds: tuple[Fold, ...]
    notes: tuple[str, ...] = ()
    artists: Artists = "mixed"
    leaks: bool = False
    repeats: int = 1

    def drawings(self) -> tuple[tuple[Fold, ...], ...]:
        """The folds of each drawing: one drawing, unless they were drawn repeatedly."""
        size = len(self.folds) // self.repeats
        return tuple(self.folds[k * size : (k + 1) * size] for k in range(self.repeats))

    def digest(self) -> str:
        """Short SHA-256 of the ids in every part: it is in a run's recipe."""
        sides = [[sorted(fold.part(part)) for part in PARTS] for fold in self.folds]
        return hashlib.sha256(json.dumps(sides).encode()).hexdigest()[:12]


def check_split(corpus: Corpus, split: Split) -> Split:
    """Check every fold of a split against its promises, and return the split.

    Raises
    ------
    LeakError
        As :func:`check_fold`.
    DataError
        As :func:`check_fold`; if the folds are not ``repeats`` drawings of equally many folds that
        hold the same recordings out.
    """
    for fold in split.folds:
        check_fold(corpus, fold, artists=split.artists, leaks=split.leaks)
    n, repeats = len(split.folds), split.repeats
    if repeats < 1 or n % repeats:
        raise DataError(f"Expected repeats that divide the {n} folds, got {repeats}.")
    if repeats == 1:
        return split  # folds that were written by hand need not hold every recording out
    held_out = [sorted(i for fold in folds for i in fold.valid) for folds in split.drawings()]
    for k, ids in enumerate(held_out):
        if len(set(ids)) < len(ids) or ids != held_out[0]:
            size = n // repeats
            raise DataError(
                f"Expected each of {repeats} drawings of {size} folds to hold the same recordings "
                f"out, every one once: folds {k * size} to {(k + 1) * size - 1} do not."
            )
    return split


def check_fold(
    corpus: Corpus, fold: Fold, *, artists: Artists = "mixed", leaks: bool = False
) -> None:
    """Refuse a fold that leaks a recording, or that leaves nothing to learn.

    Parameters
    ----------
    artists : {"apart", "mixed"}
        Whether an artist in two parts is refused as well.
    leaks : bool
        Whether a recording in two parts is allowed, as a demonstration; one row never is.

    Raises
    ------
    LeakError
        Naming two ids of one recording, or of one artist or connected artists
        (:attr:`Corpus.artists`), that are in different parts.
    DataError
        If train or valid is empty, or a genre of the corpus is missing from train.
    """
    by_recording: dict[str, tuple[str, str]] = {}
    by_artist: dict[str, tuple[str, Recording]] = {}
    for part in PARTS:
        for i in corpus.positions(fold.part(part)):
            recording = corpus.recordings[i]
            here = (part, recording.id)
            key = recording.id if leaks else recording.recording
            side, other = by_recording.setdefault(key, here)
            if side != part:
                raise LeakError(
                    f"'{other}' ({side}) and '{recording.id}' ({part}) hold the same recording: "
                    "a split with both would test what was learned."
                )
            artist = corpus.artists[i]
            if artists == "mixed" or artist is None:
                continue
            side, first = by_artist.setdefault(artist, (part, recording))
            if side != part:
                one, two = first.artist, recording.artist
                by = f"both by {one}" if one == two else f"by {one} and by {two}, who are connected"
                raise LeakError(
                    f"'{first.id}' ({side}) and '{recording.id}' ({part}) are {by}: this split "
                    "promises to keep artists apart; one in which artists overlap must be asked "
                    "for by name."
                )
    in_train = {g for i in corpus.positions(fold.train) for g in corpus.recordings[i].genres}
    absent = sorted(set(corpus.genres) - in_train)
    if not fold.train or not fold.valid or absent:
        raise DataError(
            "Expected train and valid parts, and every genre in train; got "
            f"{len(fold.train)} train and {len(fold.valid)} valid recordings"
            + (f", none of '{absent[0]}' in train." if absent else ".")
        )


def shared_artists(corpus: Corpus, fold: Fold) -> dict[str, int]:
    """Count the recordings whose artist is in an earlier part as well: ``{"valid": n, "test": n}``.

    The parts before valid are train, those before test are train and valid. Unknown artists are
    not counted.
    """
    return _overlap({part: _artists(corpus, fold.part(part)) for part in PARTS})


def shared_recordings(corpus: Corpus, fold: Fold) -> dict[str, int]:
    """Count the rows whose recording is in an earlier part as well, as :func:`shared_artists`.

    0 for every split but one that leaks.
    """
    keys = {part: corpus.positions(fold.part(part)) for part in PARTS}
    return _overlap({p: [corpus.recordings[i].recording for i in at] for p, at in keys.items()})


def _overlap(keys: Mapping[str, Sequence[str | None]]) -> dict[str, int]:
    """Count the keys of valid and test that are known in an earlier part."""
    train, chosen = set(keys["train"]) - {None}, set(keys["valid"]) - {None}
    return {
        "valid": sum(key in train for key in keys["valid"]),
        "test": sum(key in train | chosen for key in keys["test"]),
    }


def artist_free(corpus: Corpus, fold: Fold) -> tuple[str, ...]:
    """The test recordings whose artist is not known to be in train or valid, in their order.

    Recordings of unknown artists are among them.
    """
    earlier = set(_artists(corpus, fold.train + fold.valid)) - {None}
    artists = _artists(corpus, fold.test)
    return tuple(i for i, artist in zip(fold.test, artists, strict=True) if artist not in earlier)


def unknown_artists(corpus: Corpus, ids: Iterable[str]) -> tuple[str, ...]:
    """A note for a split that keeps artists apart, if some are unknown."""
    artists = _artists(corpus, ids)
    n = artists.count(None)
    if not n:
        return ()
    if n == len(artists):
        return (
            "No artist is known: only copies of one recording are kept together, and artists may "
            "overlap.",
        )
    which = "1 recording is" if n == 1 else f"{n} recordings are"
    return (
        f"{which} of unknown artist, each taken for an artist of its own: whether such artists "
        "overlap is unknown.",
    )


def _artists(corpus: Corpus, ids: Iterable[str]) -> list[str | None]:
    return [corpus.artists[i] for i in corpus.positions(ids)]
