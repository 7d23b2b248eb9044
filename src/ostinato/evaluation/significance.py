"""How far chance could have moved a figure: bootstrap intervals by artist.

Tracks of one artist succeed and fail together, so tracks are not independent draws. The bootstrap
here (Efron and Tibshirani 1993; cluster form: Davison and Hinkley 1997, section 3.8) draws artists
with replacement within each genre, and, for a mean over seeds, seeds as well. A plain resample of
tracks gives intervals that are too narrow; so does the interval of Wilson (1927), which is given
beside it and says what it assumes.

In a genre with one artist nothing varies, and below ten artists intervals are too narrow: whoever
prints an interval prints the number of artists beside it. The same holds for seeds: drawing k of
them shows only (k - 1) / k of the variance between them.

Conventions: shares are fractions in [0, 1]; an interval is that of percentiles; clusters with the
same figures are exchangeable, so they are drawn as one group, which changes no distribution and
makes a collection of 15,000 unknown artists as cheap as one of a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError, UsageError

#: Printed beside every figure that ignores artists.
INDEPENDENT = "assumes independent tracks"

_CELLS = 1 << 21  # of one block of draws: 16 MB


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its interval."""

    mean: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TrackInterval(Interval):
    """An interval that assumes independent tracks, and says so wherever it is printed."""

    assumes: str = INDEPENDENT


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
        """One cluster an artist and genre; a recording of unknown artist is its own cluster."""
        numbers: dict[tuple[int, str | int], int] = {}
        of = np.empty(len(artists), dtype=np.int64)
        for i, (label, artist) in enumerate(zip(labels.tolist(), artists, strict=True)):
            of[i] = numbers.setdefault((label, i if artist is None else artist), len(numbers))
        strata = np.array([label for label, _ in numbers], dtype=np.int64)
        return cls(of, strata)

    def sums(self, figures: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
        """Sum columns of recordings [shape=(n_columns, n_recordings)] over each cluster."""
        n = self.strata.size
        return np.stack([np.bincount(self.of, row, n) for row in figures]).astype(np.int64)

    def draws(
        self, figures: NDArray[np.int64], *, n_draws: int, random: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """Draw as many clusters of each genre as it has, with replacement, and add their figures.

        Figures are counts [shape=(n_clusters, n_columns)]. Blocks of sums over the clusters of each
        draw come, by genre in ascending order [shape=(n_rows, n_strata, n_columns)]; together they
        have ``n_draws`` rows.
        """
        strata = np.unique(self.strata)
        alike = [  # distinct rows of each genre, and how many clusters have them
            np.unique(figures[self.strata == stratum], axis=0, return_counts=True)
            for stratum in strata
        ]
        n_columns = figures.shape[1]
        widest = max(strata.size * n_columns, *(counts.size for _, counts in alike))
        n_rows = max(1, _CELLS // widest)
        for start in range(0, n_draws, n_rows):
            block = np.empty((min(n_rows, n_draws - start), strata.size, n_columns))
            for s, (rows, counts) in enumerate(alike):
                n = int(counts.sum())
                times = random.multinomial(n, counts / n, size=len(block))  # (draw, row)
                block[:, s] = times.astype(np.float64) @ rows.astype(np.float64)
            yield block


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
        validate(self.correct, self.clusters)

    def minus(self) -> Term:
        """The same term with the other sign."""
        return Term(self.correct, self.clusters, self.model, -self.sign)


def validate(by_seed: NDArray[Any], clusters: Clusters) -> None:
    """Refuse verdicts, or their correctness, whose shape is not (n_seeds, n_recordings)."""
    n_recordings = clusters.of.size
    shape = by_seed.shape
    if len(shape) != 2 or by_seed.size == 0 or shape[1] != n_recordings:
        raise DataError(f"Expected verdicts of shape (n_seeds, {n_recordings}), got {shape}.")


def wilson(share: float, n: int, *, level: float = 0.95) -> TrackInterval:
    """Score interval of a share of ``n`` independent tracks (Wilson 1927).

    Parameters
    ----------
    share : float
        In [0, 1]. That of a mean over seeds may be given too: ``n`` stays the number of tracks,
        since another seed is not another track.
    n : int
        Number of tracks, at least 1.
    level : float
        In (0, 1).

    Raises
    ------
    UsageError
        If one of them is out of its range.
    """
    if not 0 <= share <= 1 or n < 1 or not 0 < level < 1:
        raise UsageError(
            "Expected a share from 0 to 1, one track or more and a level between 0 and 1; got "
            f"share {share}, {n} tracks, level {level}."
        )
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At a share of 0 or 1 a bound is the share itself, which rounding must not step over.
    low, high = min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share)
    return TrackInterval(share, low, high)


def bootstrap(
    terms: Sequence[Term], *, level: float = 0.95, n_draws: int = 4000, seed: int = 0
) -> Interval:
    """Sum of mean accuracies with its joint bootstrap interval over artists and seeds.

    One term is an accuracy; two with opposite signs are the difference of two models, or the
    over-fitting gap of one; four are the difference of two gaps. The same ``seed`` of the random
    numbers gives the same interval.

    Raises
    ------
    UsageError
        If there is no term, or ``level`` or ``n_draws`` is out of its range.
    DataError
        If two terms of one model are not over the same number of seeds.
    """
    if not terms:
        raise UsageError("A bootstrap: expected one or more terms, got none.")
    check_draws(n_draws, level)
    random = np.random.default_rng(seed)
    n_seeds: dict[str, int] = {}
    for term in terms:
        known = n_seeds.setdefault(term.model, len(term.correct))
        if len(term.correct) != known:
            raise DataError(
                f"Model '{term.model}': expected all its terms over the same seeds, got "
                f"{known} and {len(term.correct)}."
            )
    seeds = {model: draw_seeds(n, n_draws, random) for model, n in n_seeds.items()}
    draws = np.zeros(n_draws)
    parts = {id(term.clusters): term.clusters for term in terms}
    for key, clusters in parts.items():
        together = [term for term in terms if id(term.clusters) == key]
        everything = np.ones((1, clusters.of.size), dtype=np.bool_)
        counts = clusters.sums(np.concatenate([everything, *(t.correct for t in together)]))
        blocks = clusters.draws(counts.T, n_draws=n_draws, random=random)
        sums = np.concatenate([block.sum(axis=1) for block in blocks])  # (draw, column)
        at = 1  # column 0 is the number of recordings
        for term in together:
            k = n_seeds[term.model]
            right = (sums[:, at : at + k] * seeds[term.model]).sum(axis=1) / k
            draws += term.sign * right / sums[:, 0]
            at += k
    mean = sum(term.sign * float(term.correct.mean()) for term in terms)
    return percentiles(mean, draws, level)


def check_draws(n_draws: int, level: float = 0.95) -> None:
    """Refuse a bootstrap of no draws, or of a level out of its range."""
    if not 0 < level < 1 or n_draws < 1:
        raise UsageError(
            "Expected a level between 0 and 1 and at least one draw, got level "
            f"{level} and {n_draws} draws."
        )


def draw_seeds(n_seeds: int, n_draws: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How often each seed is drawn [shape=(n_draws, n_seeds)]."""
    return random.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_draws)


def percentiles(mean: float, draws: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Bounds that hold the middle ``level`` of the draws [shape=(n_draws,)]."""
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(mean, float(low), float(high))
