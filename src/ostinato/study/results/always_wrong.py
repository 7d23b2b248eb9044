"""The recordings that every model gets wrong: where mislabels and versions surface."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets import Corpus
from ostinato.study.results.pool import Pool, Verdicts
from ostinato.study.results.schema import Missed, MissedRecording


def always_wrong(corpus: Corpus, pool: Pool, verdicts: Verdicts) -> Missed:
    """Recordings that no model named rightly with any seed, the most confident errors first."""
    probabilities = np.stack(
        [pool.probabilities(folds) for seeds in verdicts.values() for folds in seeds]
    )  # (training, row, genre)
    wrong = (probabilities.argmax(axis=2) != pool.labels).all(axis=0)  # (row,)
    rows_of: dict[int, list[int]] = {}  # of a recording: several where folds are repeated
    for row, position in enumerate(pool.positions.tolist()):
        rows_of.setdefault(position, []).append(row)
    entries = [
        _entry(corpus, position, probabilities[:, rows].mean(axis=1))
        for position, rows in rows_of.items()
        if wrong[rows].all()
    ]
    entries.sort(key=lambda entry: -entry.probability)
    return Missed(part=pool.part, n=len(rows_of), trainings=len(probabilities), recordings=entries)


def _entry(corpus: Corpus, position: int, probabilities: NDArray[np.float64]) -> MissedRecording:
    """What the trainings said [shape=(training, genre)] of one recording."""
    recording = corpus.recordings[position]
    said = probabilities.argmax(axis=1).tolist()
    genre, times = Counter(said).most_common(1)[0]
    return MissedRecording(
        id=recording.id,
        genre=recording.genre,
        artist=recording.artist,
        title=recording.title,
        faults=list(recording.faults),
        said=corpus.genres[genre],
        share=times / len(said),
        probability=float(probabilities[:, genre].mean()),
    )
