"""Recordings cut into pieces, each judged alone; and the split that leaks by it.

Much of the literature on GTZAN cuts its tracks into pieces of a few seconds and assigns the pieces
to train and test at random. Pieces of one track are then in both parts, and the figure measures how
well a model recognises its training data. :func:`segment_random` is that split, as a demonstration:
it must be allowed by name (``allow_leak``), and every report of it says what it is.

Honest splits can be cut as well: they are made of whole recordings and checked, then cut, so that
all pieces of a recording stay in its part. :func:`leak_arm` makes the splits of the leak table,
which differ in what the models have met of the pieces that they are judged on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np

from ostinato.datasets.corpus import PARTS, Corpus
from ostinato.datasets.splits.drawn import artist_folds, listed
from ostinato.datasets.splits.fold import Fold, LeakError, Split
from ostinato.errors import DataError, UsageError
from ostinato.features import Frames

SEGMENT_RANDOM = "segment-random"
N_SEGMENTS = 10
"""Default number of pieces a recording in ``segment-random``: 3 s of GTZAN's 30."""

ARMS = ("same-tracks", "same-artists", "new-artists", "new-artists-twice")
"""The splits of the leak table: see :func:`leak_arm`."""

LEAKING = (SEGMENT_RANDOM, "same-tracks")
"""The splits that are refused unless they are allowed by name."""

_LEARNED = {
    "same-tracks": "other pieces of the same recordings",
    "same-artists": "other recordings by the same artists, where these have several",
    "new-artists": "recordings by other artists",
    "new-artists-twice": "half as many pieces each of twice as many recordings by other artists",
}


def refuse_leak(name: str = SEGMENT_RANDOM) -> NoReturn:
    """Raise the LeakError that refuses a split of pieces which leaks."""
    raise LeakError(
        f"The split '{name}' leaks: it cuts every recording into pieces and assigns them to parts "
        "at random, so that models are tested on recordings of their training part, and its figure "
        "is no accuracy on unknown music; --allow-leak runs it as a demonstration, whose report "
        "says so, and --split artist-folds is the honest comparison."
    )


def segmented(corpus: Corpus, n: int) -> Corpus:
    """Cut every recording into ``n`` pieces of equal length, each a row.

    A piece's id is that of the recording with ``#0``, ``#1``, ... after it; its ``recording`` and
    artist are those of the whole, for the checks of splits. Frames left over at the end are
    dropped. Augmented copies are cut likewise: the pieces of a slower copy are longer, and hold the
    same music.

    Raises
    ------
    UsageError
        If ``n`` is below 2.
    DataError
        If a recording or a copy has fewer frames than pieces.
    """
    if n < 2:
        raise UsageError(f"segments: expected 2 pieces of a recording or more, got {n}.")
    recordings = [
        replace(recording, id=name)
        for recording in corpus.recordings
        for name in segment_ids([recording.id], n)
    ]
    return replace(
        corpus,
        recordings=tuple(recordings),
        frames=_pieces(corpus, corpus.frames, n),
        copies=tuple(_pieces(corpus, frames, n) for frames in corpus.copies),
    )


def _pieces(corpus: Corpus, frames: Sequence[Frames], n: int) -> tuple[Frames, ...]:
    """The frames of every recording in ``n`` pieces of equal length."""
    pieces = []
    for recording, whole in zip(corpus.recordings, frames, strict=True):
        length = len(whole) // n
        if not length:
            raise DataError(
                f"'{recording.id}': expected at least {n} frames to cut it into {n} pieces, got "
                f"{len(whole)}."
            )
        pieces += [whole[k * length : (k + 1) * length] for k in range(n)]
    return tuple(pieces)


def segment_ids(ids: Sequence[str], n: int) -> tuple[str, ...]:
    """The ids of all pieces of these recordings, in order."""
    return tuple(f"{name}#{k}" for name in ids for k in range(n))


def segmented_split(split: Split, n: int) -> Split:
    """A split of whole recordings as one of their pieces, each in its recording's part."""
    folds = tuple(
        Fold(**{part: segment_ids(fold.part(part), n) for part in PARTS}) for fold in split.folds
    )
    note = f"Each recording is cut into {n} pieces, and each piece is judged alone."
    return replace(split, folds=folds, notes=(*split.notes, note))


def segment_random(corpus: Corpus, n: int, *, n_folds: int = 5, seed: int = 0) -> Split:
    """Draw folds of pieces at random, pieces of one recording in both parts: it leaks.

    The corpus has whole recordings; the split is one of the ``n`` pieces of each that
    :func:`segmented` makes. On GTZAN the folds cover the 929 usable tracks of ``fault-filtered``,
    as ``song-folds``. Each fold's held-out pieces are its ``valid`` part.
    """
    ids = np.array(segment_ids([r.id for r in listed(corpus, PARTS)], n))
    order = np.random.default_rng(seed).permutation(ids.size)
    folds = []
    for held_out in np.array_split(order, n_folds):
        train, valid = np.delete(ids, held_out), ids[np.sort(held_out)]
        folds.append(Fold(train=tuple(train.tolist()), valid=tuple(valid.tolist())))
    note = (
        f"LEAKING, a demonstration: each recording is cut into {n} pieces and the pieces are "
        "assigned at random, so that pieces of one recording are in both parts."
    )
    return Split(name=SEGMENT_RANDOM, folds=tuple(folds), notes=(note,), leaks=True)


def leak_arm(corpus: Corpus, arm: str, n: int = N_SEGMENTS, *, seed: int = 0) -> Split:
    """Draw one arm of the leak table: the same pieces are judged, other recordings are learned.

    Two blocks have no artist in common; the recordings of each, genre by genre, are dealt by turns
    to a learned and a spare half, so that an artist of several is in both. Two folds: in each, a
    fifth of the pieces of the learned half of one block is judged. Training pieces are, in

    - ``same-tracks``, the other pieces of the same recordings: it leaks;
    - ``same-artists``, as many of the spare half of that block: artists overlap;
    - ``new-artists``, as many of the learned half of the other block;
    - ``new-artists-twice``, half as many of each recording of both halves of the other block.

    So the first and the third learn from the very same pieces, and all four from as many. On GTZAN
    the recordings are the train and valid tracks of ``fault-filtered``: the test part is not
    looked at. The corpus has whole recordings; the split is one of the pieces that
    :func:`segmented` makes. Of copies of a recording one is taken.

    Raises
    ------
    UsageError
        If there is no such arm, or ``n`` is below 3.
    DataError
        If a genre has fewer than two artists.
    """
    if arm not in ARMS:
        raise UsageError(f"Expected an arm of {', '.join(ARMS)}; got '{arm}'.")
    if n < 3:
        raise UsageError(f"segments: '{arm}' needs 3 pieces of a recording or more, got {n}.")
    blocks = artist_folds(corpus, n_folds=2, seed=seed).folds
    random = np.random.default_rng(seed)
    halves = [_halves(corpus, fold.valid, random) for fold in blocks]
    n_judged = max(1, n // 5)
    n_each = (n - n_judged) // 2  # pieces of a recording where there are twice as many
    order = {i: random.permutation(n) for block in halves for half in block for i in half}

    def pieces(ids: Sequence[str], first: int, last: int) -> tuple[str, ...]:
        return tuple(f"{i}#{k}" for i in ids for k in sorted(order[i][first:last].tolist()))

    folds = []
    for (own, spare), other in zip(halves, halves[::-1], strict=True):
        learned = {
            "same-tracks": (own, 2 * n_each),
            "same-artists": (spare, 2 * n_each),
            "new-artists": (other[0], 2 * n_each),
            "new-artists-twice": (other[0] + other[1], n_each),
        }
        ids, size = learned[arm]
        train = pieces(ids, n_judged, n_judged + size)
        folds.append(Fold(train=train, valid=pieces(own, 0, n_judged)))
    leaks = arm in LEAKING
    note = (
        f"Each recording is cut into {n} pieces, {n_judged} of which are judged, each alone, by "
        f"models that learned {_LEARNED[arm]}."
    )
    return Split(
        name=arm,
        folds=tuple(folds),
        notes=(f"LEAKING, a demonstration: {note[0].lower()}{note[1:]}" if leaks else note,),
        artists="apart" if arm.startswith("new") else "mixed",
        leaks=leaks,
    )


def _halves(
    corpus: Corpus, ids: Sequence[str], random: np.random.Generator
) -> tuple[list[str], list[str]]:
    """Deal recordings by turns to two halves of one size, genre by genre, artist by artist."""
    of: dict[str, dict[str, list[str]]] = {}
    seen = set()
    for i in random.permutation(corpus.positions(ids)).tolist():
        row = corpus.recordings[i]
        if row.recording not in seen:
            seen.add(row.recording)
            artist = corpus.artists[i] or f"\0{row.recording}"
            of.setdefault(row.genre, {}).setdefault(artist, []).append(row.id)
    halves: tuple[list[str], list[str]] = ([], [])
    for genre in sorted(of):
        dealt = [name for own in of[genre].values() for name in own]
        for k, half in enumerate(halves):
            half += dealt[k : len(dealt) // 2 * 2 : 2]
    return halves
