"""Who learns and who is examined. The same sound on two sides is an error, not a warning.

=================  =================================================================================
``fault-filtered``  GTZAN's published 443/197/290 lists (Kereliuk, Sturm and Larsen 2015)
``holdout``         seeded, 60/20/20 within each genre, replicas kept together; any collection
``artist-folds``    folds with no artist on two sides, to choose with: no test part
=================  =================================================================================

GTZAN's other published lists, the stratified 500/250/250, are no split here: exact replicas stand
on two sides of them (``hiphop.00045`` to learn from, ``hiphop.00039`` to be judged on). They remain
as facts in :func:`ostinato.datasets.gtzan.published_split`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets import gtzan
from ostinato.datasets.corpus import Corpus
from ostinato.errors import DataError, UsageError, require

PARTS = ("train", "valid", "test")
PUBLISHED = ("fault-filtered",)
SPLITS = ("auto", *PUBLISHED, "holdout", "artist-folds")
HOLDOUT_SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}


class LeakError(DataError):
    """The same recording would stand on two sides of a split."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Ids of the recordings of each part; ``test`` is empty where a split has no test part."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...] = ()

    def part(self, name: str) -> tuple[str, ...]:
        """The ids of ``train``, ``valid`` or ``test``."""
        parts: dict[str, tuple[str, ...]] = {
            "train": self.train,
            "valid": self.valid,
            "test": self.test,
        }
        return parts[name]


@dataclass(frozen=True, kw_only=True)
class Split:
    """One or more folds.

    Attributes
    ----------
    name : str
    folds : tuple of Fold
    notes : tuple of str
        What a reader of the figures must know, a sentence each.
    """

    name: str
    folds: tuple[Fold, ...]
    notes: tuple[str, ...] = ()

    def digest(self) -> str:
        """Short SHA-256 of who stands where: part of a run's identity."""
        sides = [[sorted(fold.part(part)) for part in PARTS] for fold in self.folds]
        return hashlib.sha256(json.dumps(sides).encode()).hexdigest()[:12]


def split_corpus(corpus: Corpus, name: str = "auto", *, seed: int = 0) -> Split:
    """Split a corpus, and check that the split cannot leak a recording.

    Parameters
    ----------
    corpus : Corpus
    name : str
        One of :data:`SPLITS`. ``auto`` is ``fault-filtered`` where the corpus is GTZAN and holds
        all that those lists name but files that cannot be read, else ``holdout``.
    seed : int
        Of ``holdout`` and ``artist-folds``.

    Raises
    ------
    UsageError
        If there is no such split.
    DataError
        If the corpus does not fit the split.
    LeakError
        If one recording would stand on two sides.
    """
    if name == "auto":
        name = "holdout" if _missing(corpus, "fault-filtered") else "fault-filtered"
    if name in PUBLISHED:
        split = published(corpus, name)
    elif name == "holdout":
        split = holdout(corpus, seed=seed)
    elif name == "artist-folds":
        split = artist_folds(corpus, seed=seed)
    else:
        raise UsageError(f"Expected a split of {', '.join(SPLITS)}; got '{name}'.")
    for fold in split.folds:
        check_fold(corpus, fold)
    return split


def published(corpus: Corpus, name: str) -> Split:
    """One of GTZAN's published splits, less the files that cannot be read.

    Raises
    ------
    UsageError
        If the name is not of :data:`PUBLISHED`.
    DataError
        If the corpus is not GTZAN, or lacks tracks that the lists name.
    """
    if name not in PUBLISHED:
        raise UsageError(f"Expected a published split of {', '.join(PUBLISHED)}; got '{name}'.")
    missing = _missing(corpus, name)
    if missing:
        raise DataError(
            f"The split '{name}' needs the GTZAN tracks of its published lists: '{corpus.name}' "
            f"lacks {len(missing)} of them, the first is '{missing[0]}'; use the whole collection, "
            "or --split holdout."
        )
    have = set(corpus.ids)
    lists = gtzan.published_split(name)
    dropped = sorted(set().union(*lists.values()) - have)
    are = "is" if len(dropped) == 1 else "are"
    notes = [f"{', '.join(dropped)} cannot be read and {are} passed over."] if dropped else []
    parts = {part: tuple(i for i in lists[part] if i in have) for part in PARTS}
    return Split(name=name, folds=(Fold(**parts),), notes=tuple(notes))


def holdout(corpus: Corpus, *, seed: int = 0) -> Split:
    """60/20/20 of each genre's different recordings, at least one of them in each part.

    Files that hold the same recording go to one part and count as one recording, so that no part
    is the same sound many times over. Artists are not kept apart.

    Raises
    ------
    DataError
        If a genre has fewer than three different recordings, or so many that stand in other genres
        as well that one of its parts would be empty.
    """
    random = np.random.default_rng(seed)
    groups = _members([r.recording for r in corpus.recordings])
    genres = [sorted({corpus.recordings[i].genre for i in group}) for group in groups]
    room: dict[str, dict[str, int]] = {}
    for genre, n in sorted(Counter(itertools.chain.from_iterable(genres)).items()):
        if n < len(PARTS):
            raise DataError(
                f"Genre '{genre}': expected at least three different recordings, one for each of "
                f"train, valid and test, got {n}; copies of one sound count once."
            )
        held = {part: max(1, round(HOLDOUT_SHARES[part] * n)) for part in ("valid", "test")}
        room[genre] = {"train": n - sum(held.values()), **held}
    # Recordings of several genres first, while all these have room. Then those with most copies,
    # which so come to train, where the room is: a figure should not count one sound many times.
    order = sorted(
        random.permutation(len(groups)).tolist(), key=lambda g: (-len(genres[g]), -len(groups[g]))
    )
    sides: dict[str, list[int]] = {part: [] for part in PARTS}
    for g in order:
        space = {part: min(room[genre][part] for genre in genres[g]) for part in PARTS}
        part = max(PARTS, key=space.__getitem__)
        sides[part] += groups[g]
        for genre in genres[g]:
            room[genre][part] -= 1
    for part, where in sides.items():
        absent = sorted(room.keys() - {corpus.recordings[i].genre for i in where})
        if absent:
            raise DataError(
                f"Genre '{absent[0]}': no recording is left for its {part} part, because its "
                "recordings stand in other genres as well; keep each recording in one genre."
            )
    parts = {p: tuple(sorted(corpus.recordings[i].id for i in w)) for p, w in sides.items()}
    return Split(name="holdout", folds=(Fold(**parts),))


def artist_folds(corpus: Corpus, *, n_folds: int = 5, seed: int = 0) -> Split:
    """Folds to choose a recipe with: no artist, and no recording, on two sides.

    On GTZAN over the train and valid tracks of ``fault-filtered`` (639 of them), so that the
    choice never sees its test part. Each fold's held-out recordings are its ``valid`` part; there
    is no test part. Genres are balanced as far as artists allow (scikit-learn's
    ``StratifiedGroupKFold``); a recording of unknown artist is an artist of its own.

    Raises
    ------
    DataError
        If a genre has fewer artists than there are folds.
    """
    selection = require(
        "sklearn.model_selection", extra="train", needed_for="The split 'artist-folds'"
    )
    if _missing(corpus, "fault-filtered"):
        chosen = list(corpus.recordings)
    else:
        lists = gtzan.published_split("fault-filtered")
        learners = {*lists["train"], *lists["valid"]}
        chosen = [r for r in corpus.recordings if r.id in learners]
    names = np.array([r.id for r in chosen])
    genres = np.array([r.genre for r in chosen])
    artists = _linked([r.artist for r in chosen], [r.recording for r in chosen])
    for genre in corpus.genres:
        n_artists = np.unique(artists[genres == genre]).size
        if n_artists < n_folds:
            raise DataError(
                f"Genre '{genre}': expected at least {n_folds} artists for {n_folds} "
                f"artist-grouped folds, got {n_artists}; use --split holdout."
            )
    folder = selection.StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    folds = tuple(
        Fold(train=tuple(names[train].tolist()), valid=tuple(names[valid].tolist()))
        for train, valid in folder.split(names, genres, artists)
    )
    return Split(name="artist-folds", folds=folds)


def check_fold(corpus: Corpus, fold: Fold) -> None:
    """Refuse a fold in which one recording stands on two sides, or that leaves nothing to learn.

    Raises
    ------
    LeakError
        Naming two ids that hold the same recording.
    DataError
        If train or valid is empty, or a genre of the corpus is missing from train.
    """
    where: dict[str, tuple[str, str]] = {}
    for part in PARTS:
        for i in corpus.positions(fold.part(part)):
            recording = corpus.recordings[i]
            side, other = where.setdefault(recording.recording, (part, recording.id))
            if side != part:
                raise LeakError(
                    f"'{other}' ({side}) and '{recording.id}' ({part}) hold the same recording: "
                    "a split with both would examine what was learnt."
                )
    learnt = {corpus.recordings[i].genre for i in corpus.positions(fold.train)}
    unlearnt = sorted(set(corpus.genres) - learnt)
    if not fold.train or not fold.valid or unlearnt:
        raise DataError(
            "Expected train and valid parts, and every genre among the learners; got "
            f"{len(fold.train)} train and {len(fold.valid)} valid recordings"
            + (f", none of '{unlearnt[0]}' to learn from." if unlearnt else ".")
        )


def shared_artists(corpus: Corpus, fold: Fold) -> dict[str, int]:
    """How many recordings of a later part have an artist who stands in an earlier part too.

    Returns
    -------
    dict
        ``{"valid": n, "test": n}``: recordings of valid whose artist is in train; recordings of
        test whose artist is in train or valid. Unknown artists are not counted.
    """
    artists = {part: _artists(corpus, fold.part(part)) for part in PARTS}
    known = {part: set(artists[part]) - {None} for part in PARTS}
    return {
        "valid": sum(a in known["train"] for a in artists["valid"]),
        "test": sum(a in known["train"] | known["valid"] for a in artists["test"]),
    }


def _artists(corpus: Corpus, ids: Iterable[str]) -> list[str | None]:
    return [corpus.recordings[i].artist for i in corpus.positions(ids)]


def _missing(corpus: Corpus, name: str) -> list[str]:
    """Ids of a published split that the corpus neither holds nor could read; all if not GTZAN."""
    listed = set(itertools.chain.from_iterable(gtzan.published_split(name).values()))
    if corpus.name != "gtzan":
        return sorted(listed)
    # Who has thrown the corrupt track away lacks nothing.
    unreadable = {t.id for t in gtzan.tracks() if "corrupt" in t.faults}
    return sorted(listed - unreadable - set(corpus.ids) - {s.id for s in corpus.skipped})


def _members(keys: Sequence[str]) -> list[list[int]]:
    """Positions of equal keys, in order of first appearance."""
    groups: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _linked(artists: Sequence[str | None], recordings: Sequence[str]) -> NDArray[np.int64]:
    """Number the groups of tracks that share an artist or a recording, directly or in a chain."""
    group = list(range(len(artists)))

    def root(i: int) -> int:
        while group[i] != i:
            i = group[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, (artist, recording) in enumerate(zip(artists, recordings, strict=True)):
        keys = [("recording", recording)] + ([("artist", artist)] if artist is not None else [])
        for key in keys:
            a, b = root(first.setdefault(key, i)), root(i)
            group[max(a, b)] = min(a, b)
    return np.unique([root(i) for i in range(len(group))], return_inverse=True)[1].astype(np.int64)
