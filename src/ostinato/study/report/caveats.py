"""What a reader must know before believing a study's figures."""

from __future__ import annotations

from ostinato.errors import joined
from ostinato.evaluation.significance import wilson
from ostinato.study.report.reading import (
    FEW_ARTISTS,
    Results,
    accuracy,
    artists,
    examined,
    few_artists,
    is_small,
    label,
    n_recordings,
    n_seeds,
    ranked,
    support,
    total,
)
from ostinato.study.report.words import (
    NOUNS,
    Finding,
    count,
    percent,
    percent_span,
)

#: What a reader must meet first, where it applies.
NO_TEST = "Validation figures, not a result"
LEAKING = "This split leaks"
#: What the terminal says too, where it applies.
FEW_RECORDINGS = "Few recordings"
LOOKED_BEFORE = "Others have looked before"
#: Genres or files named in a sentence; the page's tables have them all.
NAMED = 12


def caveats(results: Results) -> list[Finding]:
    """All that apply to these results, the gravest first."""
    return [
        *_leaking(results),
        *_no_test(results),
        *_looked_before(results),
        *_shared_artists(results),
        *_artists_unknown(results),
        *_few_artists(results),
        *_single_seed(results),
        *_small_part(results),
        *_left_out(results),
        *_skipped(results),
    ]


def _caveat(question: str, *sentences: str) -> Finding:
    return Finding(topic="caveat", question=question, sentences=sentences)


def _leaking(results: Results) -> list[Finding]:
    if not results["split"]["leaks"]:
        return []
    part = examined(results)
    shared = sum(int(fold["shared_recordings"][part]) for fold in results["split"]["folds"])
    n = n_recordings(results, part)
    return [
        _caveat(
            LEAKING,
            f"{percent(shared / n)} of {count(n, f'{NOUNS[part]} piece')} are cut from recordings "
            "of which the models have learnt other pieces.",
            "The figures say how well models know again what they have learnt; they are no "
            "accuracies on music nobody has heard, and stand here as a demonstration.",
        )
    ]


def _looked_before(results: Results) -> list[Finding]:
    ledger = results.get("ledger")
    if not ledger or not ledger["earlier_recipes"]:
        return []
    n = int(ledger["earlier_recipes"])
    return [
        _caveat(
            LOOKED_BEFORE,
            f"{count(n, 'other recipe')} {'was' if n == 1 else 'were'} examined on this test part "
            f"before these ({ledger['file']}, beside the study's folder).",
            "Whoever examines many and keeps the best is flattered by it.",
        )
    ]


def _no_test(results: Results) -> list[Finding]:
    if examined(results) == "test" or results["split"]["leaks"]:
        return []
    return [
        _caveat(
            NO_TEST,
            "The test part was left untouched, or there is none: these are validation figures, "
            "for choosing between recipes.",
            "Whoever picks the best of many by them is flattered by them.",
        )
    ]


def _shared_artists(results: Results) -> list[Finding]:
    part = examined(results)
    shared = sum(int(fold["shared_artists"].get(part, 0)) for fold in results["split"]["folds"])
    if not shared:
        return []
    seen = "training or validation" if part == "test" else "training"
    n = n_recordings(results, part)
    return [
        _caveat(
            "Artists on both sides",
            f"{shared} of {count(n, f'{NOUNS[part]} recording')} ({percent(shared / n)}) are by "
            f"an artist who is also in the {seen} part, so a model may know the artist rather "
            "than the genre.",
            *_by_other_artists(results),
        )
    ]


def _by_other_artists(results: Results) -> list[str]:
    found = {
        name: model["test_accuracy_artist_free"]
        for name, model in results["models"].items()
        if "test_accuracy_artist_free" in model
    }
    if not found:
        return []
    n = next(iter(found.values()))["n"]
    figures = [f"{label(results, name)} {percent(f['mean'])}" for name, f in found.items()]
    return [f"Accuracy on the {count(n, 'other test recording')}: {joined(figures)}."]


def _artists_unknown(results: Results) -> list[Finding]:
    part = examined(results)
    if not results["data"]["artists_known"]:
        return [
            _caveat(
                "No artist is known",
                "The intervals take recordings as independent; recordings of one artist are not, "
                "so the true intervals are wider.",
                "Nor can it be said whether an artist is on both sides of the split.",
            )
        ]
    unknown = total(results, part, "unknown_artists")
    if not unknown:
        return []
    return [
        _caveat(
            "Some artists are unknown",
            f"{unknown} of {count(n_recordings(results, part), f'{NOUNS[part]} recording')}: each "
            "counts as an artist of its own.",
        )
    ]


def _few_artists(results: Results) -> list[Finding]:
    few = few_artists(results)
    if not few:
        return []
    named = joined([f"{genre} {n}" for genre, n in sorted(few.items(), key=lambda item: item[1])])
    whole = sum(artists(results, examined(results)).values())
    return [
        _caveat(
            "Few artists",
            f"Fewer than {FEW_ARTISTS} artists in the {NOUNS[examined(results)]} part: {named} "
            f"(all genres: {whole}).",
            "With so few, intervals are too narrow.",
        )
    ]


def _single_seed(results: Results) -> list[Finding]:
    if n_seeds(results) > 1:
        return []
    return [
        _caveat(
            "One seed",
            "Each model was trained once: how much another start would change is unknown, and not "
            "in the intervals.",
        )
    ]


def _small_part(results: Results) -> list[Finding]:
    part = examined(results)
    if not is_small(results, part):
        return []
    n = n_recordings(results, part)
    thin = min(support(results, part).values())
    drawn = "artist" if results["data"]["artists_known"] else "recording"
    best = ranked(results)[0]
    share = accuracy(results, best, part).mean
    return [
        _caveat(
            FEW_RECORDINGS,
            f"The {NOUNS[part]} part has {count(n, 'recording')}: one verdict is "
            f"{percent(1 / n)}. The smallest genre has {thin}.",
            f"Intervals by {drawn} are too narrow here and cannot be trusted: where a genre has "
            f"one or two {drawn}s, little or nothing varies.",
            f"{label(results, best)}'s {percent(share)}, taking recordings as independent: "
            f"{percent_span(wilson(share, n))}% (Wilson).",
        )
    ]


def _left_out(results: Results) -> list[Finding]:
    left_out = results["data"]["left_out"]
    if not left_out:
        return []
    named = [f"{genre} ({n})" for genre, n in left_out.items()]
    return [
        _caveat(
            "Genres left out",
            f"Too few recordings to learn from and be examined on: {_shortened(named)}.",
        )
    ]


def _skipped(results: Results) -> list[Finding]:
    skipped = results["data"]["skipped"]
    if not skipped:
        return []
    named = [str(file["id"]) for file in skipped]
    return [
        _caveat(
            "Files passed over",
            f"{count(len(skipped), 'file')} could not be used: {_shortened(named)}.",
        )
    ]


def _shortened(names: list[str]) -> str:
    if len(names) <= NAMED:
        return joined(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
