"""Who learns and who is examined. The same sound on two sides is an error, not a warning.

====================  ==============================================================================
``fault-filtered``    GTZAN's published 443/197/290 lists (Kereliuk, Sturm and Larsen 2015)
``strict``            the same test part; no artist on two sides: 423 usable, 187 and 290 tracks
``holdout``           seeded, 60/20/20 within each genre, replicas kept together; any collection
``artist-holdout``    the same, and no artist on two sides
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

from collections.abc import Callable
from pathlib import Path

from ostinato.datasets.corpus import Corpus
from ostinato.errors import UsageError
from ostinato.splits.drawn import (
    HOLDOUT_SHARES,
    artist_folds,
    artist_holdout,
    holdout,
    song_folds,
)
from ostinato.splits.file import SUFFIX, load_split, save_split
from ostinato.splits.fold import (
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
from ostinato.splits.lists import PUBLISHED, missing, published, strict
from ostinato.splits.segments import (
    N_SEGMENTS,
    SEGMENT_RANDOM,
    refuse_leak,
    segment_random,
    segmented,
    segmented_split,
    thinned,
)

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
    "artist_holdout",
    "check_fold",
    "check_name",
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
    "split_corpus",
    "strict",
    "thinned",
]

_MAKERS: dict[str, Callable[[Corpus, int], Split]] = {
    "fault-filtered": lambda corpus, _: published(corpus, "fault-filtered"),
    "strict": lambda corpus, _: strict(corpus),
    "holdout": lambda corpus, seed: holdout(corpus, seed=seed),
    "artist-holdout": lambda corpus, seed: artist_holdout(corpus, seed=seed),
    "artist-folds": lambda corpus, seed: artist_folds(corpus, seed=seed),
    "artist-folds-all": lambda corpus, seed: artist_folds(corpus, seed=seed, examined_too=True),
    "song-folds": lambda corpus, seed: song_folds(corpus, seed=seed),
}
#: The honest ones; ``segment-random`` is no choice among them.
SPLITS = ("auto", *_MAKERS)


def check_name(name: str) -> None:
    """Refuse what is no split of :data:`SPLITS`, not ``segment-random``, and no file ``*.tsv``.

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


def split_corpus(corpus: Corpus, name: str = "auto", *, seed: int = 0) -> Split:
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

    Raises
    ------
    UsageError
        If there is no such split.
    DataError
        If the corpus does not fit the split.
    LeakError
        If one recording would stand on two sides, or an artist whom the split keeps apart; always
        for ``segment-random``, which :func:`segment_random` makes.
    """
    check_name(name)
    if name == SEGMENT_RANDOM:
        refuse_leak()
    if name.endswith(SUFFIX):
        return load_split(Path(name), corpus)
    if name == "auto":
        name = "holdout" if missing(corpus, "fault-filtered") else "fault-filtered"
    return check_split(corpus, _MAKERS[name](corpus, seed))
