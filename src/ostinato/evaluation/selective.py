"""Abstaining: risk against coverage, and the threshold for a target precision.

A recording is answered when its confidence, the probability of its verdict, is at or above a
threshold; the coverage is the share that is answered, the risk the error rate among these. The
curve and the area under it are those of Geifman and El-Yaniv (2017, Selective classification for
deep neural networks).

Conventions: of equal confidences all or none are answered. Intervals here assume independent
tracks, which makes them too narrow if artists have several.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import UsageError
from ostinato.evaluation.calibration import check_confidences
from ostinato.evaluation.significance import TrackInterval, wilson


@dataclass(frozen=True, eq=False, kw_only=True)
class RiskCoverage:
    """Risk-coverage curve.

    Attributes
    ----------
    threshold, coverage, risk : array [shape=(n_confidences,)]
        Distinct confidences from high to low; share of recordings at or above each; error rate
        among these.
    aurc : float
        Mean over k of the error rate of the k most confident. Among equal confidences any order is
        as likely as another, and it is the expectation over them.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    aurc: float


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Where to abstain: confidence, share of recordings answered, number, share of these right."""

    threshold: float
    coverage: float
    n: int
    precision: TrackInterval


def risk_coverage(correct: NDArray[np.bool_], confidences: NDArray[np.float64]) -> RiskCoverage:
    """Error rate among the recordings that are answered, from the most confident to all.

    Parameters
    ----------
    correct, confidences : array [shape=(n_recordings,)]
        As :func:`~ostinato.evaluation.calibration.verdicts` returns them.

    Raises
    ------
    DataError
        If there is nothing, or the two do not fit.
    """
    check_confidences(correct, confidences)
    falling = np.argsort(-confidences, kind="stable")
    threshold, sizes = np.unique(confidences, return_counts=True)
    threshold, sizes = threshold[::-1], sizes[::-1]
    ends = np.cumsum(sizes)  # answered at each threshold
    errors = np.cumsum(~correct[falling])[ends - 1]
    rate = np.diff(errors, prepend=0) / sizes  # within equal confidences: the expectation
    answered = np.arange(1, correct.size + 1)
    aurc = float((np.cumsum(np.repeat(rate, sizes)) / answered).mean())
    return RiskCoverage(
        threshold=threshold, coverage=ends / correct.size, risk=errors / ends, aurc=aurc
    )


def threshold_for(
    correct: NDArray[np.bool_],
    confidences: NDArray[np.float64],
    *,
    precision: float,
    n_least: int = 20,
) -> Threshold | None:
    """Find the threshold that answers most while enough of the answers are right.

    On other recordings the target is missed as often as it is met: aim higher than needed, or use
    the low end of the interval, and examine the threshold on recordings that did not choose it.

    Parameters
    ----------
    correct, confidences : array [shape=(n_recordings,)]
        As :func:`~ostinato.evaluation.calibration.verdicts` returns them, out-of-fold.
    precision : float
        Target share of right answers, in (0, 1].
    n_least : int
        A threshold that answers fewer recordings is not considered: a handful is right by luck.

    Returns
    -------
    Threshold or None
        None if no threshold reaches the target precision.

    Raises
    ------
    UsageError
        If ``precision`` or ``n_least`` is out of its range.
    DataError
        If there is nothing, or correctness and confidences do not fit.
    """
    if not 0 < precision <= 1 or n_least < 1:
        raise UsageError(
            "Expected a precision above 0 up to 1 and one answer or more; "
            f"got precision {precision}, {n_least} answers."
        )
    curve = risk_coverage(correct, confidences)
    answered = np.rint(curve.coverage * correct.size).astype(np.int64)
    right = np.rint((1 - curve.risk) * answered).astype(np.int64)
    good = np.flatnonzero((right >= precision * answered - 1e-9) & (answered >= n_least))
    if good.size == 0:
        return None
    at = good[-1]
    n = int(answered[at])
    return Threshold(
        threshold=float(curve.threshold[at]),
        coverage=float(curve.coverage[at]),
        n=n,
        precision=wilson(float(right[at] / n), n),
    )
