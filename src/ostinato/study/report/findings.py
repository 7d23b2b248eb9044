"""What a study found, in words computed from its figures.

Every sentence stands on an estimate and its interval. Where the data do not tell two models apart
(:class:`ostinato.study.report.reading.Difference`), the answer is "undecided", whatever the estimate is.
"""

from __future__ import annotations

from typing import Any

from ostinato.errors import joined
from ostinato.study.report.caveats import caveats
from ostinato.study.report.claim import claim
from ostinato.study.report.reading import (
    Difference,
    Results,
    accuracy,
    check_schema,
    confidences,
    confused_pairs,
    corrected_t,
    difference,
    examined,
    few_artists,
    gap,
    gap_difference,
    genre_f1,
    genre_interval,
    is_small,
    label,
    n_recordings,
    n_seeds,
    ranked,
    support,
)
from ostinato.study.report.words import (
    NOUNS,
    Finding,
    amount,
    count,
    over_seeds,
    p_value,
    percent,
    percent_span,
    points,
    points_span,
)

__all__ = ["Finding", "findings", "headline"]

OVER_FITTING = "Which model over-fits least?"
OVER_FITTING_ALONE = "How much does it over-fit?"
WEAKEST = "Which genres are weakest?"


def findings(results: Results) -> list[Finding]:
    """Answers (the best model first), the parts of the claim, caveats; in that order.

    Parameters
    ----------
    results : dict
        ``results.json``, schema 1.

    Raises
    ------
    DataError
        If the results are of another schema.
    """
    check_schema(results)
    several = len(results["models"]) > 1
    answers = [
        _best(results),
        *([_larger_than_chance(results)] if several else []),
        _over_fitting(results) if several else _over_fitting_alone(results),
        _weakest_genres(results),
        *_probabilities(results),
        *_missed(results),
    ]
    return [*answers, *claim(results), *caveats(results)]


def headline(results: Results) -> str:
    """The main result in one sentence.

    Raises
    ------
    DataError
        If the results are of another schema.
    """
    check_schema(results)
    part = examined(results)
    first, *others = ranked(results)
    best = (
        f"{label(results, first)} gets {_score(results, first)} of the {NOUNS[part]} recordings "
        "right"
    )
    if not others:
        return f"{best}."
    level = [m for m in others if not difference(results, first, m).apart]
    named = joined([f"{label(results, m)} ({_score(results, m)})" for m in level or others])
    if level:
        return f"{best}, but these data do not tell it apart from {named}."
    return f"{best}, more than {named}."


def together(results: Results) -> str:
    """What the trainings of a study's only model are worth as one, in a sentence."""
    (model,) = results["models"]
    part, n = examined(results), n_seeds(results)
    found = results["models"][model]["ensemble"][part]
    return (
        f"The mean of its {n} trainings' probabilities, another system than any one of them, gets "
        f"{percent(found['accuracy'])} ({100 * found['low']:.1f}-{100 * found['high']:.1f}) right."
    )


def _best(results: Results) -> Finding:
    part = examined(results)
    n = count(n_recordings(results, part), f"{NOUNS[part]} recording")
    folds = len(results["split"]["folds"])
    pooled = f" over {folds} folds" if folds > 1 else ""
    scores = joined(
        [
            f"{label(results, model)} {_score(results, model)} "
            f"({percent_span(accuracy(results, model, part))})"
            for model in ranked(results)
        ]
    )
    majority = float(results["split"]["majority"][part])
    unproven = [m for m in results["models"] if accuracy(results, m, part).low <= majority]
    floor = f"Always saying the commonest genre would be right on {percent(majority)}"
    if unproven:
        named = joined([label(results, m) for m in unproven])
        floor += f", which the interval of {named} does not exclude"
    return Finding(
        topic="answer",
        question="Which model is best?" if len(results["models"]) > 1 else "How good is it?",
        sentences=(
            f"Named correctly, of {n}{pooled}, {over_seeds(n_seeds(results))} (95% interval): "
            f"{scores}.",
            f"{floor}.",
        ),
    )


def _larger_than_chance(results: Results) -> Finding:
    first, second, *others = ranked(results)
    found = difference(results, first, second)
    known = results["data"]["artists_known"]
    how = "by artist" if known else "taking recordings as independent"
    sentences = [
        f"{label(results, first)} {_score(results, first)}, {label(results, second)} "
        f"{_score(results, second)}: {points(found.mean)} points, 95% interval "
        f"{points_span(found)} {how}{_p(found)}; {_conclusion(found)}."
    ]
    for model in others:
        further = difference(results, first, model)
        sentences.append(
            f"{label(results, first)} against {label(results, model)}: {points(further.mean)} "
            f"points ({points_span(further)}){_p(further)}; {_conclusion(further)}."
        )
    adjusted = ", adjusted for all pairs (Holm)" if others else ""
    sentences.append(f"p: sign-flip test by {'artist' if known else 'recording'}{adjusted}.")
    resampled = corrected_t(results, first, second)
    if resampled:
        span = points_span(resampled)
        sentences.append(
            f"Over {resampled.folds} folds of {resampled.repeats} drawings, corrected for what "
            f"they share: {points(resampled.mean)} points, 95% interval {span}, "
            f"{p_value(resampled.p)} (corrected resampled t)."
        )
    if n_seeds(results) == 1:
        sentences.append(
            "With one seed this is about these trained networks: the chance of another training "
            "run is not in it."
        )
    if found.apart and few_artists(results):
        sentences.append("Some genres have so few artists that such an interval is too narrow.")
    return Finding(
        topic="answer",
        question="Is the difference between the best two larger than chance?",
        sentences=tuple(sentences),
        verdict="yes" if found.apart else "undecided",
    )


def _conclusion(found: Difference) -> str:
    return "larger than chance" if found.apart else "these data do not tell them apart"


def _p(found: Difference) -> str:
    return "" if found.p_holm is None else f", {p_value(found.p_holm)}"


def _over_fitting_alone(results: Results) -> Finding:
    (model,) = results["models"]
    return Finding(
        topic="answer",
        question=OVER_FITTING_ALONE,
        sentences=(
            f"{label(results, model)} is right on {_learnt(results, model)}: a gap of "
            f"{_gap(results, model)}.",
        ),
    )


def _over_fitting(results: Results) -> Finding:
    least, *others = sorted(results["models"], key=lambda model: gap(results, model).mean)
    sentences = [
        f"{label(results, least)} has the smallest gap between training and validation accuracy, "
        f"{_gap(results, least)}: {_learnt(results, least)}."
    ]
    for model in others:
        more = gap_difference(results, model, least)
        sentences.append(
            f"{label(results, model)}: {_gap(results, model)}, a difference of "
            f"{points(more.mean)} ({points_span(more)}); {_conclusion(more)}."
        )
    if is_small(results, "valid"):
        n = count(n_recordings(results, "valid"), "validation recording")
        sentences.append(f"With {n} no interval of a gap is to be believed.")
    return Finding(
        topic="answer",
        question=OVER_FITTING,
        sentences=(*sentences, *_merit(results, least)),
    )


def _merit(results: Results, least: str) -> tuple[str, ...]:
    """A small gap that comes from learning less, not from carrying over more, is no merit."""
    best = max(results["models"], key=lambda model: accuracy(results, model, "valid").mean)
    train, valid = (
        (accuracy(results, least, part).mean, accuracy(results, best, part).mean)
        for part in ("train", "valid")
    )
    if valid[0] >= valid[1]:
        return (f"{label(results, least)} has the highest validation accuracy too.",)
    if train[0] >= train[1]:
        return ()
    return (
        f"The small gap of {label(results, least)} is no merit in itself: it learns the training "
        f"recordings less well than {label(results, best)} ({percent(train[0])} against "
        f"{percent(train[1])}) and is not better on validation ({percent(valid[0])} against "
        f"{percent(valid[1])}).",
    )


def _weakest_genres(results: Results) -> Finding:
    scores = genre_f1(results)
    sizes = support(results, examined(results))
    weak = list(scores)[: max(1, min(3, len(scores) // 2))]
    strongest = list(scores)[-1]
    mean = "" if len(results["models"]) == 1 else f", mean of {len(results['models'])} models"
    sentences = [
        f"Lowest F1{mean}: {joined([f'{genre} {scores[genre]:.2f}' for genre in weak])}; "
        f"highest: {strongest} {scores[strongest]:.2f}."
    ]
    pairs = [
        f"{true} taken for {said} ({amount(n)} of {sizes[true]})"
        for true, said, n in confused_pairs(results, 3)
    ]
    if pairs:
        sentences.append(f"Confused most: {joined(pairs)}.")
    low, high = min(sizes.values()), max(sizes.values())
    each = str(low) if low == high else f"{low} to {high}"
    first = ranked(results)[0]
    spans = [
        f"{genre} {found.low:.2f} to {found.high:.2f}"
        for genre in weak
        for found in [genre_interval(results, first, genre, "f1")]
    ]
    sentences.append(
        f"95% intervals of F1 for {label(results, first)}: {joined(spans)}, on {each} recordings a "
        "genre."
    )
    return Finding(topic="answer", question=WEAKEST, sentences=tuple(sentences))


def _probabilities(results: Results) -> list[Finding]:
    """Calibration of the best model; nothing where the study could not judge it."""
    first = ranked(results)[0]
    own = confidences(results).get(first)
    if own is None:
        return []
    after = own["after"]
    inside = after["ece"] <= after["ece_high"]
    sentences = [
        f"{label(results, first)}, at temperature {own['temperature']:.2f}: expected calibration "
        f"error {after['ece']:.3f}, where a perfectly calibrated model with the same probabilities "
        f"would show {after['ece_low']:.3f} to {after['ece_high']:.3f}; "
        + ("no miscalibration shows." if inside else "more than chance explains.")
    ]
    for entry in own["abstaining"]:
        if entry["threshold"] is None or entry["precision"] is None:
            sentences.append(f"No threshold makes it right on {percent(entry['wished'])}.")
            break
        sentences.append(
            f"Answering only from {entry['threshold']:.2f} on, chosen to be right on "
            f"{percent(entry['wished'])}: it answers {percent(entry['coverage'])} and is right on "
            f"{percent(entry['precision'])} of them."
        )
    return [
        Finding(
            topic="answer",
            question="Can its probabilities be believed?",
            sentences=tuple(sentences),
            verdict=None if inside else "no",  # what does not show may still be
        )
    ]


def _missed(results: Results) -> list[Finding]:
    found = results["missed"]
    entries = found["recordings"]
    n = count(found["n"], f"{NOUNS[found['part']]} recording")
    sentences = [
        f"{len(entries)} of {n}, with none of {count(found['trainings'], 'training')}."
        if entries
        else f"None of {n}."
    ]
    if entries:
        most = entries[0]
        sentences.append(
            f"The surest error: {_named(most)}, {most['genre']}, taken for {most['said']} with a "
            f"mean probability of {percent(most['probability'])}; below is the list. Wrong labels "
            "surface here, and recordings that no model of this kind can place."
        )
    return [
        Finding(
            topic="answer",
            question="Which recordings does every model get wrong?"
            if len(results["models"]) > 1
            else "Which recordings does it get wrong with every seed?",
            sentences=tuple(sentences),
        )
    ]


def _named(entry: dict[str, Any]) -> str:
    by = " by ".join(part for part in (entry["title"], entry["artist"]) if part)
    return f"{entry['id']} ({by})" if by else str(entry["id"])


def _score(results: Results, model: str) -> str:
    return percent(accuracy(results, model, examined(results)).mean)


def _learnt(results: Results, model: str) -> str:
    train, valid = (percent(accuracy(results, model, part).mean) for part in ("train", "valid"))
    return f"{train} of the training and {valid} of the validation recordings"


def _gap(results: Results, model: str) -> str:
    found = gap(results, model)
    return f"{points(found.mean).removeprefix('+')} points ({percent_span(found)})"
