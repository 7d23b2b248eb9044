"""A study's claim, put to the test part by part.

A part is shown where the data tell its model apart from every rival, in its favour; refuted where
they tell it apart from a rival, against it; and not decided otherwise, whatever the estimates are.
"""

from __future__ import annotations

import itertools

from ostinato.errors import joined
from ostinato.study.report.reading import (
    Difference,
    difference,
    gap_difference,
    genre_f1,
    is_small,
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
from ostinato.study.results.model_schema import GenreScores
from ostinato.study.results.schema import Claim, StudyResults

_NUMBERS = {1: "one", 2: "two", 3: "three"}


def claim_sentence(results: StudyResults) -> str:
    """The study's claim in one sentence; empty where there is none or its models are missing."""
    claim = _claim(results)
    if claim is None:
        return ""
    over_fits = ", and over-fits least" if claim.over_fits_least else ""
    hardest = f"; {joined(claim.hardest_genres)} are hardest" if claim.hardest_genres else ""
    label = results.models[claim.model].label
    return f"{label} beats {_rivals(results, claim)}{over_fits}{hardest}."


def claim_findings(results: StudyResults) -> list[Finding]:
    """The parts of the study's claim; none where it has none or its models are missing."""
    claim = _claim(results)
    if claim is None:
        return []
    label = results.models[claim.model].label
    ahead = {rival: difference(results, claim.model, rival) for rival in claim.better_than}
    statement = f"{label} beats {_rivals(results, claim)}."
    what = f"Points of {NOUNS[results.examined]} accuracy ahead"
    parts = [_margin(results, claim, statement, what, ahead)]
    if claim.over_fits_least:
        smaller = {rival: gap_difference(results, rival, claim.model) for rival in ahead}
        what = "Points by which its gap is smaller"
        parts.append(_margin(results, claim, f"{label} over-fits least.", what, smaller))
    return [*parts, *_hardest(results, claim.hardest_genres)]


def _claim(results: StudyResults) -> Claim | None:
    claim = results.claim
    return claim if claim and {claim.model, *claim.better_than} <= set(results.models) else None


def _rivals(results: StudyResults, claim: Claim) -> str:
    return joined([results.models[rival].label for rival in claim.better_than])


def _margin(
    results: StudyResults, claim: Claim, statement: str, what: str, margins: dict[str, Difference]
) -> Finding:
    label = {name: model.label for name, model in results.models.items()}
    against = joined(
        [f"{points(m.mean)} against {label[rival]} ({_span(m)})" for rival, m in margins.items()]
    )
    verdict: Verdict = "yes"
    sentences = [f"{what}: {against}."]
    behind = [label[rival] for rival, m in margins.items() if m.apart and m.mean < 0]
    level = [label[rival] for rival, m in margins.items() if not m.apart]
    if behind:
        verdict = "no"
        sentences.append(f"These data tell it apart from {joined(behind)}, against the claim.")
    elif level:
        verdict = "undecided"
        sentences.append(
            f"These data do not tell {label[claim.model]} apart from {joined(level)}: they neither "
            "show nor refute it."
        )
    return _tested(statement, *sentences, verdict=verdict)


def _tested(statement: str, *sentences: str, verdict: Verdict) -> Finding:
    return Finding(topic="claim", question=statement, sentences=sentences, verdict=verdict)


def _span(margin: Difference) -> str:
    span = points_span(margin)
    return span if margin.p_holm is None else f"{span}, {p_value(margin.p_holm)}"


def _hardest(results: StudyResults, hardest: tuple[str, ...]) -> list[Finding]:
    """Genres are told apart where the intervals of their F1 do not overlap, in every model."""
    scores = genre_f1(results)
    if not hardest or not set(hardest) < set(scores):
        return []
    part = results.examined
    own = [{g: m.per_genre[part][g].f1 for g in scores} for m in results.models.values()]
    agreeing = sum(_lead(f1, hardest) > 0 for f1 in own)
    small = is_small(results, part)
    others = [genre for genre in scores if genre not in hardest]
    pairs = list(itertools.product(hardest, others))
    tables = [model.per_genre[part] for model in results.models.values()]
    verdict: Verdict = "undecided"
    why = f"{count(results.n_recordings(part), f'{NOUNS[part]} recording')} are too few to decide."
    if not small:
        why = "Intervals of F1 overlap: these data neither show nor refute it."
        if all(_below(table, h, other) for table in tables for h, other in pairs):
            verdict, why = "yes", "In every model their intervals of F1 lie below all others."
        elif all(any(_below(table, other, h) for h, other in pairs) for table in tables):
            verdict = "no"
            why = "In every model the interval of another genre lies below that of one of these."
    bound = sorted(scores.values())[len(hardest) - 1]
    lowest = joined([f"{genre} {f1:.2f}" for genre, f1 in scores.items() if f1 <= bound])
    places = joined(
        [f"{g} is number {1 + sum(f1 < scores[g] for f1 in scores.values())}" for g in hardest]
    )
    these = joined(hardest)
    return [
        _tested(
            f"{these} are hardest.".capitalize(),
            f"Lowest F1 of {len(scores)} genres: {lowest}; from below, {places}.",
            f"For {agreeing} of {count(len(own), 'model')} {these} are the lowest "
            f"{_NUMBERS.get(len(hardest), len(hardest))}.",
            why,
            verdict=verdict,
        )
    ]


def _below(scores: dict[str, GenreScores], harder: str, easier: str) -> bool:
    """Whether the interval of one genre's F1 lies below that of another."""
    low, high = scores[harder].intervals["f1"], scores[easier].intervals["f1"]
    return low is not None and high is not None and low[1] < high[0]


def _lead(scores: dict[str, float], hardest: tuple[str, ...]) -> float:
    """By how much the easiest of the hardest genres is harder than the hardest other one."""
    others = [f1 for genre, f1 in scores.items() if genre not in hardest]
    return min(others) - max(scores[genre] for genre in hardest)
