"""Splits that are drawn with a seed, for any collection: 60/20/20, or folds."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets import gtzan
from ostinato.datasets.corpus import PARTS, Corpus, Recording
from ostinato.datasets.groups import linked
from ostinato.datasets.splits.fold import Fold, Split, unknown_artists
from ostinato.datasets.splits.published import missing
from ostinato.errors import DataError, UsageError, require

# What is counted, and advice where there are too few of them for all parts.
_ADVICE = {
    "different recordings": "copies of one sound count once, and a recording in several genres "
    "goes to one part with all of them",
    "artists": "all recordings of an artist go to one part; where artists may overlap, use "
    "--split song-holdout",
}
HOLDOUT_SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}


def holdout(
    corpus: Corpus, *, seed: int = 0, shares: Mapping[str, float] = HOLDOUT_SHARES
) -> Split:
    """Draw 60/20/20 of each genre's different recordings, with no known artist in two parts.

    Files with the same recording go to one part and count as one recording. Each genre's parts are
    as near to their shares as its artists allow; the artists with most recordings go to train. A
    recording of unknown artist is an artist of its own: where no artist is known, the split is that
    of :func:`song_holdout`, with a note.

    Raises
    ------
    UsageError
        If the shares are not positive, or their sum is not 1.
    DataError
        If a genre has fewer than three artists, or so many that are in other genres as well that
        one of its parts would be empty.
    """
    known = any(r.artist is not None for r in corpus.recordings)
    of = "artists" if known else "different recordings"
    fold = _draw(
        corpus, _linked(corpus.recordings, corpus.artists), seed=seed, shares=shares, of=of
    )
    notes = unknown_artists(corpus, corpus.ids)
    return Split(name="holdout", folds=(fold,), notes=notes, artists="apart")


def song_holdout(
    corpus: Corpus, *, seed: int = 0, shares: Mapping[str, float] = HOLDOUT_SHARES
) -> Split:
    """Draw as :func:`holdout`, but artists overlap: an easier task.

    Errors are those of :func:`holdout`, for different recordings in place of artists.
    """
    groups = _numbers([r.recording for r in corpus.recordings])
    fold = _draw(corpus, groups, seed=seed, shares=shares, of="different recordings")
    return Split(name="song-holdout", folds=(fold,))


def artist_folds(
    corpus: Corpus,
    *,
    n_folds: int = 5,
    seed: int = 0,
    repeats: int = 1,
    examined_too: bool = False,
) -> Split:
    """Draw folds to choose a recipe with: no artist, and no recording, in two parts.

    On GTZAN they cover the train and valid tracks of ``fault-filtered`` (639), so that the choice
    never sees its test part. Each fold's held-out recordings are its ``valid`` part; there
    is no test part. Genres are balanced as far as artists allow (scikit-learn's
    ``StratifiedGroupKFold``); a recording of unknown artist is an artist of its own. GTZAN's folds
    are drawn with artists as its table writes them, as they were published; then connected artists
    go to the fold that holds most of their tracks.

    Parameters
    ----------
    repeats : int
        Number of drawings, with seeds ``seed``, ``seed`` + 1, ...: ``n_folds`` folds each, one
        after the other (for the corrected resampled t-test of Nadeau and Bengio 2003).
    examined_too : bool
        On GTZAN, cover the test part as well (929): ``artist-folds-all``, to compare splits with.
        A choice by it has seen the test part.

    Raises
    ------
    UsageError
        If fewer than two folds, or no drawing, is asked for.
    DataError
        If a genre has fewer artists than there are folds.
    """
    parts = PARTS if examined_too else ("train", "valid")
    name = "artist-folds-all" if examined_too else "artist-folds"
    chosen = listed(corpus, parts)
    artist = dict(zip(corpus.ids, corpus.artists, strict=True))
    artists = [artist[r.id] for r in chosen]
    notes = unknown_artists(corpus, [r.id for r in chosen])
    split = Split(name=name, folds=(), notes=notes, artists="apart", repeats=repeats)
    of = "artists" if any(artists) else "different recordings"
    groups = _linked(chosen, artists)
    first = groups if missing(corpus) else _linked(chosen, [r.artist for r in chosen])
    return _folds(split, chosen, groups, first=first, of=of, n=n_folds, seed=seed)


def song_folds(corpus: Corpus, *, n_folds: int = 10, seed: int = 0, repeats: int = 1) -> Split:
    """Draw the stratified folds of the literature, copies of a recording kept together.

    For comparison only: artists overlap, so the task is easier than the genre of music by unknown
    artists. On GTZAN they cover the 929 usable tracks of ``fault-filtered``. Parts, parameters and
    errors are those of :func:`artist_folds`, for different recordings in place of artists.
    """
    chosen = listed(corpus, PARTS)
    groups = _numbers([r.recording for r in chosen])
    note = (
        "For comparison with the literature only: artists overlap in every fold, so a model may "
        "know the artist rather than the genre."
    )
    split = Split(name="song-folds", folds=(), notes=(note,), repeats=repeats)
    return _folds(
        split, chosen, groups, first=groups, of="different recordings", n=n_folds, seed=seed
    )


def check_shares(shares: Mapping[str, float]) -> None:
    """Check that shares of train, valid and test are positive, with sum 1; else UsageError."""
    fits = set(shares) == set(PARTS) and all(shares[part] > 0 for part in PARTS)
    if not fits or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise UsageError(
            f"Expected positive shares of {', '.join(PARTS)} with sum 1, got {dict(shares)}."
        )


def listed(corpus: Corpus, parts: Collection[str]) -> list[Recording]:
    """GTZAN's tracks in these parts of ``fault-filtered``; all recordings of another corpus."""
    if missing(corpus):
        return list(corpus.recordings)
    named = {track.id for track in gtzan.tracks() if track.fault_filtered in parts}
    return [r for r in corpus.recordings if r.id in named]


def _folds(
    split: Split,
    chosen: Sequence[Recording],
    groups: NDArray[np.int64],
    *,
    first: NDArray[np.int64],
    of: str,
    n: int,
    seed: int,
) -> Split:
    """Fill a split with folds of whole groups, genres balanced as far as groups allow.

    ``first`` are the groups that are drawn, smaller ones perhaps, before the others are gathered.
    """
    name, repeats = split.name, split.repeats
    selection = require("sklearn.model_selection", extra="train", needed_for=f"The split '{name}'")
    if n < 2:
        raise UsageError(f"The split '{name}': expected two folds or more, got {n}.")
    if repeats < 1:
        raise UsageError(f"The split '{name}': expected 1 repeat or more, got {repeats}.")
    ids = np.array([r.id for r in chosen])
    genres = np.array([r.genre for r in chosen])
    for genre in np.unique(genres):
        n_groups = np.unique(groups[genres == genre]).size
        if n_groups < n:
            instead = "holdout" if n_groups >= len(PARTS) and of == "artists" else "song-holdout"
            raise DataError(
                f"Genre '{genre}': expected at least {n} {of} for the {n} folds of '{name}', got "
                f"{n_groups}; use --split {instead}."
            )
    folds: list[Fold] = []
    for drawing in range(seed, seed + repeats):
        held = np.zeros((groups.max() + 1, n), np.int64)  # rows of each group in each fold
        kfold = selection.StratifiedGroupKFold(n, shuffle=True, random_state=drawing)
        for k, (_, valid) in enumerate(kfold.split(ids, genres, first)):
            np.add.at(held[:, k], groups[valid], 1)
        fold_of = held.argmax(axis=1)[groups]  # (n_rows,)
        folds += [
            Fold(train=tuple(ids[fold_of != k].tolist()), valid=tuple(ids[fold_of == k].tolist()))
            for k in range(n)
        ]
    drawn = replace(split, folds=tuple(folds))
    return replace(drawn, notes=split.notes + _regrouped(drawn, seed)) if repeats > 1 else drawn


def _regrouped(split: Split, seed: int) -> tuple[str, ...]:
    """The notes on folds that were drawn more than once."""
    n = split.repeats
    drawn = (
        f"The folds are drawn {n} times, with seeds {seed} to {seed + n - 1}: each recording is "
        f"held out {n} times."
    )
    different = {frozenset(frozenset(f.valid) for f in folds) for folds in split.drawings()}
    if len(different) == n:
        return (drawn,)
    return (drawn, f"Only {len(different)} of the {n} drawings differ: the groups allow few.")


def _draw(
    corpus: Corpus,
    groups: NDArray[np.int64],
    *,
    seed: int,
    shares: Mapping[str, float],
    of: str,
) -> Fold:
    """Assign whole groups to train, valid and test, each genre as near to the shares as possible.

    Groups of several genres come first, while all these have room; then those with most files. They
    go to train, where there is most room: a figure should not count one sound, or artist, often.
    """
    check_shares(shares)
    members = [np.flatnonzero(groups == g).tolist() for g in range(int(groups.max()) + 1)]
    sizes = [_sizes([corpus.recordings[i] for i in where]) for where in members]
    room, left = _room(sizes, shares, of)
    order = sorted(
        np.random.default_rng(seed).permutation(len(members)).tolist(),
        key=lambda g: (-len(sizes[g]), -len(members[g])),
    )
    sides: dict[str, list[int]] = {part: [] for part in PARTS}
    empty = {genre: set(PARTS) for genre in room}
    for g in order:
        # A genre with no more groups than empty parts needs one group for each of these.
        urgent = [genre for genre in sizes[g] if left[genre] <= len(empty[genre])]
        part = max(
            PARTS,
            key=lambda p: (
                sum(p in empty[genre] for genre in urgent),
                min(room[genre][p] for genre in sizes[g]),
            ),
        )
        sides[part] += members[g]
        for genre, n in sizes[g].items():
            room[genre][part] -= n
            left[genre] -= 1
            empty[genre].discard(part)
    for part, genre in itertools.product(PARTS, sorted(room)):
        if part in empty[genre]:
            raise DataError(
                f"Genre '{genre}': no recording is left for its {part} part, because its "
                f"{of} are in other genres as well; {_ADVICE[of]}."
            )
    return Fold(**{p: tuple(sorted(corpus.recordings[i].id for i in w)) for p, w in sides.items()})


def _room(
    sizes: Sequence[Mapping[str, int]], shares: Mapping[str, float], of: str
) -> tuple[dict[str, dict[str, int]], Counter[str]]:
    """The number of different recordings for each part of each genre; and each genre's groups."""
    left = Counter(itertools.chain.from_iterable(sizes))
    room: dict[str, dict[str, int]] = {}
    for genre, n_groups in sorted(left.items()):
        if n_groups < len(PARTS):
            raise DataError(
                f"Genre '{genre}': expected at least three {of}, one for each of train, valid and "
                f"test, got {n_groups}; {_ADVICE[of]}."
            )
        n = sum(size.get(genre, 0) for size in sizes)
        held = {part: max(1, round(shares[part] * n)) for part in ("valid", "test")}
        room[genre] = {"train": n - sum(held.values()), **held}
    return room, left


def _sizes(recordings: Sequence[Recording]) -> dict[str, int]:
    """The number of different recordings of each genre, genres in order."""
    different = {(genre, r.recording) for r in recordings for genre in r.genres}
    return dict(sorted(Counter(genre for genre, _ in different).items()))


def _numbers(keys: Sequence[Hashable]) -> NDArray[np.int64]:
    """Number equal keys alike, in order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _linked(recordings: Sequence[Recording], artists: Sequence[str | None]) -> NDArray[np.int64]:
    """Number the groups of tracks that share an artist or a recording, directly or in a chain."""
    keys: list[list[Hashable]] = [[("recording", r.recording)] for r in recordings]
    for own, artist in zip(keys, artists, strict=True):
        if artist is not None:
            own.append(("artist", artist))
    return _numbers(linked(keys))
