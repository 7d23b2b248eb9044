"""Splits from GTZAN's published lists."""

from __future__ import annotations

from collections import Counter

from ostinato.datasets import gtzan
from ostinato.datasets.corpus import PARTS, Corpus
from ostinato.datasets.splits.fold import Fold, Split, unknown_artists
from ostinato.errors import DataError


def fault_filtered(corpus: Corpus) -> Split:
    """Make GTZAN's published split, without the files that cannot be read.

    Raises
    ------
    DataError
        If the corpus is not GTZAN, or lacks tracks of the lists.
    """
    fold, notes = _usable(corpus, "fault-filtered")
    return Split(name="fault-filtered", folds=(fold,), notes=notes)


def strict(corpus: Corpus) -> Split:
    """Make ``fault-filtered`` with no artist in two parts, and the same test part but for 3 tracks.

    Tracks of train and valid whose artist is in test are dropped, and tracks of valid whose artist
    is in train: 423 usable, 181 and 287 tracks are left. The 3 of test are by Lauryn Hill, one of
    them with Bob Marley: 29 tracks of train are his, more than half of its reggae. So where artists
    are connected by a recording that names both, the test part gives way if it has fewer tracks.

    Raises
    ------
    DataError
        As :func:`fault_filtered`.
    """
    whole, notes = _usable(corpus, "strict")
    artist = dict(zip(corpus.ids, corpus.artists, strict=True))
    written = {r.id: r.artist for r in corpus.recordings}
    examined = Counter(artist[i] for i in whole.test)
    by_name = {written[i] for i in whole.test}
    connected = Counter(artist[i] for i in whole.train + whole.valid if written[i] not in by_name)
    test = tuple(
        i for i in whole.test if artist[i] is None or connected[artist[i]] <= examined[artist[i]]
    )
    in_test = {artist[i] for i in test} - {None}
    train = tuple(i for i in whole.train if artist[i] not in in_test)
    others = tuple(i for i in whole.valid if artist[i] not in in_test)
    in_train = {artist[i] for i in train} - {None}
    valid = tuple(i for i in others if artist[i] not in in_train)
    note = (
        f"Dropped from the fault-filtered lists: {len(whole.train) - len(train)} tracks of train "
        f"and {len(whole.valid) - len(others)} of valid by artists of the test part, "
        f"{len(others) - len(valid)} of valid by artists of train, and "
        f"{len(whole.test) - len(test)} of test by artists connected with more tracks of train."
    )
    fold = Fold(train=train, valid=valid, test=test)
    unknown = unknown_artists(corpus, train + valid + test)
    return Split(name="strict", folds=(fold,), notes=(*notes, note, *unknown), artists="apart")


def missing(corpus: Corpus) -> list[str]:
    """Ids of ``fault-filtered`` that the corpus neither holds nor skipped; all if not GTZAN."""
    listed = {track.id for track in gtzan.tracks() if track.fault_filtered}
    if corpus.name != "gtzan":
        return sorted(listed)
    # A collection without the corrupt track lacks nothing.
    unreadable = {t.id for t in gtzan.tracks() if "corrupt" in t.faults}
    return sorted(listed - unreadable - set(corpus.ids) - {s.id for s in corpus.skipped})


def _usable(corpus: Corpus, name: str) -> tuple[Fold, tuple[str, ...]]:
    """The readable tracks of the published lists, and a note of the others."""
    absent = missing(corpus)
    if absent:
        raise DataError(
            f"The split '{name}' needs the GTZAN tracks of its published lists: '{corpus.name}' "
            f"lacks {len(absent)} of them, the first is '{absent[0]}'; use the whole collection, "
            "or --split holdout."
        )
    have = set(corpus.ids)
    lists = gtzan.published_split("fault-filtered")
    dropped = sorted(set().union(*lists.values()) - have)
    are = "is" if len(dropped) == 1 else "are"
    notes = (f"{', '.join(dropped)} cannot be read and {are} passed over.",) if dropped else ()
    return Fold(**{part: tuple(i for i in lists[part] if i in have) for part in PARTS}), notes
