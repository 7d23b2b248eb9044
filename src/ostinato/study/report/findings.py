"""What a study found, in words computed from its figures.

Every sentence rests on an estimate and its interval. Where the data do not tell two models apart
(:class:`ostinato.study.report.reading.Difference`), the answer is "undecided", whatever the
estimate is.
"""

from __future__ import annotations

from ostinato.errors import joined
from ostinato.study.report.caveats import caveats
from ostinato.study.report.claim import claim_findings
from ostinato.study.report.reading import (
    Difference,
    confused_pairs,
    corrected_t,
    difference,
    gap_difference,
    genre_f1,
    is_small,
    kind,
    least_gap,
    ranked,
    support,
)
from ostinato.study.report.words import (
    NOUNS,
    Finding,
    Verdict,
    amount,
    count,
    over_seeds,
    p_value,
    percent,
    percent_span,
    percent_with_span,
    points,
    points_span,
    points_with_span,
)
from ostinato.study.results.model_schema import Abstaining, ModelResults
from ostinato.study.results.schema import MissedRecording, StudyResults

OVER_FITTING = "Which model over-fits least?"
OVER_FITTING_ALONE = "How much does it over-fit?"
WEAKEST = "Which genres are weakest?"


def findings(results: StudyResults) -> list[Finding]:
    """Answers (the best model first), the parts of the claim, caveats; in that order."""
    several = len(results.models) > 1
    answers = [
        _best(results),
        *([_larger_than_chance(results)] if several else []),
        _over_fitting(results) if several else _over_fitting_alone(results),
        _weakest_genres(results),
        *_probabilities(results),
        _always_wrong(results),
    ]
    return [*answers, *claim_findings(results), *caveats(results)]


def _answer(question: str, *sentences: str, verdict: Verdict | None = None) -> Finding:
    return Finding(topic="answer", question=question, sentences=sentences, verdict=verdict)


def headline(results: StudyResults) -> str:
    """The main result in one sentence."""
    part = results.examined
    first, *others = ranked(results)
    label = {name: model.label for name, model in results.models.items()}
    score = {name: percent(m.accuracy(part).mean) for name, m in results.models.items()}
    best = f"{label[first]} gets {score[first]} of the {NOUNS[part]} recordings right"
    if not others:
        return f"{best}."
    level = [name for name in others if not difference(results, first, name).apart]
    named = joined([f"{label[name]} ({score[name]})" for name in level or others])
    if level:
        return f"{best}, but these data do not tell it apart from {named}."
    return f"{best}, more than {named}."


def together(results: StudyResults) -> str:
    """How good the ensemble of a study's only model is, in a sentence."""
    (model,) = results.models.values()
    found = model.ensemble[results.examined]
    return (
        f"The mean of its {results.n_seeds} trainings' probabilities, another system than any one "
        f"of them, gets {percent_with_span(found.interval)} right."
    )


def _best(results: StudyResults) -> Finding:
    part, models = results.examined, results.models
    n = count(results.n_recordings(part), f"{NOUNS[part]} recording")
    folds = len(results.split.folds)
    pooled = f" over {folds} folds" if folds > 1 else ""
    scores = joined(
        [
            f"{models[name].label} {percent(found.mean)} ({percent_span(found)})"
            for name in ranked(results)
            for found in [models[name].accuracy(part)]
        ]
    )
    majority = results.split.majority[part]
    floor = f"Always saying the commonest genre would be right on {percent(majority)}"
    unproven = [m.label for m in models.values() if m.accuracy(part).low <= majority]
    if unproven:
        floor += f", which the interval of {joined(unproven)} does not exclude"
    return _answer(
        "Which model is best?" if len(models) > 1 else "How good is it?",
        f"Named correctly, of {n}{pooled}, {over_seeds(results.n_seeds)} "
        f"({kind(results)}): {scores}.",
        *([headline(results)] if len(models) > 1 else []),
        f"{floor}.",
    )


def _larger_than_chance(results: StudyResults) -> Finding:
    first, second, *others = ranked(results)
    best, next_ = (results.models[name] for name in (first, second))
    found = difference(results, first, second)
    scores = [f"{m.label} {percent(m.accuracy(results.examined).mean)}" for m in (best, next_)]
    sentences = [
        f"{', '.join(scores)}: {points(found.mean)} points ({kind(results)} "
        f"{points_span(found)}){_p(found)}; {conclusion(found.apart)}."
    ]
    for name in others:
        more = difference(results, first, name)
        sentences.append(
            f"{best.label} against {results.models[name].label}: {points(more.mean)} points "
            f"({points_span(more)}){_p(more)}; {conclusion(more.apart)}."
        )
    adjusted = ", adjusted for all pairs (Holm)" if others else ""
    drawn = "artist" if results.data.artists_known else "recording"
    sentences.append(f"p: sign-flip test by {drawn}{adjusted}.")
    if test := corrected_t(results, first, second):
        sentences.append(
            f"Over {test.folds} folds of {test.repeats} drawings, corrected for what they share: "
            f"{points(test.difference.mean)} points, 95% interval {points_span(test.difference)}, "
            f"{p_value(test.p)} (corrected resampled t)."
        )
    if results.n_seeds == 1:
        sentences.append(
            "With one seed this is about these trained networks: the variation between training "
            "runs is not included."
        )
    return _answer(
        "Is the difference between the best two larger than chance?",
        *sentences,
        verdict="yes" if found.apart else "undecided",
    )


def conclusion(apart: bool) -> str:
    """What a difference of two models means, in words."""
    return "larger than chance" if apart else "these data do not tell them apart"


def _p(found: Difference) -> str:
    return "" if found.p_holm is None else f", {p_value(found.p_holm)}"


def _over_fitting_alone(results: StudyResults) -> Finding:
    (model,) = results.models.values()
    sentence = f"{model.label} is right on {_learned(model)}: a gap of {_gap(model)}."
    return _answer(OVER_FITTING_ALONE, sentence)


def _over_fitting(results: StudyResults) -> Finding:
    models = results.models
    least, level = least_gap(results)
    named = joined([models[name].label for name in level])
    sentences = [
        f"{models[least].label} has the smallest gap between training and validation accuracy, "
        f"{_gap(models[least])}{f', not told apart from {named}' if level else ''}: "
        f"{_learned(models[least])}."
    ]
    for name in sorted(models, key=lambda name: models[name].gap.mean)[1:]:
        more = gap_difference(results, name, least)
        sentences.append(
            f"{models[name].label}: {_gap(models[name])}, a difference of "
            f"{points_with_span(more)}; {conclusion(more.apart)}."
        )
    if is_small(results, "valid"):
        n = count(results.n_recordings("valid"), "validation recording")
        sentences.append(f"With {n} no interval of a gap can be trusted.")
    return _answer(OVER_FITTING, *sentences, *_merit(results, models[least]))


def _merit(results: StudyResults, least: ModelResults) -> tuple[str, ...]:
    """A small gap that comes from learning less, not from generalising better, is no merit."""
    best = max(results.models.values(), key=lambda model: model.accuracy("valid").mean)
    train, valid = (
        (least.accuracy(part).mean, best.accuracy(part).mean) for part in ("train", "valid")
    )
    if valid[0] >= valid[1]:
        return (f"{least.label} has the highest estimate of validation accuracy too.",)
    if train[0] >= train[1]:
        return ()
    return (
        f"The small gap of {least.label} is no merit in itself: it learns the training "
        f"recordings less well than {best.label} ({percent(train[0])} against "
        f"{percent(train[1])}) and is not better on validation ({percent(valid[0])} against "
        f"{percent(valid[1])}).",
    )


def _weakest_genres(results: StudyResults) -> Finding:
    part = results.examined
    scores, sizes = genre_f1(results), support(results, part)
    weak = list(scores)[: max(1, min(3, len(scores) // 2))]
    strongest = list(scores)[-1]
    mean = "" if len(results.models) == 1 else f", mean of {len(results.models)} models"
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
    fewest, most = min(sizes.values()), max(sizes.values())
    each = str(fewest) if fewest == most else f"{fewest} to {most}"
    first = results.models[ranked(results)[0]]
    bounds = {genre: first.per_genre[part][genre].intervals["f1"] for genre in weak}
    spans = [
        f"{genre} {span[0]:.2f} to {span[1]:.2f}" if span else f"{genre} none, of one artist"
        for genre, span in bounds.items()
    ]
    sentences.append(
        f"F1 of {first.label} ({kind(results)}): {joined(spans)}; {each} recordings a genre."
    )
    return _answer(WEAKEST, *sentences)


def _probabilities(results: StudyResults) -> list[Finding]:
    """Calibration of the best model; nothing where the study could not judge it."""
    first = results.models[ranked(results)[0]]
    own = first.confidence
    if own is None:
        return []
    after = own.after
    inside = after.ece <= after.ece_high
    sentences = [
        f"{first.label}, at temperature {own.temperature:.2f}: expected calibration "
        f"error {after.ece:.3f}, where a perfectly calibrated model with the same probabilities "
        f"would show {after.ece_low:.3f} to {after.ece_high:.3f}; "
        + ("no miscalibration shows." if inside else "more than chance explains.")
    ]
    sentences += [_abstains(entry) for entry in own.abstaining]
    # Miscalibration that does not show may be there.
    verdict: Verdict | None = None if inside else "no"
    return [_answer("Can its probabilities be believed?", *sentences, verdict=verdict)]


def _abstains(entry: Abstaining) -> str:
    """What the seeds do that a threshold brings to a target precision, and how many these are."""
    limits = sorted(point.threshold for point in entry.seeds if point)
    if not limits or entry.coverage is None:
        return f"No threshold makes it right on {percent(entry.target)}."
    low, high = (f"{limit:.2f}" for limit in (limits[0], limits[-1]))
    start = low if low == high else f"{low} to {high}"
    does = f"it answers {percent(entry.coverage)}"
    if entry.precision is not None:
        does += f" and is right on {percent(entry.precision)} of them"
    n = len(entry.seeds)
    some = "" if len(limits) == n else f" ({len(limits)} of {n} seeds; the others do not reach it)"
    chosen = f"chosen to be right on {percent(entry.target)}"
    return f"Answering only from {start} on, {chosen}: {does}{some}."


def _always_wrong(results: StudyResults) -> Finding:
    found = results.missed
    n = count(found.n, f"{NOUNS[found.part]} recording")
    sentences = [f"None of {n}."]
    if found.recordings:
        surest = found.recordings[0]
        sentences = [
            f"{len(found.recordings)} of {n}, with none of {count(found.trainings, 'training')}.",
            f"The most confident error: {_named(surest)}, {surest.genre}, taken for {surest.said} "
            f"with a mean probability of {percent(surest.probability)}; the list is below. Wrong "
            "labels surface here, and recordings that no model of this kind can place.",
        ]
    question = "Which recordings does it get wrong with every seed?"
    if len(results.models) > 1:
        question = "Which recordings does every model get wrong?"
    return _answer(question, *sentences)


def _named(entry: MissedRecording) -> str:
    by = " by ".join(part for part in (entry.title, entry.artist) if part)
    return f"{entry.id} ({by})" if by else entry.id


def _learned(model: ModelResults) -> str:
    train, valid = (percent(model.accuracy(part).mean) for part in ("train", "valid"))
    return f"{train} of the training and {valid} of the validation recordings"


def _gap(model: ModelResults) -> str:
    return f"{points(model.gap.mean).removeprefix('+')} points ({percent_span(model.gap)})"
