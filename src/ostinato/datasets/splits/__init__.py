"""Who learns and who is examined. The same sound on two sides is an error, not a warning.

====================  ==============================================================================
``fault-filtered``    GTZAN's published 443/197/290 lists (Kereliuk, Sturm and Larsen 2015)
``strict``            the same test part; no artist on two sides: 423 usable, 187 and 290 tracks
``holdout``           any collection: seeded, 60/20/20 within each genre, no artist on two sides
``song-holdout``      the same with artists on both sides; copies of a recording stay together
``artist-folds``      5 folds with no artist on two sides, to choose with: no test part
``artist-folds-all``  the same over GTZAN's test part as well: to compare splits with
``song-folds``        10 stratified folds, artists on both sides: for comparison with the literature
``segment-random``    pieces of recordings dealt at random: it leaks, and is refused unless allowed
``FILE.tsv``          a split that was saved (:func:`save_split`), or written by hand
====================  ==============================================================================

What each promises about artists is its :attr:`Split.artists`; one that breaks its promise raises.

GTZAN's other published lists, the stratified 500/250/250, are no split here: exact replicas stand
on two sides of them (``hiphop.00045`` to learn from, ``hiphop.00039`` to be judged on). They remain
as facts in :func:`ostinato.datasets.gtzan.published_split`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ostinato.datasets.corpus import Corpus
from ostinato.datasets.splits.drawn import (
    HOLDOUT_SHARES,
    artist_folds,
    check_shares,
    holdout,
    song_folds,
    song_holdout,
)
from ostinato.datasets.splits.file import SUFFIX, load_split, save_split
from ostinato.datasets.splits.fold import (
    PARTS,
    Fold,
    LeakError,
    Split,
    artist_free,
    check_fold,
    check_split,
    shared_artists,
    shared_recordings,
)
from ostinato.datasets.splits.lists import PUBLISHED, missing, published, strict
from ostinato.datasets.splits.segments import (
    N_SEGMENTS,
    SEGMENT_RANDOM,
    refuse_leak,
    segment_random,
    segmented,
    segmented_split,
    thinned,
)
from ostinato.errors import UsageError

__all__ = [
    "HOLDOUT_SHARES",
    "N_SEGMENTS",
    "PARTS",
    "PUBLISHED",
    "SEGMENT_RANDOM",
    "SPLITS",
    "Fold",
    "LeakError",
    "Split",
    "artist_folds",
    "artist_free",
    "check_fold",
    "check_settings",
    "check_split",
    "holdout",
    "load_split",
    "published",
    "refuse_leak",
    "save_split",
    "segment_random",
    "segmented",
    "segmented_split",
    "shared_artists",
    "shared_recordings",
    "song_folds",
    "song_holdout",
    "split_corpus",
    "strict",
    "thinned",
]

_LISTS: dict[str, Callable[[Corpus], Split]] = {
    "fault-filtered": lambda corpus: published(corpus, "fault-filtered"),
    "strict": strict,
}
_HOLDOUTS: dict[str, Callable[..., Split]] = {"holdout": holdout, "song-holdout": song_holdout}
_FOLDS: dict[str, Callable[..., Split]] = {
    "artist-folds": artist_folds,
    "artist-folds-all": partial(artist_folds, examined_too=True),
    "song-folds": song_folds,
}
#: The honest ones; ``segment-random`` is no choice among them.
SPLITS = ("auto", *_LISTS, *_HOLDOUTS, *_FOLDS)


def check_settings(
    name: str, *, shares: Mapping[str, float] = HOLDOUT_SHARES, repeats: int = 1
) -> None:
    """Refuse what no split can be made from, as far as this is known without a corpus.

    Parameters
    ----------
    name : str
        Of :data:`SPLITS`, ``segment-random``, or an existing file ``*.tsv``.
    shares : dict of str to float
        Others than 60/20/20 are for holdouts.
    repeats : int
        More than one are for folds that are drawn.

    Raises
    ------
    UsageError
    """
    if name.endswith(SUFFIX):
        if not Path(name).is_file():
            raise UsageError(f"split: there is no file {name}.")
    elif name not in (*SPLITS, SEGMENT_RANDOM):
        raise UsageError(
            f"split: expected one of {', '.join(SPLITS)}, or a file {SUFFIX}; got '{name}'."
        )
    check_shares(shares)
    if dict(shares) != HOLDOUT_SHARES and name not in ("auto", *_HOLDOUTS):
        raise UsageError(
            f"shares: only {' and '.join(_HOLDOUTS)} are drawn to sizes that are asked for, but "
            f"the split is '{name}'."
        )
    if repeats < 1:
        raise UsageError(f"repeats: expected 1 or more, got {repeats}.")
    if repeats > 1 and name not in _FOLDS:
        raise UsageError(
            f"repeats: only folds that are drawn, {', '.join(_FOLDS)}, can be drawn {repeats} "
            f"times, but the split is '{name}'."
        )


def split_corpus(
    corpus: Corpus,
    name: str = "auto",
    *,
    seed: int = 0,
    shares: Mapping[str, float] = HOLDOUT_SHARES,
    repeats: int = 1,
) -> Split:
    """Split a corpus, and check that the split cannot leak a recording.

    Parameters
    ----------
    corpus : Corpus
    name : str
        One of :data:`SPLITS`, or the path of a saved split. ``auto`` is ``fault-filtered`` where
        the corpus is GTZAN and holds all that those lists name but files that cannot be read, else
        ``holdout``.
    seed : int
        Of splits that are drawn.
    shares : dict of str to float
        Sizes of ``holdout`` and ``song-holdout``.
    repeats : int
        How many times folds are drawn, with seeds ``seed``, ``seed`` + 1, ...

    Raises
    ------
    UsageError
        If there is no such split, or it has no such sizes or repeats.
    DataError
        If the corpus does not fit the split.
    LeakError
        If one recording would stand on two sides, or an artist whom the split keeps apart; always
        for ``segment-random``, which :func:`segment_random` makes.
    """
    check_settings(name, shares=shares, repeats=repeats)
    if name == SEGMENT_RANDOM:
        refuse_leak()
    if name.endswith(SUFFIX):
        return load_split(Path(name), corpus)
    if name == "auto":
        name = "holdout" if missing(corpus, "fault-filtered") else "fault-filtered"
        check_settings(name, shares=shares)
    if name in _HOLDOUTS:
        split = _HOLDOUTS[name](corpus, seed=seed, shares=shares)
    elif name in _FOLDS:
        split = _FOLDS[name](corpus, seed=seed, repeats=repeats)
    else:
        split = _LISTS[name](corpus)
    return check_split(corpus, split)
