"""How far the probabilities of a study's models can be believed, and what it buys to abstain.

Temperature and thresholds are chosen on verdicts about other recordings than those they are judged
on: of the validation part where there is a test part, else of the other folds. The verdicts of all
of them are about recordings that the network had not learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ostinato.evaluation import apply_temperature, calibration, selective
from ostinato.evaluation.calibration import Calibration
from ostinato.evaluation.significance import wilson
from ostinato.study.results.pool import Pool
from ostinato.study.training_run import Probabilities

#: Shares of right answers that thresholds are chosen for.
WISHED = (0.7, 0.8, 0.9)
#: Points kept of a risk-coverage curve: what a figure can show.
N_POINTS = 101


class Side(NamedTuple):
    """Rows of one pool that something is fitted on, and rows of another that it is judged on."""

    fitted: NDArray[np.int64]
    judged: NDArray[np.int64]


def confidence(
    fitted: Pool, judged: Pool, seeds: Sequence[Sequence[Probabilities]]
) -> dict[str, Any] | None:
    """Calibration and abstaining of one model: means over its seeds.

    Parameters
    ----------
    fitted : Pool
        The validation part.
    judged : Pool
        The examined part; the same object where that is the validation part of several folds.
    seeds : by seed and fold
        Probabilities of each part.

    Returns
    -------
    dict or None
        As in ``docs/reference/results.md``; None for a single fold without a test part, where all verdicts
        there are would choose and be judged at once.
    """
    pairs = _sides(fitted, judged)
    if not pairs:
        return None
    rows = np.concatenate([side.judged for side in pairs])
    labels = judged.labels[rows]
    before, after, temperatures, thresholds = [], [], [], []
    for folds in seeds:
        chosen_on, plain = fitted.probabilities(folds), judged.probabilities(folds)
        scaled, limits = [], {wished: np.full(rows.size, np.inf) for wished in WISHED}
        at = 0
        for side in pairs:
            truth, said = fitted.labels[side.fitted], chosen_on[side.fitted]
            temperature = calibration.fit_temperature(truth, said)
            temperatures.append(temperature)
            scaled.append(apply_temperature(plain[side.judged], temperature))
            verdicts = calibration.verdicts(truth, apply_temperature(said, temperature))
            here = slice(at, at + side.judged.size)
            for wished in WISHED:
                found = selective.threshold_for(*verdicts, precision=wished)
                limits[wished][here] = np.inf if found is None else found.threshold
            at = here.stop
        before.append(plain[rows])
        after.append(np.concatenate(scaled))
        thresholds.append(limits)
    return {
        "part": judged.part,
        "fitted_on": "other folds" if fitted is judged else "valid",
        "temperature": float(np.mean(temperatures)),
        "before": _scores([calibration.evaluate(labels, p) for p in before]),
        "after": _scores([calibration.evaluate(labels, p) for p in after]),
        "reliability": _reliability(labels, after),
        "risk_coverage": _risk_coverage(labels, after),
        "abstaining": [
            _abstaining(labels, after, [limits[wished] for limits in thresholds], wished)
            for wished in WISHED
        ],
    }


def _sides(fitted: Pool, judged: Pool) -> list[Side]:
    """What is fitted where, fold by fold; nothing where a fold has no other recordings to use."""
    sides = []
    for fold in np.unique(judged.folds):
        rows = np.flatnonzero(judged.folds == fold)
        if fitted is judged:
            # With repeated folds a recording stands in several of them.
            inside = np.isin(fitted.positions, judged.positions[rows])
            others = np.flatnonzero(~inside)
        else:
            others = np.flatnonzero(fitted.folds == fold)
        if others.size:
            sides.append(Side(others, rows))
    return sides


def _scores(found: Sequence[Calibration]) -> dict[str, float]:
    return {
        "nll": float(np.mean([c.nll for c in found])),
        "brier": float(np.mean([c.brier for c in found])),
        "ece": float(np.mean([c.ece for c in found])),
        "ece_low": float(np.mean([c.ece_if_calibrated.low for c in found])),
        "ece_high": float(np.mean([c.ece_if_calibrated.high for c in found])),
    }


def _reliability(
    labels: NDArray[np.int64], seeds: Sequence[NDArray[np.float64]]
) -> list[dict[str, float]]:
    """Points of the diagram, the seeds' verdicts together; a point's ``n`` is in recordings."""
    found = [calibration.verdicts(labels, p) for p in seeds]
    correct, confidences = (np.concatenate(values) for values in zip(*found, strict=True))
    points = []
    for point in calibration.reliability(correct, confidences):
        n = max(1, round(point.n / len(seeds)))  # another seed is not another recording
        interval = wilson(point.accuracy.mean, n)
        points.append(
            {
                "confidence": point.confidence,
                "accuracy": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "n": point.n / len(seeds),
            }
        )
    return points


def _risk_coverage(
    labels: NDArray[np.int64], seeds: Sequence[NDArray[np.float64]]
) -> dict[str, Any]:
    """The mean curve of the seeds, at even coverages, and the mean of their areas."""
    curves = [selective.risk_coverage(*calibration.verdicts(labels, p)) for p in seeds]
    coverage = np.linspace(1 / labels.size, 1, min(N_POINTS, labels.size))
    risks = [np.interp(coverage, curve.coverage, curve.risk) for curve in curves]
    return {
        "aurc": float(np.mean([curve.aurc for curve in curves])),
        "coverage": coverage.tolist(),
        "risk": np.mean(risks, axis=0).tolist(),
    }


def _abstaining(
    labels: NDArray[np.int64],
    seeds: Sequence[NDArray[np.float64]],
    limits: Sequence[NDArray[np.float64]],
    wished: float,
) -> dict[str, Any]:
    """What thresholds that were chosen elsewhere do here: share answered, share of it right.

    Where no threshold reached the wish, nothing is answered.
    """
    found = [calibration.verdicts(labels, p) for p in seeds]
    answered = [sure >= limit for (_, sure), limit in zip(found, limits, strict=True)]
    right = [correct & given for (correct, _), given in zip(found, answered, strict=True)]
    n_answered, n_right = (float(np.mean([x.sum() for x in xs])) for xs in (answered, right))
    usable = np.concatenate([limit[np.isfinite(limit)] for limit in limits])
    values = asdict(wilson(n_right / n_answered, max(1, round(n_answered)))) if n_answered else {}
    return {
        "wished": wished,
        "threshold": float(usable.mean()) if usable.size else None,
        "coverage": n_answered / labels.size,
        "precision": values.get("mean"),
        "low": values.get("low"),
        "high": values.get("high"),
    }
