"""Recordings cut into pieces, each judged alone; and the split that leaks by it.

Much of the literature on GTZAN cuts its tracks into pieces of a few seconds and assigns the pieces
to train and test at random. Pieces of one track are then in both parts, and the figure measures how
well a model recognises its training data. :func:`segment_random` is that split, as a demonstration:
it must be allowed by name (``allow_leak``), and every report of it says what it is.

Honest splits can be cut as well: they are made of whole recordings and checked, then cut, so that
all pieces of a recording stay in its part. The same models, on the same pieces, then differ in the
split alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np

from ostinato.datasets.corpus import PARTS, Corpus
from ostinato.datasets.splits.drawn import listed
from ostinato.datasets.splits.fold import Fold, LeakError, Split
from ostinato.errors import DataError, UsageError
from ostinato.features import Frames

SEGMENT_RANDOM = "segment-random"
N_SEGMENTS = 10
"""Default number of pieces a recording in ``segment-random``: 3 s of GTZAN's 30."""

REFUSAL = (
    f"The split '{SEGMENT_RANDOM}' leaks: it cuts every recording into pieces and assigns them to "
    "parts at random, so that models are tested on recordings of their training part, and its "
    "figure is no accuracy on unknown music; --allow-leak runs it as a demonstration, whose report "
    "says so, and --split artist-folds is the honest comparison."
)


def refuse_leak() -> NoReturn:
    """Raise the LeakError that refuses a split of pieces at random."""
    raise LeakError(REFUSAL)


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


def thinned(corpus: Corpus, split: Split, n: int, *, seed: int = 0) -> Split:
    """Reduce every train part of a split to ``n`` rows, drawn genre by genre.

    Each genre keeps its share of the part. Figures under several splits are comparable only if
    their models are trained on as many rows.

    Raises
    ------
    DataError
        If a train part is smaller than ``n``, or a genre would have no row.
    """
    genre = {r.id: r.genre for r in corpus.recordings}
    random = np.random.default_rng(seed)
    folds = []
    for fold in split.folds:
        if len(fold.train) < n:
            raise DataError(
                f"train_size: expected at most the {len(fold.train)} recordings in train of the "
                f"split '{split.name}', got {n}."
            )
        names: dict[str, list[str]] = {}
        for name in fold.train:
            names.setdefault(genre[name], []).append(name)
        exact = {g: n * len(own) / len(fold.train) for g, own in names.items()}
        sizes = {g: int(share) for g, share in exact.items()}
        by_remainder = sorted(names, key=lambda g: (sizes[g] - exact[g], g))
        for g in by_remainder[: n - sum(sizes.values())]:
            sizes[g] += 1
        if not all(sizes.values()):
            raise DataError(f"train_size: {n} recordings leave a genre with none in train.")
        kept = {
            name
            for g, own in sorted(names.items())
            for name in random.choice(own, sizes[g], replace=False).tolist()
        }
        folds.append(replace(fold, train=tuple(name for name in fold.train if name in kept)))
    note = f"Each train part is reduced to {n} rows, drawn genre by genre."
    return replace(split, folds=tuple(folds), notes=(*split.notes, note))
