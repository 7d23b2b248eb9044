"""How far a figure could have fallen otherwise: bootstrap intervals by artist.

Tracks of one artist succeed and fail together, so tracks are not independent draws. The bootstrap
here (Efron and Tibshirani 1993; cluster form: Davison and Hinkley 1997, section 3.8) draws artists
with replacement within each genre, and, for a mean over seeds, seeds as well. A plain resample of
tracks gives intervals that are too narrow.

In a genre with one artist nothing varies, and below ten artists intervals are too narrow: whoever
prints an interval prints the number of artists beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError, UsageError


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its interval."""

    mean: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """As plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Clusters:
    """Recordings grouped by artist within genre.

    Attributes
    ----------
    of : int array [shape=(n_recordings,)]
        Cluster of each recording.
    strata : int array [shape=(n_clusters,)]
        Genre of each cluster.
    """

    of: NDArray[np.int64]
    strata: NDArray[np.int64]

    @classmethod
    def by_artist(cls, labels: NDArray[np.int64], artists: Sequence[str | None]) -> Clusters:
        """One cluster an artist and genre; a recording of unknown artist is a cluster of its own.

        Parameters
        ----------
        labels : int array [shape=(n_recordings,)]
        artists : sequence of str or None [length=n_recordings]
        """
        numbers: dict[tuple[int, str | int], int] = {}
        of = np.empty(len(artists), dtype=np.int64)
        for i, (label, artist) in enumerate(zip(labels.tolist(), artists, strict=True)):
            of[i] = numbers.setdefault((label, i if artist is None else artist), len(numbers))
        strata = np.array([label for label, _ in numbers], dtype=np.int64)
        return cls(of, strata)

    def draw(self, n_draws: int, random: np.random.Generator) -> NDArray[np.int64]:
        """How often each cluster is drawn [shape=(n_draws, n_clusters)]."""
        weights = np.zeros((n_draws, self.strata.size), dtype=np.int64)
        for stratum in np.unique(self.strata):
            members = np.flatnonzero(self.strata == stratum)
            even = np.full(members.size, 1 / members.size)
            weights[:, members] = random.multinomial(members.size, even, size=n_draws)
        return weights


@dataclass(frozen=True, eq=False)
class Term:
    """A mean accuracy over seeds, as one term of a sum.

    Attributes
    ----------
    correct : bool array [shape=(n_seeds, n_recordings)]
        Which verdicts were right; one row a seed.
    clusters : Clusters
        Terms that hold the same object share the draws of artists: they are paired by recording.
    model : str
        Terms of the same model share the draws of seeds.
    sign : int
        1 or -1.
    """

    correct: NDArray[np.bool_]
    clusters: Clusters
    model: str
    sign: int = 1

    def __post_init__(self) -> None:
        n_recordings = self.clusters.of.size
        shape = self.correct.shape
        if len(shape) != 2 or self.correct.size == 0 or shape[1] != n_recordings:
            raise DataError(f"Expected verdicts of shape (n_seeds, {n_recordings}), got {shape}.")

    def minus(self) -> Term:
        """The same term with the other sign."""
        return Term(self.correct, self.clusters, self.model, -self.sign)


def bootstrap(
    terms: Sequence[Term], *, level: float = 0.95, n_draws: int = 4000, seed: int = 0
) -> Interval:
    """Sum of mean accuracies with its joint bootstrap interval over artists and seeds.

    One term is an accuracy; two with opposite signs are the difference of two models, or the
    over-fitting gap of one; four are the difference of two gaps.

    Parameters
    ----------
    terms : sequence of Term
        At least one; those of one model over the same seeds.
    level : float
        Of the interval, in (0, 1).
    n_draws : int
        Of the bootstrap; at least 1.
    seed : int
        Of the bootstrap: the same seed gives the same interval.

    Returns
    -------
    Interval
        Percentile bounds around the plain sum.

    Raises
    ------
    UsageError
        If there is no term, or ``level`` or ``n_draws`` is out of its range.
    DataError
        If two terms of one model are not over the same number of seeds.
    """
    if not terms or not 0 < level < 1 or n_draws < 1:
        raise UsageError(
            "Expected one or more terms, a level between 0 and 1 and at least one draw; got "
            f"{len(terms)} terms, level {level}, {n_draws} draws."
        )
    random = np.random.default_rng(seed)
    artists: dict[int, NDArray[np.int64]] = {}
    seeds: dict[str, NDArray[np.int64]] = {}
    draws = np.zeros(n_draws)
    for term in terms:
        clusters = term.clusters
        if id(clusters) not in artists:
            artists[id(clusters)] = clusters.draw(n_draws, random)
        if term.model not in seeds:
            n_seeds = len(term.correct)
            even = np.full(n_seeds, 1 / n_seeds)
            seeds[term.model] = random.multinomial(n_seeds, even, size=n_draws)
        if len(term.correct) != seeds[term.model].shape[1]:
            raise DataError(
                f"Model '{term.model}': expected all its terms over the same seeds, got "
                f"{seeds[term.model].shape[1]} and {len(term.correct)}."
            )
        draws += term.sign * _accuracies(term, artists[id(clusters)], seeds[term.model])
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    mean = sum(term.sign * float(term.correct.mean()) for term in terms)
    return Interval(mean, float(low), float(high))


def _accuracies(
    term: Term, artists: NDArray[np.int64], seeds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Accuracy of every draw [shape=(n_draws,)]."""
    clusters = term.clusters
    k = clusters.strata.size
    hits = np.stack([np.bincount(clusters.of, row, k) for row in term.correct])  # (seed, cluster)
    sizes = np.bincount(clusters.of, minlength=k)  # (cluster,)
    by_seed = (artists @ hits.T) / (artists @ sizes)[:, None]  # (draw, seed)
    return np.asarray((by_seed * seeds).sum(axis=1) / len(hits))
