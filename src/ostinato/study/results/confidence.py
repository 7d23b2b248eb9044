"""Calibration of a study's models, and what abstaining gains.

Temperature and thresholds are chosen on other recordings than those they are judged on: the
validation part where there is a test part, else the other folds. The network has learned from none
of these recordings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ostinato.evaluation import apply_temperature, calibration, selective
from ostinato.evaluation.calibration import Calibration
from ostinato.evaluation.significance import wilson
from ostinato.study.results.model_schema import (
    Abstaining,
    CalibrationScores,
    Confidence,
    OperatingPoint,
    ReliabilityPoint,
    RiskCoverage,
)
from ostinato.study.results.pool import Pool
from ostinato.study.training_run import Probabilities

#: Target precisions that thresholds are chosen for.
TARGETS = (0.7, 0.8, 0.9)
#: Points kept of a risk-coverage curve: what a figure can show.
N_POINTS = 101


def confidence(
    fitted: Pool, judged: Pool, seeds: Sequence[Sequence[Probabilities]]
) -> Confidence | None:
    """Calibration and abstaining of one model, means over its seeds, from its probabilities.

    ``fitted`` is the validation part, and ``judged`` the examined part: the same object where that
    is the validation part of several folds. A single fold without a test part gives None: every
    recording there would choose and be judged at once.
    """
    pairs = _sides(fitted, judged)
    if not pairs:
        return None
    rows = np.concatenate([to_judge for _, to_judge in pairs])
    labels = judged.labels[rows]
    before, after = [], []
    temperatures: list[list[float]] = []  # (seed, fold)
    limits = np.full((len(TARGETS), len(seeds), rows.size), np.inf)  # thresholds; inf: none reaches
    for seed, folds in enumerate(seeds):
        chosen_on, plain = fitted.probabilities(folds), judged.probabilities(folds)
        scaled = []
        temperatures.append([])
        at = 0
        for to_fit, to_judge in pairs:
            truth, said = fitted.labels[to_fit], chosen_on[to_fit]
            temperature = calibration.fit_temperature(truth, said)
            temperatures[seed].append(temperature)
            scaled.append(apply_temperature(plain[to_judge], temperature))
            verdicts = calibration.verdicts(truth, apply_temperature(said, temperature))
            here = slice(at, at + to_judge.size)
            for number, target in enumerate(TARGETS):
                if found := selective.threshold_for(*verdicts, precision=target):
                    limits[number, seed, here] = found.threshold
            at = here.stop
        before.append(plain[rows])
        after.append(np.concatenate(scaled))
    return Confidence(
        part=judged.part,
        fitted_on="other folds" if fitted is judged else "valid",
        temperature=float(np.mean(temperatures)),
        temperatures=[float(np.mean(folds)) for folds in temperatures],
        before=_scores([calibration.evaluate(labels, p) for p in before]),
        after=_scores([calibration.evaluate(labels, p) for p in after]),
        reliability=_reliability(labels, after),
        risk_coverage=_risk_coverage(labels, after),
        abstaining=[
            _abstaining(labels, after, own, target)
            for own, target in zip(limits, TARGETS, strict=True)
        ],
    )


def _sides(fitted: Pool, judged: Pool) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to fit on and to judge, fold by fold; none where a fold has no other recordings."""
    sides = []
    for fold in np.unique(judged.folds):
        rows = np.flatnonzero(judged.folds == fold)
        if fitted is judged:
            # With repeated folds a recording is in several of them.
            inside = np.isin(fitted.positions, judged.positions[rows])
            others = np.flatnonzero(~inside)
        else:
            others = np.flatnonzero(fitted.folds == fold)
        if others.size:
            sides.append((others, rows))
    return sides


def _scores(found: Sequence[Calibration]) -> CalibrationScores:
    scores = [
        (c.nll, c.brier, c.ece, c.ece_if_calibrated.low, c.ece_if_calibrated.high) for c in found
    ]
    nll, brier, ece, low, high = (float(np.mean(values)) for values in zip(*scores, strict=True))
    return CalibrationScores(nll=nll, brier=brier, ece=ece, ece_low=low, ece_high=high)


def _reliability(
    labels: NDArray[np.int64], seeds: Sequence[NDArray[np.float64]]
) -> list[ReliabilityPoint]:
    """Points of the diagram, the seeds' verdicts together; a point's ``n`` is in recordings."""
    found = [calibration.verdicts(labels, p) for p in seeds]
    correct, confidences = (np.concatenate(values) for values in zip(*found, strict=True))
    points = []
    for point in calibration.reliability(correct, confidences):
        n = max(1, round(point.n / len(seeds)))  # another seed is not another recording
        interval = wilson(point.accuracy.mean, n)
        points.append(
            ReliabilityPoint(
                confidence=point.confidence, accuracy=interval.mean, low=interval.low,
                high=interval.high, n=point.n / len(seeds),
            )
        )  # fmt: skip
    return points


def _risk_coverage(labels: NDArray[np.int64], seeds: Sequence[NDArray[np.float64]]) -> RiskCoverage:
    """The mean curve of the seeds, at even coverages, and the mean of their areas."""
    curves = [selective.risk_coverage(*calibration.verdicts(labels, p)) for p in seeds]
    coverage = np.linspace(1 / labels.size, 1, min(N_POINTS, labels.size))
    risks = [np.interp(coverage, curve.coverage, curve.risk) for curve in curves]
    return RiskCoverage(
        aurc=float(np.mean([curve.aurc for curve in curves])),
        coverage=coverage.tolist(),
        risk=np.mean(risks, axis=0).tolist(),
    )


def _abstaining(
    labels: NDArray[np.int64],
    seeds: Sequence[NDArray[np.float64]],
    limits: NDArray[np.float64],
    target: float,
) -> Abstaining:
    """What thresholds (seed, row) chosen elsewhere do here.

    A seed that no threshold brings to the target, in whichever fold, answers at no point, and is in
    no mean.
    """
    points: list[OperatingPoint | None] = []
    for probabilities, limit in zip(seeds, limits, strict=True):
        if not np.isfinite(limit).all():
            points.append(None)
            continue
        correct, sure = calibration.verdicts(labels, probabilities)
        answered = sure >= limit
        points.append(
            OperatingPoint(
                threshold=float(limit.mean()),
                coverage=float(answered.mean()),
                precision=float(correct[answered].mean()) if answered.any() else None,
            )
        )
    reached = [point for point in points if point]
    n_answered = sum(point.coverage for point in reached) * labels.size
    n_right = sum(point.coverage * (point.precision or 0) for point in reached) * labels.size
    share = None
    if n_answered:
        share = wilson(n_right / n_answered, max(1, round(n_answered / len(reached))))
    return Abstaining(
        target=target,
        seeds=points,
        coverage=n_answered / labels.size / len(reached) if reached else None,
        precision=share.mean if share else None,
        low=share.low if share else None,
        high=share.high if share else None,
    )
