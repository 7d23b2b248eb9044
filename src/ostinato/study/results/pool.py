"""One part of a split, its folds end to end: what every figure of a study is computed on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets import Corpus
from ostinato.datasets.splits import Split
from ostinato.evaluation.significance import Clusters, Term
from ostinato.study.results.model_schema import RunRecord
from ostinato.study.training_run import Probabilities

# By model, then seed, then fold.
Records = Mapping[str, Sequence[Sequence[RunRecord]]]
Verdicts = Mapping[str, Sequence[Sequence[Probabilities]]]


class Pool:
    """One part of a split, its folds end to end: positions in the corpus, folds, labels, artists.

    A recording occurs more than once where it is in the part of several folds (train).
    """

    def __init__(self, corpus: Corpus, split: Split, part: str) -> None:
        members = [fold.part(part) for fold in split.folds]
        self.part = part
        self.positions = corpus.positions(itertools.chain.from_iterable(members))
        self.folds = np.repeat(np.arange(len(members)), [len(ids) for ids in members])
        self.labels = corpus.labels[self.positions]
        # A recording of unknown artist is one cluster, whether it is held out once a drawing or in
        # pieces.
        artists = [
            corpus.artists[i] or f"\0{corpus.recordings[i].recording}" for i in self.positions
        ]
        self.clusters = Clusters.by_artist(self.labels, artists)

    def probabilities(self, folds: Sequence[Probabilities]) -> NDArray[np.float64]:
        """Probabilities of one seed, folds end to end [shape=(n, n_genres)]."""
        return np.concatenate([fold[self.part] for fold in folds if self.part in fold])

    def said(self, seeds: Sequence[Sequence[Probabilities]]) -> NDArray[np.int64]:
        """Verdicts of a model [shape=(n_seeds, n)]."""
        return np.stack([self.probabilities(folds).argmax(axis=1) for folds in seeds])

    def term(self, model: str, seeds: Sequence[Sequence[Probabilities]]) -> Term:
        """Which verdicts of a model were right."""
        return Term(self.said(seeds) == self.labels, self.clusters, model)
