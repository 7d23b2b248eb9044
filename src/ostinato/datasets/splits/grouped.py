"""Folds of any collection, however small, with no artist, album or sound in two parts.

They judge what is trained on all of the collection (``ostinato train``), so every recording is held
out once and there is no test part.
"""

from __future__ import annotations

import warnings

import numpy as np

from ostinato.datasets.corpus import Corpus
from ostinato.datasets.splits.fold import Fold, Split, check_split
from ostinato.errors import DataError, first_of, require

GROUPED_FOLDS = 5


def grouped_folds(corpus: Corpus, *, n_folds: int = GROUPED_FOLDS, seed: int = 0) -> Split:
    """Draw folds of whole groups (:attr:`Corpus.groups`), genres balanced as far as these allow.

    There are no more folds than the genre with most groups has groups. A genre whose recordings are
    all one group is divided all the same, by its recordings, and the split's ``notes`` say what is
    measured then.

    Raises
    ------
    DataError
        If a genre has one recording only.
    """
    selection = require("sklearn.model_selection", extra="train", needed_for="Judging by folds")
    genres = np.array([r.genre for r in corpus.recordings])  # the first of each
    of = {g: np.array([g in r.genres for r in corpus.recordings]) for g in corpus.genres}
    keys = np.array(corpus.groups, dtype=object)
    sounds = np.array([r.recording for r in corpus.recordings], dtype=object)
    alone = [genre for genre, own in of.items() if len(set(keys[own])) == 1]
    for genre in alone:
        keys[of[genre]] = sounds[of[genre]]
    counts = {genre: len(set(keys[own])) for genre, own in of.items()}
    for genre, n in counts.items():
        if n < 2:
            raise DataError(
                f"Genre '{genre}': expected at least two different recordings, to judge on one "
                "what was learned from the other, got one."
            )
    n = min(n_folds, max(counts.values()))
    _, groups = np.unique(keys.astype(str), return_inverse=True)
    kfold = selection.StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    fold_of = np.zeros(len(keys), np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for k, (_, valid) in enumerate(kfold.split(keys, genres, groups)):
            fold_of[valid] = k
    for own in of.values():
        if len(set(fold_of[own])) == 1:  # no fold could learn it
            fewest = min(set(groups[own]), key=lambda g: int((groups == g).sum()))
            fold_of[groups == fewest] = (fold_of[own][0] + 1) % n
    ids = np.array(corpus.ids)
    folds = tuple(
        Fold(train=tuple(ids[fold_of != k].tolist()), valid=tuple(ids[fold_of == k].tolist()))
        for k in range(n)
        if (fold_of == k).any()
    )
    split = Split(
        name="grouped-folds",
        folds=folds,
        notes=tuple(_notes(corpus, alone)),
        artists="mixed" if alone else "apart",
    )
    return check_split(corpus, split)


def _notes(corpus: Corpus, alone: list[str]) -> list[str]:
    unknown = sum(
        artist is None and r.album is None
        for artist, r in zip(corpus.artists, corpus.recordings, strict=True)
    )
    notes = []
    if unknown == len(corpus):
        notes.append(
            "No artist or album is known: copies of a sound are kept together, but artists may be "
            "in several folds, and then figures are too good for unknown artists."
        )
    elif unknown:
        are = "is" if unknown == 1 else "are"
        notes.append(
            f"{unknown} of {len(corpus)} recordings {are} of unknown artist and album, and taken "
            "for artists of their own."
        )
    if alone:
        are = "is all" if len(alone) == 1 else "are each"
        notes.append(
            f"{first_of([repr(g) for g in alone], 6)} {are} by one artist or from one album: what "
            "is measured there is how well that artist is known again, not the genre. Add "
            "recordings by others."
        )
    return notes
