"""Abstaining: risk against coverage, and the threshold for a target precision.

A recording is answered when its confidence, the probability of its verdict, is at or above a
threshold; the coverage is the share that is answered, the risk the error rate among these. The
curve and the area under it are those of Geifman and El-Yaniv (2017, Selective classification for
deep neural networks).

Conventions: of equal confidences all or none are answered. Intervals here assume independent
tracks, which makes them too narrow if artists have several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import UsageError
from ostinato.evaluation.calibration import check_confidences, verdicts
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "threshold": self.threshold.tolist(),
            "coverage": self.coverage.tolist(),
            "risk": self.risk.tolist(),
            "aurc": self.aurc,
        }


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Where to abstain: confidence, share of recordings answered, number, share of these right."""

    threshold: float
    coverage: float
    n: int
    precision: TrackInterval

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False, kw_only=True)
class Selection:
    """A part's curve, and its threshold for each target precision, None if unreachable."""

    curve: RiskCoverage
    thresholds: dict[float, Threshold | None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: a list of thresholds, each with its target precision."""
        return {
            "curve": self.curve.to_dict(),
            "thresholds": [
                {"wished": target, "found": found and found.to_dict()}
                for target, found in self.thresholds.items()
            ],
        }


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
    level: float = 0.95,
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
    level : float
        Level of the Wilson interval of the precision, in (0, 1).

    Returns
    -------
    Threshold or None
        None if no threshold reaches the target precision.

    Raises
    ------
    UsageError
        If ``precision``, ``n_least`` or ``level`` is out of its range.
    DataError
        If there is nothing, or correctness and confidences do not fit.
    """
    if not 0 < precision <= 1 or n_least < 1 or not 0 < level < 1:
        raise UsageError(
            "Expected a precision above 0 up to 1, one answer or more and a level between 0 and 1; "
            f"got precision {precision}, {n_least} answers, level {level}."
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
        precision=wilson(float(right[at] / n), n, level=level),
    )


def evaluate(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    *,
    precisions: Sequence[float] = (0.8, 0.9),
    n_least: int = 20,
    level: float = 0.95,
) -> Selection:
    """Evaluate abstaining in one part.

    Parameters
    ----------
    labels : int array [shape=(n_recordings,)]
    probabilities : array [shape=(n_recordings, n_genres)]
    precisions : sequence of float
        Target shares of right answers, in (0, 1].
    n_least, level
        As in :func:`threshold_for`.

    Raises
    ------
    UsageError
        If a setting is out of its range.
    DataError
        As in :func:`ostinato.evaluation.calibration.validate`.
    """
    correct, confidences = verdicts(labels, probabilities)
    return Selection(
        curve=risk_coverage(correct, confidences),
        thresholds={
            target: threshold_for(
                correct, confidences, precision=target, n_least=n_least, level=level
            )
            for target in precisions
        },
    )
