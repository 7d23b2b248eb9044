"""Calibration: whether a probability of 0.8 is right eight times in ten.

- Proper scores: negative log-likelihood in nats; Brier score (Brier 1950) in its original form, the
  sum over genres of squared errors, from 0 to 2.
- Expected calibration error (Naeini, Cooper and Hauskrecht 2015) of the confidence, which is the
  probability of the verdict, over bins of equal mass. It is never 0 at finite n, so it is given
  with the range that a perfectly calibrated model with the same confidences would give
  (consistency resampling, Broecker and Smith 2007).
- Temperature (Guo et al. 2017): log-probabilities divided by T and normalised again
  (:mod:`ostinato.evaluation.probabilities`). It is fitted on recordings that the model did not
  train on, those of the held-out folds.

Conventions: bins are cut at quantiles of the confidence, as scikit-learn's ``calibration_curve``
cuts them, and equal confidences share a bin; of equal probabilities the first genre is the
verdict. Ranges and intervals here assume independent tracks, which makes them too narrow if artists
have several.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from ostinato.errors import DataError, UsageError
from ostinato.evaluation import metrics
from ostinato.evaluation.probabilities import SMALLEST, apply_temperature
from ostinato.evaluation.significance import (
    Interval,
    TrackInterval,
    wilson,
)

N_BINS = 10
#: Bounds of a fitted temperature. One at a bound means that none fits: every verdict was right (the
#: low bound) or probabilities say nothing about the truth (the high one).
TEMPERATURES = (0.05, 20.0)

_CELLS = 1 << 21  # of one block of draws: 16 MB


@dataclass(frozen=True, kw_only=True)
class Bin:
    """A point of the reliability diagram: mean confidence, share right (by tracks), recordings."""

    confidence: float
    accuracy: TrackInterval
    n: int


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Calibration of one part: what the functions of these names return."""

    nll: float
    brier: float
    ece: float
    ece_if_calibrated: Interval
    reliability: tuple[Bin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def validate(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> None:
    """Refuse arrays that are not labels [shape=(n,)] and probabilities [shape=(n, n_genres)].

    Raises
    ------
    DataError
        If there is nothing, shapes do not agree, a label is no genre, or a row is no distribution.
    """
    n_genres = probabilities.shape[-1] if probabilities.ndim else 0
    metrics.validate(labels, probabilities, n_genres=n_genres)
    if labels.min() < 0 or labels.max() >= n_genres:
        raise DataError(
            f"Expected labels from 0 to {n_genres - 1}, got {labels.min()} to {labels.max()}."
        )
    sums = probabilities.sum(axis=1)
    if probabilities.min() < 0 or np.abs(sums - 1).max() > 1e-3:  # rounded in a table, not logits
        raise DataError(
            "Expected rows of probabilities that are not negative and add to 1, got sums from "
            f"{sums.min():.3g} to {sums.max():.3g}: are these logits?"
        )


def nll(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Mean negative log-likelihood of the true genre, in nats; a 0 counts as 1e-12."""
    validate(labels, probabilities)
    of_truth = probabilities[np.arange(labels.size), labels]
    return float(-np.log(np.clip(of_truth, SMALLEST, 1.0)).mean())


def brier(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Mean over recordings of the sum over genres of squared errors, from 0 to 2."""
    validate(labels, probabilities)
    truth = np.eye(probabilities.shape[1])[labels]  # (recording, genre)
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def verdicts(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which verdicts are right, and their confidences [shape=(n_recordings,) each]."""
    validate(labels, probabilities)
    return probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)


def check_confidences(correct: NDArray[np.bool_], confidences: NDArray[np.float64]) -> None:
    """Refuse confidences that do not fit the verdicts or are not in [0, 1]."""
    if correct.ndim != 1 or correct.shape != confidences.shape or correct.size == 0:
        raise DataError(
            "Expected a confidence for every verdict, and one verdict or more; got shapes "
            f"{correct.shape} and {confidences.shape}."
        )
    # NaN is in no range; a little above 1 is rounding of a table
    if not ((confidences >= 0) & (confidences <= 1 + 1e-3)).all():
        raise DataError(
            f"Expected confidences from 0 to 1, got {confidences.min()} to {confidences.max()}."
        )


def reliability(
    correct: NDArray[np.bool_], confidences: NDArray[np.float64], *, n_bins: int = N_BINS
) -> tuple[Bin, ...]:
    """Points of the reliability diagram, by rising confidence.

    Parameters
    ----------
    correct, confidences : array [shape=(n_recordings,)]
        As :func:`verdicts` returns them.
    n_bins : int
        Number of bins of equal mass; there are fewer if confidences are equal.

    Raises
    ------
    UsageError
        If ``n_bins`` is below 1.
    DataError
        If there is nothing, or the two do not fit.
    """
    order, starts, sizes = _bins(correct, confidences, n_bins)
    hits = np.add.reduceat(correct[order].astype(np.int64), starts)
    sums = np.add.reduceat(confidences[order], starts)
    return tuple(
        Bin(confidence=float(c / n), accuracy=wilson(float(h / n), int(n)), n=int(n))
        for h, c, n in zip(hits, sums, sizes, strict=True)
    )


def ece(
    correct: NDArray[np.bool_], confidences: NDArray[np.float64], *, n_bins: int = N_BINS
) -> float:
    """Expected calibration error: mean distance of confidence and share right, by bin."""
    points = reliability(correct, confidences, n_bins=n_bins)
    gaps = sum(p.n * abs(p.accuracy.mean - p.confidence) for p in points)
    return float(gaps / correct.size)


def ece_if_calibrated(
    confidences: NDArray[np.float64],
    *,
    n_bins: int = N_BINS,
    n_draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """ECE that a perfectly calibrated model with the same confidences would show, by simulation.

    In each draw a verdict is right with its own probability. An ECE above the interval is
    miscalibration; one inside it shows none.

    Raises
    ------
    UsageError
        If ``n_bins`` or ``n_draws`` is below 1.
    DataError
        If there is nothing, or a confidence is not in [0, 1].
    """
    if n_draws < 1:
        raise UsageError(f"Expected at least one draw, got {n_draws}.")
    order, starts, _ = _bins(np.zeros(confidences.shape, dtype=np.bool_), confidences, n_bins)
    rising = confidences[order]
    expected = np.add.reduceat(rising, starts)
    random = np.random.default_rng(seed)
    n_rows = max(1, _CELLS // rising.size)
    draws = []
    for start in range(0, n_draws, n_rows):
        rows = min(n_rows, n_draws - start)
        right = random.random((rows, rising.size)) < rising  # (draw, recording)
        hits = np.add.reduceat(right, starts, axis=1, dtype=np.int64)  # (draw, bin)
        draws.append(np.abs(hits - expected).sum(axis=1) / rising.size)
    values = np.concatenate(draws)
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Temperature of the smallest negative log-likelihood, within ``TEMPERATURES``.

    The probabilities are those of recordings that the model did not train on: on others the
    temperature would be far too low. Errors are those of :func:`validate`.
    """
    validate(labels, probabilities)

    # The loss is convex in 1 / T, so it has one minimum in log T too.
    def loss(log_temperature: float) -> float:
        return nll(labels, apply_temperature(probabilities, float(np.exp(log_temperature))))

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def evaluate(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    *,
    n_bins: int = N_BINS,
    n_draws: int = 2000,
) -> Calibration:
    """Evaluate the calibration of one part.

    Raises
    ------
    UsageError
        If ``n_bins`` or ``n_draws`` is below 1.
    DataError
        As in :func:`validate`.
    """
    correct, confidences = verdicts(labels, probabilities)
    return Calibration(
        nll=nll(labels, probabilities),
        brier=brier(labels, probabilities),
        ece=ece(correct, confidences, n_bins=n_bins),
        ece_if_calibrated=ece_if_calibrated(confidences, n_bins=n_bins, n_draws=n_draws),
        reliability=reliability(correct, confidences, n_bins=n_bins),
    )


def _bins(
    correct: NDArray[np.bool_], confidences: NDArray[np.float64], n_bins: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Order by confidence [shape=(n_recordings,)], where bins start in it, and their sizes."""
    if n_bins < 1:
        raise UsageError(f"Expected one bin or more, got {n_bins}.")
    check_confidences(correct, confidences)
    order = np.argsort(confidences, kind="stable")
    inner = np.quantile(confidences, np.linspace(0, 1, n_bins + 1))[1:-1]
    number = np.searchsorted(inner, confidences[order])
    _, starts, sizes = np.unique(number, return_index=True, return_counts=True)
    return order.astype(np.int64), starts.astype(np.int64), sizes.astype(np.int64)
