"""Several genres a recording: F1, average precision, and a threshold for each genre.

A genre is named where its probability is at or above its threshold. The threshold that is best for
F1 is chosen for each genre on recordings that the model has not learned from (Yang 2001, "A study
of thresholding strategies for text categorization": SCut).

Conventions, as in scikit-learn: what has nothing to divide by is 0; average precision is the sum
over falling probabilities of precision times the rise of recall, equal probabilities together
(``average_precision_score``). Macro means, and the mean average precision, are plain means over the
genres that occur; micro counts all genres of all recordings at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError
from ostinato.evaluation.probabilities import SMALLEST

UNTRIED = 0.5
"""The threshold of a genre that was not chosen on recordings of it."""


@dataclass(frozen=True, kw_only=True)
class LabelMetrics:
    """A genre's precision, recall, F1 and average precision; support is its recordings."""

    precision: float
    recall: float
    f1: float
    average_precision: float
    support: int


@dataclass(frozen=True, kw_only=True)
class MultiLabelMetrics:
    """The metrics of one part.

    ``accuracy`` is the share of recordings all of whose genres are right, named or not; ``loss`` is
    the mean over recordings of the binary cross-entropy, summed over the genres, in nats.
    """

    accuracy: float
    loss: float
    macro_f1: float
    micro_f1: float
    mean_average_precision: float
    per_genre: dict[str, LabelMetrics]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def validate(targets: NDArray[np.floating], probabilities: NDArray[np.float64]) -> None:
    """Refuse arrays that are not zeros and ones, and probabilities, of one shape (n, n_genres)."""
    if targets.ndim != 2 or not targets.size or targets.shape != probabilities.shape:
        raise DataError(
            "Expected targets and probabilities of one shape (n_recordings, n_genres), got shapes "
            f"{targets.shape} and {probabilities.shape}."
        )
    if not np.isin(targets, (0, 1)).all():
        raise DataError("Expected targets of 0 and 1, got other numbers.")
    if not np.isfinite(probabilities).all():
        raise DataError("Expected finite probabilities, got NaN or infinity: training diverged.")
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise DataError(
            f"Expected probabilities in [0, 1], got {probabilities.min():.3g} to "
            f"{probabilities.max():.3g}: are these logits?"
        )


def evaluate(
    targets: NDArray[np.floating],
    probabilities: NDArray[np.float64],
    genres: tuple[str, ...],
    *,
    thresholds: Sequence[float] = (),
) -> MultiLabelMetrics:
    """Compute all metrics of one part.

    Parameters
    ----------
    targets : array [shape=(n_recordings, n_genres)]
        1 for each genre that a recording has, else 0.
    probabilities : array [shape=(n_recordings, n_genres)]
    genres : tuple of str
        Names of the columns.
    thresholds : sequence of float
        One a genre; without them, 0.5.

    Raises
    ------
    DataError
        If there is nothing to evaluate, shapes do not agree, or a value is out of its range.
    """
    validate(targets, probabilities)
    limits = np.array(thresholds or [UNTRIED] * len(genres))
    if not len(genres) == limits.size == targets.shape[1]:
        raise DataError(
            f"Expected a name and a threshold for each of {targets.shape[1]} genres, got "
            f"{len(genres)} names and {limits.size} thresholds."
        )
    truth, named = targets > 0, probabilities >= limits  # (N, G)
    hits = (truth & named).sum(axis=0)
    called, support = named.sum(axis=0), truth.sum(axis=0)
    per_genre = {
        genre: LabelMetrics(
            precision=_share(hits[g], called[g]),
            recall=_share(hits[g], support[g]),
            f1=_share(2 * hits[g], called[g] + support[g]),
            average_precision=average_precision(truth[:, g], probabilities[:, g]),
            support=int(support[g]),
        )
        for g, genre in enumerate(genres)
    }
    present = [m for m in per_genre.values() if m.support] or [*per_genre.values()]
    of_truth = np.where(truth, probabilities, 1 - probabilities)
    return MultiLabelMetrics(
        accuracy=float((truth == named).all(axis=1).mean()),
        loss=float(-np.log(np.clip(of_truth, SMALLEST, 1.0)).sum(axis=1).mean()),
        macro_f1=float(np.mean([m.f1 for m in present])),
        micro_f1=_share(2 * hits.sum(), called.sum() + support.sum()),
        mean_average_precision=float(np.mean([m.average_precision for m in present])),
        per_genre=per_genre,
    )


def average_precision(truth: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float:
    """Average precision of one genre [shape=(n_recordings,) each]; 0 if none has it."""
    _, hits, named = _by_threshold(truth, probabilities)
    rise = np.diff(hits, prepend=0)
    return _share(float((rise * hits / named).sum()), float(hits[-1]))


def f1_thresholds(
    targets: NDArray[np.floating], probabilities: NDArray[np.float64]
) -> tuple[float, ...]:
    """The threshold of each genre that gives the highest F1 on these recordings.

    It is half-way between the lowest probability that is named and the highest that is not; of
    equally good ones, the one that names least. A genre that no recording has, or all have, gets
    :data:`UNTRIED`: nothing tells it apart.

    Parameters and errors are those of :func:`evaluate`.
    """
    validate(targets, probabilities)
    found = []
    for truth, own in zip((targets > 0).T, probabilities.T, strict=True):
        values, hits, named = _by_threshold(truth, own)
        if truth.all() or not truth.any():
            found.append(UNTRIED)
            continue
        best = int(np.argmax(2 * hits / (named + hits[-1])))
        below = values[best + 1] if best + 1 < values.size else 0.0
        found.append(float((values[best] + below) / 2))
    return tuple(found)


def _by_threshold(
    truth: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct probabilities, falling; at each, how many are named rightly, and in all."""
    falling = truth[np.argsort(-probabilities, kind="stable")].astype(np.int64)
    values, sizes = np.unique(probabilities, return_counts=True)
    named = np.cumsum(sizes[::-1], dtype=np.int64)
    return values[::-1], np.cumsum(falling, dtype=np.int64)[named - 1], named


def _share(count: float, of: float) -> float:
    return float(count / of) if of else 0.0
