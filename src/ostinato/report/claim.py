"""A claim often repeated about these models, put to the test part by part.

A part holds where the intervals of all its differences lie above 0. It does not hold where an
estimate is against it. In between, the estimates favour it and an interval holds 0: undecided.
"""

from __future__ import annotations

from ostinato.evaluation.significance import Interval
from ostinato.report.reading import (
    Results,
    difference,
    examined,
    gap_difference,
    genre_f1,
    label,
)
from ostinato.report.words import NOUNS, Finding, Verdict, count, joined, points, points_span

CLAIM = "ResLSTM beats LSTM and ConvLSTM, and over-fits least; disco and reggae are hardest."
CHAMPION = "residual-lstm"
RIVALS = ("lstm", "conv-lstm")
HARDEST = ("disco", "reggae")


def claim(results: Results) -> list[Finding]:
    """The parts of :data:`CLAIM`; none where its three models are not all in the study."""
    if not {CHAMPION, *RIVALS} <= set(results["models"]):
        return []
    name = label(results, CHAMPION)
    rivals = joined([label(results, rival) for rival in RIVALS])
    ahead = {rival: difference(results, CHAMPION, rival) for rival in RIVALS}
    smaller = {rival: gap_difference(results, rival, CHAMPION) for rival in RIVALS}
    part = NOUNS[examined(results)]
    return [
        _margin(results, f"{name} beats {rivals}.", f"Points of {part} accuracy ahead", ahead),
        _margin(results, f"{name} over-fits least.", "Points by which its gap is smaller", smaller),
        *_hardest(results),
    ]


def _margin(results: Results, statement: str, what: str, margins: dict[str, Interval]) -> Finding:
    stated = joined(
        [
            f"{points(margin.mean)} against {label(results, rival)} ({points_span(margin)})"
            for rival, margin in margins.items()
        ]
    )
    verdict: Verdict = "undecided"
    remark: tuple[str, ...] = ()
    if any(margin.mean <= 0 for margin in margins.values()):
        verdict = "no"
        if all(margin.high > 0 for margin in margins.values()):
            remark = ("An estimate is against it; the intervals do not rule it out.",)
    elif all(margin.low > 0 for margin in margins.values()):
        verdict = "yes"
    else:
        remark = ("The estimates favour it, but an interval holds 0.",)
    return Finding(
        topic="claim",
        question=statement,
        sentences=(f"{what}: {stated}.", *remark),
        verdict=verdict,
    )


def _hardest(results: Results) -> list[Finding]:
    """There is no interval for F1: the part holds where every model agrees on it."""
    scores = genre_f1(results)
    if not set(HARDEST) < set(scores):
        return []
    part = examined(results)
    own = [
        {genre: model["per_genre"][part][genre]["f1"] for genre in scores}
        for model in results["models"].values()
    ]
    agreeing = sum(_lead(f1) > 0 for f1 in own)
    verdict: Verdict = "undecided"
    if _lead(scores) < 0:
        verdict = "no"
    elif agreeing == len(own):
        verdict = "yes"
    bound = sorted(scores.values())[len(HARDEST) - 1]
    lowest = joined([f"{genre} {f1:.2f}" for genre, f1 in scores.items() if f1 <= bound])
    places = joined(
        [f"{g} is number {1 + sum(f1 < scores[g] for f1 in scores.values())}" for g in HARDEST]
    )
    these = joined(HARDEST)
    return [
        Finding(
            topic="claim",
            question=f"{these} are hardest.".capitalize(),
            sentences=(
                f"Lowest F1 of {len(scores)} genres: {lowest}; from below, {places}.",
                f"For {agreeing} of {count(len(own), 'model')} {these} are the lowest two; an "
                "order of estimates, without intervals.",
            ),
            verdict=verdict,
        )
    ]


def _lead(scores: dict[str, float]) -> float:
    """By how much the easier genre of :data:`HARDEST` is harder than the hardest other one."""
    others = [f1 for genre, f1 in scores.items() if genre not in HARDEST]
    return min(others) - max(scores[genre] for genre in HARDEST)
