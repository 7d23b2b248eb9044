"""What a reader must know before believing a study's figures."""

from __future__ import annotations

from collections.abc import Iterator

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
OTHERS_LOOKED = "Not the only look at this test part"
CHOSEN = "The best of many trials"
#: Genres or files named in a sentence; the page's tables have them all.
NAMED = 12

Caveat = tuple[str, ...]
"""What it is about, and sentences."""


def caveats(results: StudyResults) -> list[Finding]:
    """All that apply to these results, the gravest first."""
    return [
        Finding(topic="caveat", question=question, sentences=tuple(sentences))
        for about in (_protocol, _artists, _sizes, _left_out)
        for question, *sentences in about(results)
    ]


def _protocol(results: StudyResults) -> Iterator[Caveat]:
    part, ledger = results.examined, results.ledger
    n = results.n_recordings(part)
    if results.split.leaks:
        shared = sum(fold.shared_recordings[part] for fold in results.split.folds)
        yield (
            LEAKING,
            f"{percent(shared / n)} of {count(n, f'{NOUNS[part]} piece')} are cut from recordings "
            "whose other pieces the models have learned.",
            "The figures say how well the models recognise what they have learned; they are a "
            "demonstration, and say nothing about new music.",
        )
    elif part != "test":
        yield (
            NO_TEST,
            "The test part was left untouched, or there is none: these are validation figures, "
            "for choosing between recipes.",
            "The best of many, chosen by them, looks better than it is.",
        )
    if n_trials := results.chosen_from:
        told = (
            "If they held recordings of this test part, its figure looks better than it is."
            if part == "test"
            else "The best of many, chosen by such figures, looks better than it is."
        )
        yield (
            CHOSEN,
            f"A search chose these settings from {count(n_trials, 'trial')} on validation folds.",
            told,
        )
    if ledger and ledger.other_recipes:
        yield (
            OTHERS_LOOKED,
            f"{count(ledger.other_recipes, 'other recipe')} examined on it so far, "
            f"{ledger.earlier_recipes or 'none'} of them before these ({ledger.file}, and the "
            "ledger in the package).",
            "The best of many looks better than it is.",
        )


def _artists(results: StudyResults) -> Iterator[Caveat]:
    part, folds = results.examined, results.split.folds
    n = results.n_recordings(part)
    recordings = count(n, f"{NOUNS[part]} recording")
    if shared := sum(fold.shared_artists.get(part, 0) for fold in folds):
        seen = "training or validation" if part == "test" else "training"
        yield (
            "Artists overlap",
            f"{shared} of {recordings} ({percent(shared / n)}) are by an artist who is also in "
            f"the {seen} part, so a model may know the artist rather than the genre.",
            *_by_other_artists(results),
        )
    unknown = sum(fold.parts[part].unknown_artists for fold in folds)
    if not results.data.artists_known:
        yield (
            "No artist is known",
            "The intervals take recordings as independent; recordings of one artist are not, "
            "so the true intervals are wider.",
            "Whether parts of the split share artists is unknown, too.",
        )
    elif unknown:
        yield (
            "Some artists are unknown",
            f"{unknown} of {recordings}: each counts as an artist of its own.",
        )
    judged = [p for p in results.parts if p != "train"]
    if few := {p: own for p in judged if (own := few_artists(results, p))}:
        yield (
            "Few artists",
            *(_few(own, p, sum(artists(results, p).values())) for p, own in few.items()),
            "A figure of such a genre, above all of 0 or 100%, is as much about these artists as "
            "about the genre; with one artist no interval can be given.",
        )


def _few(few: dict[str, int], part: str, total: int) -> str:
    named = [f"{genre} {n}" for genre, n in sorted(few.items(), key=lambda item: item[1])]
    return (
        f"Fewer than {FEW_ARTISTS} artists in the {NOUNS[part]} part: {joined(named)} "
        f"(all genres: {total})."
    )


def _by_other_artists(results: StudyResults) -> list[str]:
    models = results.models.values()
    found = [(m.label, free) for m in models if (free := m.test_accuracy_artist_free) is not None]
    if not found:
        return []
    figures = joined([f"{label} {percent(free.mean)}" for label, free in found])
    return [f"Accuracy on the {count(found[0][1].n, 'other test recording')}: {figures}."]


def _sizes(results: StudyResults) -> Iterator[Caveat]:
    part = results.examined
    if results.n_seeds == 1:
        yield (
            "One seed",
            "Each model was trained once: how much another start would change is unknown, and not "
            "in the intervals.",
        )
    if is_small(results, part):
        n = results.n_recordings(part)
        drawn = "artist" if results.data.artists_known else "recording"
        best = results.models[ranked(results)[0]]
        share = best.accuracy(part).mean
        yield (
            FEW_RECORDINGS,
            f"The {NOUNS[part]} part has {count(n, 'recording')}: one verdict is "
            f"{percent(1 / n)}. The smallest genre has {min(support(results, part).values())}.",
            f"Intervals by {drawn} are rough here: where a genre has one or two {drawn}s, little "
            "tells how they vary.",
            f"{best.label}'s {percent(share)}, taking recordings as independent: "
            f"{percent_span(wilson(share, n))}% (Wilson).",
        )


def _left_out(results: StudyResults) -> Iterator[Caveat]:
    left_out, skipped = results.data.left_out, results.data.skipped
    if left_out:
        named = _shortened([f"{genre} ({n})" for genre, n in left_out.items()])
        yield "Genres left out", f"Too few recordings to train and to test on: {named}."
    if skipped:
        named = _shortened([file.id for file in skipped])
        yield "Files skipped", f"{count(len(skipped), 'file')} could not be used: {named}."


def _shortened(names: list[str]) -> str:
    if len(names) <= NAMED:
        return joined(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
