"""A study's claim, put to the test part by part.

A part holds where the estimates favour it and the data tell the models apart in all its
differences. It does not hold where an estimate does not favour it. In between it is undecided.
"""

from __future__ import annotations

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
    level = [label[rival] for rival, margin in margins.items() if not margin.apart]
    if any(margin.mean <= 0 for margin in margins.values()):
        verdict = "no"
        if not any(margin.apart and margin.mean < 0 for margin in margins.values()):
            sentences.append("An estimate does not favour it; these data do not rule it out.")
    elif level:
        verdict = "undecided"
        sentences.append(
            "The estimates favour it, but these data do not tell "
            f"{label[claim.model]} apart from {joined(level)}."
        )
    return _tested(statement, *sentences, verdict=verdict)


def _tested(statement: str, *sentences: str, verdict: Verdict) -> Finding:
    return Finding(topic="claim", question=statement, sentences=sentences, verdict=verdict)


def _span(margin: Difference) -> str:
    span = points_span(margin)
    return span if margin.p_holm is None else f"{span}, {p_value(margin.p_holm)}"


def _hardest(results: StudyResults, hardest: tuple[str, ...]) -> list[Finding]:
    """F1 has no interval here: the claim holds where every model agrees, on enough recordings."""
    scores = genre_f1(results)
    if not hardest or not set(hardest) < set(scores):
        return []
    part = results.examined
    own = [{g: m.per_genre[part][g].f1 for g in scores} for m in results.models.values()]
    agreeing = sum(_lead(f1, hardest) > 0 for f1 in own)
    small = is_small(results, part)
    verdict: Verdict = "undecided"
    if _lead(scores, hardest) < 0:
        verdict = "no"
    elif agreeing == len(own) and not small:
        verdict = "yes"
    bound = sorted(scores.values())[len(hardest) - 1]
    lowest = joined([f"{genre} {f1:.2f}" for genre, f1 in scores.items() if f1 <= bound])
    places = joined(
        [f"{g} is number {1 + sum(f1 < scores[g] for f1 in scores.values())}" for g in hardest]
    )
    these = joined(hardest)
    n = count(results.n_recordings(part), f"{NOUNS[part]} recording")
    few = (f"{n} are too few to show it.",) if small else ()
    return [
        _tested(
            f"{these} are hardest.".capitalize(),
            f"Lowest F1 of {len(scores)} genres: {lowest}; from below, {places}.",
            f"For {agreeing} of {count(len(own), 'model')} {these} are the lowest "
            f"{_NUMBERS.get(len(hardest), len(hardest))}; an order of estimates, without "
            "intervals.",
            *few,
            verdict=verdict,
        )
    ]


def _lead(scores: dict[str, float], hardest: tuple[str, ...]) -> float:
    """By how much the easiest of the hardest genres is harder than the hardest other one."""
    others = [f1 for genre, f1 in scores.items() if genre not in hardest]
    return min(others) - max(scores[genre] for genre in hardest)
