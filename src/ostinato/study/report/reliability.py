"""The figure of calibration: a reliability diagram, and what abstaining gains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ostinato.plotting import FAINT, SOFT, keys, place, titled
from ostinato.study.report.reading import colours, confidences
from ostinato.study.report.words import NOUNS, over_seeds
from ostinato.study.results.schema import StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.5
_SIDE = 2.95


def reliability(results: StudyResults) -> Figure:
    """Share right against stated probability (left); share right against share answered (right)."""
    found, tint = confidences(results), colours(results.models)
    height = _SIDE + 1.0
    part = NOUNS[results.examined]
    if not found:
        return titled(
            "No calibration",
            "One fold without a test part: no recordings are left to judge a temperature on.",
            width=WIDTH,
            height=0.2,
        )
    best = min(found, key=lambda model: found[model].after.ece)
    figure = titled(
        f"Stated probabilities are {100 * found[best].after.ece:.1f} points off on average "
        f"({results.models[best].label})",
        f"{part.capitalize()} part, {over_seeds(results.n_seeds)}, after temperature. Left: on "
        "the diagonal a probability is true; bars: 95% intervals that take recordings as "
        "independent. Right: the surest recordings are answered first.",
        width=WIDTH,
        height=height,
    )
    left = place(figure, 0.75, 0.55, 0.75 + _SIDE, 0.55 + _SIDE)
    right = place(figure, 0.75 + _SIDE + 0.85, 0.55, WIDTH - 0.2, 0.55 + _SIDE)
    left.plot([0, 1], [0, 1], color=FAINT, lw=1.5, zorder=0)
    for model, own in found.items():
        points = own.reliability
        x, y = [p.confidence for p in points], [p.accuracy for p in points]
        errors = [[p.accuracy - p.low for p in points], [p.high - p.accuracy for p in points]]
        left.errorbar(x, y, errors, fmt="o-", color=tint[model], ms=5, lw=1.2, elinewidth=0.8,
                      mec="white", mew=0.7, label=results.models[model].label)  # fmt: skip
        curve = own.risk_coverage
        right.plot(curve.coverage, 1 - np.array(curve.risk), color=tint[model], lw=1.8)
    left.set(xlim=(0, 1), ylim=(0, 1), xlabel="stated probability", ylabel="share right")
    right.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="share answered", ylabel="share right")
    for axes in (left, right):
        _per_cent(axes)
    keys(figure, 0.16, height - 0.05, ncols=5, handlelength=1.2)
    return figure


def _per_cent(axes: Axes) -> None:
    ticks = np.linspace(0, 1, 6)
    texts = [f"{value}%" for value in range(0, 101, 20)]
    axes.set_xticks(ticks, texts)
    axes.set_yticks(ticks, texts)
    axes.grid(visible=True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(SOFT)
