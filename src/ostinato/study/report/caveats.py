"""What a reader must know before believing a study's figures."""

from __future__ import annotations

from ostinato.errors import joined
from ostinato.evaluation.significance import wilson
from ostinato.study.report.reading import (
    FEW_ARTISTS,
    artists,
    few_artists,
    is_small,
    ranked,
    support,
)
from ostinato.study.report.words import NOUNS, Finding, count, percent, percent_span
from ostinato.study.results.schema import StudyResults

#: What a reader must meet first, where it applies.
NO_TEST = "Validation figures, not a result"
LEAKING = "This split leaks"
#: What the terminal says too, where it applies.
FEW_RECORDINGS = "Few recordings"
LOOKED_BEFORE = "This test part was used before"
#: Genres or files named in a sentence; the page's tables have them all.
NAMED = 12


def caveats(results: StudyResults) -> list[Finding]:
    """All that apply to these results, the gravest first."""
    found = (
        _leaking(results),
        _no_test(results),
        _looked_before(results),
        _shared_artists(results),
        _artists_unknown(results),
        _few_artists(results),
        _single_seed(results),
        _small_part(results),
        _left_out(results),
        _skipped(results),
    )
    return [caveat for caveat in found if caveat is not None]


def _caveat(question: str, *sentences: str) -> Finding:
    return Finding(topic="caveat", question=question, sentences=sentences)


def _leaking(results: StudyResults) -> Finding | None:
    if not results.split.leaks:
        return None
    part = results.examined
    shared = sum(fold.shared_recordings[part] for fold in results.split.folds)
    n = results.n_recordings(part)
    return _caveat(
        LEAKING,
        f"{percent(shared / n)} of {count(n, f'{NOUNS[part]} piece')} are cut from recordings "
        "whose other pieces the models have learned.",
        "The figures say how well the models recognise what they have learned; they are a "
        "demonstration, and say nothing about new music.",
    )


def _looked_before(results: StudyResults) -> Finding | None:
    ledger = results.ledger
    if ledger is None or not ledger.earlier_recipes:
        return None
    n = ledger.earlier_recipes
    return _caveat(
        LOOKED_BEFORE,
        f"{count(n, 'other recipe')} {'was' if n == 1 else 'were'} examined on this test part "
        f"before these ({ledger.file}, beside the study's folder).",
        "The best of many looks better than it is.",
    )


def _no_test(results: StudyResults) -> Finding | None:
    if results.examined == "test" or results.split.leaks:
        return None
    return _caveat(
        NO_TEST,
        "The test part was left untouched, or there is none: these are validation figures, "
        "for choosing between recipes.",
        "The best of many, chosen by them, looks better than it is.",
    )


def _shared_artists(results: StudyResults) -> Finding | None:
    part = results.examined
    shared = sum(fold.shared_artists.get(part, 0) for fold in results.split.folds)
    if not shared:
        return None
    seen = "training or validation" if part == "test" else "training"
    n = results.n_recordings(part)
    return _caveat(
        "Artists overlap",
        f"{shared} of {count(n, f'{NOUNS[part]} recording')} ({percent(shared / n)}) are by "
        f"an artist who is also in the {seen} part, so a model may know the artist rather "
        "than the genre.",
        *_by_other_artists(results),
    )


def _by_other_artists(results: StudyResults) -> list[str]:
    found = [
        (model.label, free)
        for model in results.models.values()
        if (free := model.test_accuracy_artist_free) is not None
    ]
    if not found:
        return []
    figures = joined([f"{label} {percent(free.mean)}" for label, free in found])
    return [f"Accuracy on the {count(found[0][1].n, 'other test recording')}: {figures}."]


def _artists_unknown(results: StudyResults) -> Finding | None:
    part = results.examined
    if not results.data.artists_known:
        return _caveat(
            "No artist is known",
            "The intervals take recordings as independent; recordings of one artist are not, "
            "so the true intervals are wider.",
            "Whether parts of the split share artists is unknown, too.",
        )
    unknown = sum(fold.parts[part].unknown_artists for fold in results.split.folds)
    if not unknown:
        return None
    return _caveat(
        "Some artists are unknown",
        f"{unknown} of {count(results.n_recordings(part), f'{NOUNS[part]} recording')}: each "
        "counts as an artist of its own.",
    )


def _few_artists(results: StudyResults) -> Finding | None:
    few = few_artists(results)
    if not few:
        return None
    part = results.examined
    named = joined([f"{genre} {n}" for genre, n in sorted(few.items(), key=lambda item: item[1])])
    return _caveat(
        "Few artists",
        f"Fewer than {FEW_ARTISTS} artists in the {NOUNS[part]} part: {named} "
        f"(all genres: {sum(artists(results, part).values())}).",
        "With so few, intervals are too narrow.",
    )


def _single_seed(results: StudyResults) -> Finding | None:
    if results.n_seeds > 1:
        return None
    return _caveat(
        "One seed",
        "Each model was trained once: how much another start would change is unknown, and not "
        "in the intervals.",
    )


def _small_part(results: StudyResults) -> Finding | None:
    part = results.examined
    if not is_small(results, part):
        return None
    n = results.n_recordings(part)
    drawn = "artist" if results.data.artists_known else "recording"
    best = results.models[ranked(results)[0]]
    share = best.accuracy(part).mean
    return _caveat(
        FEW_RECORDINGS,
        f"The {NOUNS[part]} part has {count(n, 'recording')}: one verdict is "
        f"{percent(1 / n)}. The smallest genre has {min(support(results, part).values())}.",
        f"Intervals by {drawn} are too narrow here and cannot be trusted: where a genre has "
        f"one or two {drawn}s, little or nothing varies.",
        f"{best.label}'s {percent(share)}, taking recordings as independent: "
        f"{percent_span(wilson(share, n))}% (Wilson).",
    )


def _left_out(results: StudyResults) -> Finding | None:
    if not results.data.left_out:
        return None
    named = _shortened([f"{genre} ({n})" for genre, n in results.data.left_out.items()])
    return _caveat("Genres left out", f"Too few recordings to train and to test on: {named}.")


def _skipped(results: StudyResults) -> Finding | None:
    skipped = results.data.skipped
    if not skipped:
        return None
    named = _shortened([file.id for file in skipped])
    return _caveat("Files skipped", f"{count(len(skipped), 'file')} could not be used: {named}.")


def _shortened(names: list[str]) -> str:
    if len(names) <= NAMED:
        return joined(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
