"""Splits into train, valid and test. A leak, one sound in two parts, is an error, not a warning.

====================  ==============================================================================
``fault-filtered``    GTZAN's published 443/197/290 lists (Kereliuk, Sturm and Larsen 2015)
``strict``            the same lists, no artist in two parts: 423 usable, 181 and 287 tracks
``holdout``           any collection: seeded, 60/20/20 within each genre, no artist in two parts
``song-holdout``      the same, but artists overlap; copies of a recording stay together
``artist-folds``      5 folds with no artist in two parts, to choose with: no test part
``artist-folds-all``  the same over GTZAN's test part as well: to compare splits with
``song-folds``        10 stratified folds, artists overlap: for comparison with the literature
(grouped-folds)       any collection: no artist, album or sound in two parts: for ``ostinato train``
``segment-random``    pieces of recordings drawn at random: it leaks, and is refused unless allowed
``same-tracks`` ...   the arms of the leak table (:func:`leak_arm`): for studies of pieces
``FILE.tsv``          a split that was saved (:func:`save_split`), or written by hand
====================  ==============================================================================

A split promises in :attr:`Split.artists` whether artists overlap; a broken promise raises.

GTZAN's other published lists, the stratified 500/250/250, are no split here, because exact replicas
leak (``hiphop.00045`` is in train, ``hiphop.00039`` in test). They remain as facts in
:func:`ostinato.datasets.gtzan.published_split`.
"""

from ostinato.datasets.corpus import PARTS
from ostinato.datasets.splits.by_name import SPLITS, check_settings, split_corpus
from ostinato.datasets.splits.drawn import (
    HOLDOUT_SHARES,
    artist_folds,
    holdout,
    song_folds,
    song_holdout,
)
from ostinato.datasets.splits.fold import (
    Fold,
    LeakError,
    Split,
    artist_free,
    check_fold,
    check_split,
    shared_artists,
    shared_recordings,
)
from ostinato.datasets.splits.grouped import grouped_folds
from ostinato.datasets.splits.segments import (
    ARMS,
    LEAKING,
    N_SEGMENTS,
    SEGMENT_RANDOM,
    leak_arm,
    refuse_leak,
    segment_random,
    segmented,
    segmented_split,
)
from ostinato.datasets.splits.split_file import load_split, save_split

__all__ = [
    "ARMS",
    "HOLDOUT_SHARES",
    "LEAKING",
    "N_SEGMENTS",
    "PARTS",
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
    "grouped_folds",
    "holdout",
    "leak_arm",
    "load_split",
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
]
