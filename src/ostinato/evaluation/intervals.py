"""All metrics of one part with their intervals: means over seeds, by artist and seed.

Precision, recall, F1 and their macro means are no simple means over tracks. They are linearised: a
track's influence is how far the figure would move with it (Deville 1999, Survey Methodology 25),
and the variance of the figure is that of the sum of influences, inflated by genre for the artists'
correlation (``significance.Spread``), plus that between seeds. A recall near 0 or 1, on few
artists, shows next to no variance; so a genre's own share of the variance is that of its recall
with z squared tracks added, half of them right (Agresti and Coull 1998, Am. Statistician 52).

Conventions are those of ``metrics``: macro means are over the genres that occur, a precision with
nothing to divide by is 0. A genre with one artist has no intervals: nothing tells how its artists
vary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError, UsageError
from ostinato.evaluation import significance
from ostinato.evaluation.metrics import precision_recall_f1
from ostinato.evaluation.significance import Clusters, Interval, Spread, student_t

Floats = NDArray[np.float64]

LEAST_RATIO = 0.2
"""Many seeds on one track are worth at most 1 / LEAST_RATIO answers."""


@dataclass(frozen=True, kw_only=True)
class GenreIntervals:
    """A genre's intervals, None with one artist; its recordings (support) and artists."""

    precision: Interval | None
    recall: Interval | None
    f1: Interval | None
    support: int
    artists: int


@dataclass(frozen=True, kw_only=True)
class MetricIntervals:
    """Means over seeds with their intervals."""

    macro_precision: Interval
    macro_recall: Interval
    macro_f1: Interval
    per_genre: dict[str, GenreIntervals]


def validate(
    labels: NDArray[np.int64], verdicts: NDArray[np.int64], clusters: Clusters, *, n_genres: int
) -> None:
    """Refuse labels, verdicts and clusters of different recordings or genres."""
    significance.validate(verdicts, clusters)
    fit = labels.shape == clusters.of.shape and bool((clusters.strata[clusters.of] == labels).all())
    if not fit:
        raise DataError(
            f"Expected the labels that the {clusters.of.size} recordings were grouped by, got "
            f"other labels, of shape {labels.shape}."
        )
    for name, values in (("labels", labels), ("verdicts", verdicts)):
        if values.min() < 0 or values.max() >= n_genres:
            raise DataError(
                f"Expected {name} from 0 to {n_genres - 1}, got {values.min()} to {values.max()}."
            )


def evaluate(
    labels: NDArray[np.int64],
    verdicts: NDArray[np.int64],
    clusters: Clusters,
    genres: tuple[str, ...],
    *,
    level: float = 0.95,
) -> MetricIntervals:
    """All metrics of one part, means over seeds, with intervals over artists and seeds.

    Parameters
    ----------
    labels : int array [shape=(n_recordings,)]
        Indices into ``genres``.
    verdicts : int array [shape=(n_seeds, n_recordings)]
        Indices into ``genres``; one row a seed, or one row of the ensemble.
    clusters : Clusters
        The artists of the same recordings, within the genres of ``labels``.
    level : float
        In (0, 1).

    Raises
    ------
    UsageError
        If ``level`` is out of its range.
    DataError
        If shapes do not agree, a label or verdict is no genre, or the clusters are of others.
    """
    if not 0 < level < 1:
        raise UsageError(f"Expected a level between 0 and 1, got {level}.")
    validate(labels, verdicts, clusters, n_genres=len(genres))
    own = np.eye(len(genres))[labels]  # (recording, genre)
    said = np.eye(len(genres))[verdicts]  # (seed, recording, genre)
    told, true = said.mean(axis=0), own.sum(axis=0)
    spread = Spread.of((own * told).sum(axis=1), clusters)
    t = student_t(level, spread.freedom)
    hits = _variance_of_hits(own, told, spread, t)
    present = np.flatnonzero(true)
    by_genre, macros = [], []
    scores = precision_recall_f1(own.T @ said)  # each (seed, genre)
    for by_seed, (influence, slope) in zip(scores, _linearised(own, told), strict=True):
        centred = influence - own @ (own.T @ influence / np.maximum(true, 1)[:, None])
        squares = own.T @ centred**2  # (genre of the tracks, figure)
        squares[present] *= spread.design_effects[:, None]
        np.fill_diagonal(squares, slope**2 * hits)
        variances = squares.sum(axis=0) + _between(by_seed)
        means = by_seed.mean(axis=0)
        by_genre.append([_span(m, v, t) for m, v in zip(means, variances, strict=True)])
        macro = by_seed[:, present].mean(axis=1)  # (seed,)
        together = Spread.of(influence[:, present].mean(axis=1), clusters)
        variance = len(labels) ** 2 * together.variance_of_mean + float(_between(macro))
        macros.append(_span(macro.mean(), variance, student_t(level, together.freedom)))
    artists = np.bincount(clusters.strata, minlength=len(genres))

    def of_genre(i: int) -> GenreIntervals:
        precision, recall, f1 = (spans[i] if artists[i] > 1 else None for spans in by_genre)
        n = int(artists[i])
        return GenreIntervals(
            precision=precision, recall=recall, f1=f1, support=int(true[i]), artists=n
        )

    return MetricIntervals(
        macro_precision=macros[0],
        macro_recall=macros[1],
        macro_f1=macros[2],
        per_genre={genre: of_genre(i) for i, genre in enumerate(genres)},
    )


def _between(by_seed: Floats) -> Floats:
    """Variance of a mean over seeds, the first axis, that seeds show; 0 with one."""
    n = len(by_seed)
    return np.asarray(by_seed.var(axis=0, ddof=1) / n if n > 1 else 0 * by_seed[0])


def _span(mean: float, variance: float, t: float) -> Interval:
    half = t * math.sqrt(variance)
    return Interval(float(mean), float(max(mean - half, 0.0)), float(min(mean + half, 1.0)))


def _linearised(own: Floats, told: Floats) -> list[tuple[Floats, Floats]]:
    """Influences [shape=(recording, genre)] and slopes [shape=(genre,)]: precision, recall, F1.

    The slope is how far the figure moves where one more track of the genre is right.
    """
    right = own * told

    def ratio(above: Floats, below: Floats, weight: int) -> tuple[Floats, Floats]:
        total = np.maximum(below.sum(axis=0), 1e-12)
        share = above.sum(axis=0) / total
        return (above - share * below) / total, (weight - share) / total

    return [
        ratio(right, told, 1),
        (ratio(right, own, 1)[0], 1 / np.maximum(own.sum(axis=0), 1)),
        ratio(2 * right, own + told, 2),
    ]


def _variance_of_hits(own: Floats, told: Floats, spread: Spread, z: float) -> Floats:
    """Variance of the number of right tracks of each genre [shape=(genre,)], 0 where none occurs.

    Several seeds are several answers to one track, which vary less together than one does: how much
    less is estimated over all genres.
    """
    true = own.sum(axis=0)
    hits = (own * told).sum(axis=0)
    smoothed = (hits + 0.5) / (true + 1)  # no genre has a variance of 0
    single = float((true * smoothed * (1 - smoothed)).sum())
    varied = float((spread.sizes * spread.variances).sum())
    ratio = min(max(varied / single, LEAST_RATIO), 1.0) if varied else 1.0
    effective = np.ones_like(true)
    effective[true > 0] = spread.sizes / spread.design_effects / ratio
    centre = (effective * hits / np.maximum(true, 1) + z**2 / 2) / (effective + z**2)
    return np.asarray(true**2 * centre * (1 - centre) / effective)
