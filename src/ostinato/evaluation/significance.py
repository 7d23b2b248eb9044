"""How far chance could have moved a figure: intervals by artist.

Tracks of one artist succeed and fail together, so they are not independent draws: an interval that
takes them for independent (Wilson 1927, given beside it and labelled) is too narrow. Artists are
few, too: in genres of three artists a bootstrap sees next to no variance. So the correlation of two
tracks by one artist is estimated once, over all genres (:class:`Spread`: analysis of variance
within genres, Donner 1986, Int. Stat. Review 54), and inflates the variance of every genre's mean
(design effect, Kish 1965). Genres keep their weights: another collection would have other artists,
but not another mix of genres. :func:`interval` is Student's, with as many degrees of freedom as
there are artists beyond one a genre; :mod:`ostinato.evaluation.intervals` does the same for F1.

``benchmarks/levels.py`` measures how often the intervals hold, on the artists and accuracies that
GTZAN has. Where each genre has one artist nothing tells how alike an artist's tracks are: they are
taken to be all alike, and the interval says little.

Conventions: shares are fractions in [0, 1]; for a mean over seeds the variance between seeds is
added. With one seed none shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError, UsageError

#: Printed beside every figure that ignores artists.
INDEPENDENT = "assumes independent tracks"


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
    return TrackInterval(share, *_score_bounds(share, n, NormalDist().inv_cdf((1 + level) / 2)))


def _score_bounds(share: float, n: float, z: float) -> tuple[float, float]:
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At a share of 0 or 1 a bound is the share itself, which rounding must not step over.
    return min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share)


def interval(terms: Sequence[Term], *, level: float = 0.95) -> Interval:
    """Sum of mean accuracies, with its interval over artists and seeds.

    One term is an accuracy; two with opposite signs are the difference of two models, or the
    over-fitting gap of one; four are the difference of two gaps.

    Raises
    ------
    UsageError
        If there is no term, or ``level`` is out of its range.
    DataError
        If two terms of one model are not over the same number of seeds.
    """
    if not terms or not 0 < level < 1:
        raise UsageError(
            f"An interval: expected one or more terms and a level between 0 and 1, got "
            f"{len(terms)} terms, level {level}."
        )
    by_seed: dict[str, NDArray[np.float64]] = {}
    for term in terms:
        own = term.sign * term.correct.mean(axis=1)  # (seed,)
        known = by_seed.setdefault(term.model, np.zeros(len(own)))
        if len(known) != len(own):
            raise DataError(
                f"Model '{term.model}': expected all its terms over the same seeds, got "
                f"{len(known)} and {len(own)}."
            )
        by_seed[term.model] = known + own
    mean = sum(float(seeds.mean()) for seeds in by_seed.values())
    parts = [  # variances, each with its degrees of freedom
        (float(seeds.var(ddof=1)) / len(seeds), len(seeds) - 1)
        for seeds in by_seed.values()
        if len(seeds) > 1
    ]
    for clusters in {id(term.clusters): term.clusters for term in terms}.values():
        outcomes = [t.sign * t.correct.mean(axis=0) for t in terms if t.clusters is clusters]
        spread = Spread.of(np.sum(outcomes, axis=0), clusters)
        parts.append((spread.variance_of_mean, spread.freedom))
    variance = sum(own for own, _ in parts)
    if not variance:
        return _unvaried(mean, terms, level)
    # Degrees of freedom of a sum of variances (Welch and Satterthwaite).
    freedom = variance**2 / sum(own**2 / n for own, n in parts)
    half = student_t(level, freedom) * math.sqrt(variance)
    lowest, highest = -sum(t.sign < 0 for t in terms), sum(t.sign > 0 for t in terms)
    return Interval(mean, max(mean - half, lowest), min(mean + half, highest))


def _unvaried(mean: float, terms: Sequence[Term], level: float) -> Interval:
    """No width where two models always agree; one always right is as sure as so many artists."""
    if len(terms) > 1:
        return Interval(mean, mean, mean)
    z = NormalDist().inv_cdf((1 + level) / 2)
    ends = [terms[0].sign * x for x in _score_bounds(abs(mean), terms[0].clusters.strata.size, z)]
    return Interval(mean, min(ends), max(ends))


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How outcomes vary over recordings, and how alike those by one artist are.

    Attributes
    ----------
    correlation : float
        Of two recordings of one artist and genre, in [0, 1].
    sizes, variances, design_effects : float array [shape=(n_strata,)]
        Recordings of each genre, the variance of an outcome, and by how much artists inflate the
        variance of the genre's mean.
    freedom : int
        Artists beyond one a genre; at least 1.
    """

    correlation: float
    sizes: NDArray[np.float64]
    variances: NDArray[np.float64]
    design_effects: NDArray[np.float64]
    freedom: int

    @classmethod
    def of(cls, outcomes: NDArray[np.float64], clusters: Clusters) -> Spread:
        """Estimate it from one outcome a recording: right or wrong, or a difference.

        Parameters
        ----------
        outcomes : float array [shape=(n_recordings,)]
        """
        _, strata = np.unique(clusters.strata, return_inverse=True)  # of each cluster
        genre = strata[clusters.of]  # of each recording
        n, n_genres, n_clusters = outcomes.size, int(strata.max()) + 1, strata.size
        sizes = np.bincount(genre).astype(np.float64)
        rest = outcomes - (np.bincount(genre, outcomes) / sizes)[genre]
        squares = np.bincount(genre, rest**2)
        freedom = n_clusters - n_genres
        if n > n_genres:
            pooled = float(squares.sum()) / (n - n_genres)
        else:  # one recording a genre: as if all were of one genre (collapsed strata)
            pooled, freedom = float(outcomes.var(ddof=1)) if n > 1 else 0.25, n - 1
        # As if each genre had one recording more, of the mean variance: none has a variance of 0.
        variances = (squares + pooled) / sizes
        scale = np.sqrt(np.where(variances > 0, variances, 1.0))
        scaled = rest / scale[genre]
        per_cluster = np.bincount(clusters.of, minlength=n_clusters).astype(np.float64)
        between = float((np.bincount(clusters.of, scaled, n_clusters) ** 2 / per_cluster).sum())
        within = float((scaled**2).sum()) - between
        squared_sizes = np.bincount(strata, per_cluster**2)
        correlation = 1.0  # unless the data can tell
        if freedom and n > n_clusters:
            between, within = between / freedom, within / (n - n_clusters)
            size = (n - float((squared_sizes / sizes).sum())) / freedom  # of a usual cluster
            shared = max((between - within) / size, 0.0)
            correlation = shared / (shared + within) if shared else 0.0
        return cls(
            correlation=correlation,
            sizes=sizes,
            variances=variances,
            design_effects=1 + (squared_sizes / sizes - 1) * correlation,
            freedom=max(freedom, 1),
        )

    @property
    def variance_of_mean(self) -> float:
        """The variance of the mean over all recordings, the genres' sizes held fixed."""
        return float((self.sizes * self.variances * self.design_effects).sum()) / (
            float(self.sizes.sum()) ** 2
        )


def student_t(level: float, freedom: float) -> float:
    """The quantile of Student's t that bounds an interval of this level."""
    from scipy.special import stdtrit  # half a second to import: results are read without it

    return float(stdtrit(freedom, (1 + level) / 2))
