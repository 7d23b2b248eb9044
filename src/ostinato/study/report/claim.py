"""A claim often repeated about these models, put to the test part by part.

A part holds where the estimates favour it and the data tell the models apart in all its
differences. It does not hold where an estimate does not favour it. In between it is undecided.
"""

from __future__ import annotations

from ostinato.errors import joined
from ostinato.study.report.reading import (
    Difference,
    Results,
    difference,
    examined,
    gap_difference,
    genre_f1,
    is_small,
    label,
    n_recordings,
)
from ostinato.study.report.words import (
    NOUNS,
    Finding,
    Verdict,
    count,
    p_value,
    points,
    points_span,
)

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


def _margin(results: Results, statement: str, what: str, margins: dict[str, Difference]) -> Finding:
    stated = joined(
        [
            f"{points(margin.mean)} against {label(results, rival)} ({_span(margin)})"
            for rival, margin in margins.items()
        ]
    )
    name = label(results, CHAMPION)
    verdict: Verdict = "undecided"
    remark: tuple[str, ...] = ()
    if any(margin.mean <= 0 for margin in margins.values()):
        verdict = "no"
        if not any(margin.apart and margin.mean < 0 for margin in margins.values()):
            remark = ("An estimate does not favour it; these data do not rule it out.",)
    elif all(margin.apart for margin in margins.values()):
        verdict = "yes"
    else:
        level = [label(results, m) for m, margin in margins.items() if not margin.apart]
        remark = (
            "The estimates favour it, but these data do not tell "
            f"{name} apart from {joined(level)}.",
        )
    return Finding(
        topic="claim",
        question=statement,
        sentences=(f"{what}: {stated}.", *remark),
        verdict=verdict,
    )


def _span(margin: Difference) -> str:
    span = points_span(margin)
    return span if margin.p_holm is None else f"{span}, {p_value(margin.p_holm)}"


def _hardest(results: Results) -> list[Finding]:
    """There is no interval for F1: it holds where every model agrees, on recordings enough."""
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
    elif agreeing == len(own) and not is_small(results, part):
        verdict = "yes"
    bound = sorted(scores.values())[len(HARDEST) - 1]
    lowest = joined([f"{genre} {f1:.2f}" for genre, f1 in scores.items() if f1 <= bound])
    places = joined(
        [f"{g} is number {1 + sum(f1 < scores[g] for f1 in scores.values())}" for g in HARDEST]
    )
    these = joined(HARDEST)
    n = count(n_recordings(results, part), f"{NOUNS[part]} recording")
    few = (f"{n} are too few to show it.",) if is_small(results, part) else ()
    return [
        Finding(
            topic="claim",
            question=f"{these} are hardest.".capitalize(),
            sentences=(
                f"Lowest F1 of {len(scores)} genres: {lowest}; from below, {places}.",
                f"For {agreeing} of {count(len(own), 'model')} {these} are the lowest two; an "
                "order of estimates, without intervals.",
                *few,
            ),
            verdict=verdict,
        )
    ]


def _lead(scores: dict[str, float]) -> float:
    """By how much the easier genre of :data:`HARDEST` is harder than the hardest other one."""
    others = [f1 for genre, f1 in scores.items() if genre not in HARDEST]
    return min(others) - max(scores[genre] for genre in HARDEST)
