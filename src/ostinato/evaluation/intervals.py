"""All metrics of one part with their intervals: means over seeds, by artist and seed.

The bootstrap is that of ``significance``: artists within genre and seeds are drawn together, the
confusion matrix of every draw is added up from those of its artists, and every metric is computed
from it (Efron and Tibshirani 1993). Wilson's interval of the accuracy is given too.

Conventions are those of ``metrics``: macro means are over the genres that occur, a precision with
nothing to divide by is 0. The number of artists of a genre is part of the result, since below ten
its intervals are too narrow, and with one they have no width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError
from ostinato.evaluation import significance
from ostinato.evaluation.metrics import precision_recall_f1
from ostinato.evaluation.significance import (
    Clusters,
    Interval,
    TrackInterval,
    check_draws,
    draw_seeds,
    percentiles,
    wilson,
)


@dataclass(frozen=True, kw_only=True)
class GenreIntervals:
    """A genre's metrics, with its numbers of recordings (support) and artists."""

    precision: Interval
    recall: Interval
    f1: Interval
    support: int
    artists: int


@dataclass(frozen=True, kw_only=True)
class MetricIntervals:
    """Means over seeds with their intervals; ``wilson`` is that of the accuracy, by tracks."""

    accuracy: Interval
    wilson: TrackInterval
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
    n_draws: int = 4000,
    seed: int = 0,
) -> MetricIntervals:
    """All metrics of one part, means over seeds, with joint intervals over artists and seeds.

    Parameters
    ----------
    labels : int array [shape=(n_recordings,)]
        Indices into ``genres``.
    verdicts : int array [shape=(n_seeds, n_recordings)]
        Indices into ``genres``; one row a seed, or one row of the ensemble.
    clusters : Clusters
        The artists of the same recordings, within the genres of ``labels``.
    level, n_draws, seed
        As in :func:`~ostinato.evaluation.significance.bootstrap`.

    Raises
    ------
    UsageError
        If ``level`` or ``n_draws`` is out of its range.
    DataError
        If shapes do not agree, a label or verdict is no genre, or the clusters are of others.
    """
    check_draws(n_draws, level)
    validate(labels, verdicts, clusters, n_genres=len(genres))
    g = len(genres)
    means, draws = _bootstrap(verdicts, clusters, g, n_draws, np.random.default_rng(seed))
    intervals = [percentiles(float(m), d, level) for m, d in zip(means, draws.T, strict=True)]
    precision, recall, f1 = (intervals[4 + i * g : 4 + (i + 1) * g] for i in range(3))
    return MetricIntervals(
        accuracy=intervals[0],
        wilson=wilson(intervals[0].mean, labels.size, level=level),
        macro_precision=intervals[1],
        macro_recall=intervals[2],
        macro_f1=intervals[3],
        per_genre={
            genre: GenreIntervals(
                precision=precision[i],
                recall=recall[i],
                f1=f1[i],
                support=int((labels == i).sum()),
                artists=int((clusters.strata == i).sum()),
            )
            for i, genre in enumerate(genres)
        },
    )


def _bootstrap(
    verdicts: NDArray[np.int64],
    clusters: Clusters,
    g: int,
    n_draws: int,
    random: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Figures as observed [shape=(n_figures,)] and as drawn [shape=(n_draws, n_figures)]."""
    n_seeds = len(verdicts)
    seeds = draw_seeds(n_seeds, n_draws, random) / n_seeds
    # A cluster lies in one genre, so its row of the confusion matrix is enough: (seed, verdict).
    cells = [by_seed == genre for by_seed in verdicts for genre in range(g)]
    counts = clusters.sums(np.stack(cells)).T
    present = np.unique(clusters.strata)
    observed = np.stack([counts[clusters.strata == genre].sum(axis=0) for genre in present])
    means = _figures(observed[None].astype(np.float64), present, g).mean(axis=1)[0]
    draws = np.empty((n_draws, means.size))
    at = 0
    for block in clusters.draws(counts, n_draws=n_draws, random=random):
        rows = slice(at, at + len(block))
        draws[rows] = np.einsum("ds,dsf->df", seeds[rows], _figures(block, present, g))
        at = rows.stop
    return means, draws


def _figures(sums: NDArray[np.float64], present: NDArray[np.int64], g: int) -> NDArray[np.float64]:
    """Accuracy, macro means, then precision, recall and F1 by genre [shape=(draw, seed, figure)].

    ``sums`` are rows of confusion matrices [shape=(draw, genre that occurs, seed x verdict)].
    """
    n_seeds = sums.shape[2] // g
    confusions = np.zeros((len(sums), n_seeds, g, g))  # (draw, seed, true, verdict)
    rows = sums.reshape(len(sums), present.size, n_seeds, g)
    confusions[:, :, present] = rows.transpose(0, 2, 1, 3)
    accuracy = np.trace(confusions, axis1=2, axis2=3) / confusions.sum(axis=(2, 3))
    scores = precision_recall_f1(confusions)  # each (draw, seed, genre)
    macros = [score[..., present].mean(axis=-1) for score in scores]
    return np.concatenate([np.stack([accuracy, *macros], axis=-1), *scores], axis=-1)
