"""Figures as plain words: percentages, points, intervals; and the form of a finding.

All text is plain ASCII where it states a figure, so that every terminal can show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ostinato.evaluation.significance import Interval

Verdict = Literal["yes", "no", "undecided"]

#: The parts of a split, as adjectives.
NOUNS = {"train": "training", "valid": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One question, or part of the claim under test, and its answer."""

    topic: Literal["answer", "claim", "caveat"]
    question: str
    sentences: tuple[str, ...]  # the answer; the first sentence stands alone
    verdict: Verdict | None = None  # None where the question is not one of yes or no

    @property
    def answer(self) -> str:
        """All sentences as one text."""
        return " ".join(self.sentences)


def percent(fraction: float) -> str:
    """0.541 -> ``54.1%``."""
    return f"{_tenths(fraction):.1f}%"


def points(fraction: float) -> str:
    """0.031 -> ``+3.1``: a difference, always with its sign."""
    return f"{_tenths(fraction):+.1f}"


def percent_span(interval: Interval) -> str:
    """Bounds of an accuracy: ``48.0 to 60.1``."""
    return f"{_tenths(interval.low):.1f} to {_tenths(interval.high):.1f}"


def percent_with_span(interval: Interval) -> str:
    """An accuracy with its bounds, short: ``54.1% (48.0-60.1)``."""
    return f"{percent(interval.mean)} ({100 * interval.low:.1f}-{100 * interval.high:.1f})"


def points_span(interval: Interval) -> str:
    """Bounds of a difference: ``-2.9 to +9.0``."""
    return f"{points(interval.low)} to {points(interval.high)}"


def points_with_span(interval: Interval) -> str:
    """A difference with its bounds: ``+3.1 (-2.9 to +9.0)``."""
    return f"{points(interval.mean)} ({points_span(interval)})"


def p_value(p: float) -> str:
    """``p = 0.81``, ``p = 0.034``, ``p < 0.001``."""
    return f"p {bare_p(p)}" if p < 0.001 else f"p = {bare_p(p)}"


def bare_p(p: float) -> str:
    """``0.81``, ``0.034``, ``< 0.001``: a p value for a column of them."""
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def count(n: int, noun: str) -> str:
    """``1 recording``, ``2 recordings``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def amount(mean_count: float) -> str:
    """A mean of counts: ``9.3``, ``12``."""
    return f"{mean_count:.1f}".removesuffix(".0")


def over_seeds(n: int) -> str:
    """``mean of 3 seeds``, or ``one seed``."""
    return "one seed" if n == 1 else f"mean of {n} seeds"


def _tenths(fraction: float) -> float:
    return round(100 * fraction, 1) + 0.0  # + 0.0: no "-0.0"
