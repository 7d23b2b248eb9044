"""Questions that the report asks of a study's results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError
from ostinato.evaluation.metrics import genre_metrics
from ostinato.evaluation.significance import Interval
from ostinato.study.results.model_schema import Confidence
from ostinato.study.results.schema import Comparison, CorrectedT, GapComparison, StudyResults

#: Fewer artists in a genre: its figures are as much about these artists as about the genre.
FEW_ARTISTS = 10
#: In a part of fewer recordings, one verdict more or less moves the accuracy by over a point, and
#: an interval by artist is rough.
SMALL_PART = 100
#: A difference of accuracies is told from none where its p value is below this.
ALPHA = 0.05
#: Okabe and Ito (2008): told apart by colour-blind readers too. Yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")

Pair = TypeVar("Pair", Comparison, GapComparison)


@dataclass(frozen=True)
class Difference(Interval):
    """A difference of two models: its interval, its test, and what they say together.

    ``p_holm`` is of the sign-flip test by artist, adjusted over all pairs; over-fitting gaps have
    none. ``apart`` says whether the data tell the two models apart: every sentence, mark and table
    asks this, and nothing else, so that none says more than another.
    """

    p_holm: float | None
    apart: bool


def ranked(results: StudyResults) -> list[str]:
    """Model names, the best on the examined part first; in the order asked for where equal."""
    part = results.examined
    return sorted(results.models, key=lambda name: -results.models[name].accuracy(part).mean)


def difference(results: StudyResults, a: str, b: str) -> Difference:
    """Accuracy of ``a`` minus accuracy of ``b`` on the examined part.

    The two are told apart where the interval leaves out 0 and the test agrees: where a genre has
    one artist nothing varies, and an interval alone would call a difference of two tracks certain.
    """
    entry = _entry(results.comparisons, a, b)
    found = turned(entry.difference, entry.a != a)
    return Difference(**vars(found), p_holm=entry.p_holm, apart=is_apart(found, entry.p_holm))


def corrected_t(results: StudyResults, a: str, b: str) -> CorrectedT | None:
    """Accuracy of ``a`` minus that of ``b`` over repeated folds; None of folds drawn once."""
    entry = _entry(results.comparisons, a, b)
    found = entry.corrected_t
    return found and replace(found, difference=turned(found.difference, entry.a != a))


def gap_difference(results: StudyResults, a: str, b: str) -> Difference:
    """Gap of ``a`` minus gap of ``b``; negative where ``a`` over-fits less.

    Gaps have no test: the two are told apart where the interval leaves out 0 and the validation
    part is large enough for an interval to be believed.
    """
    entry = _entry(results.gap_comparisons, a, b)
    found = turned(entry.difference, entry.a != a)
    apart = _leaves_out_0(found) and not is_small(results, "valid")
    return Difference(**vars(found), p_holm=None, apart=apart)


def is_apart(difference: Interval, p_holm: float) -> bool:
    """Whether a difference of accuracies is told from none: interval and test agree."""
    return _leaves_out_0(difference) and p_holm < ALPHA


def least_gap(results: StudyResults) -> tuple[str, list[str]]:
    """The model with the smallest gap, and those that the data do not tell apart from it."""
    least, *others = sorted(results.models, key=lambda name: results.models[name].gap.mean)
    return least, [name for name in others if not gap_difference(results, name, least).apart]


def winner(results: StudyResults) -> str | None:
    """The best model, if it is told apart from every other; else None."""
    first, *others = ranked(results)
    leads = [difference(results, first, other) for other in others]
    return first if leads and all(lead.apart and lead.mean > 0 for lead in leads) else None


def is_small(results: StudyResults, part: str) -> bool:
    """Whether a part has fewer than :data:`SMALL_PART` recordings."""
    return results.n_recordings(part) < SMALL_PART


def support(results: StudyResults, part: str) -> dict[str, int]:
    """Recordings of each genre in a part, pooled over folds; genres without any are left out."""
    return _pooled(results, (fold.parts[part].per_genre for fold in results.split.folds))


def artists(results: StudyResults, part: str) -> dict[str, int]:
    """Known artists of each genre in a part, pooled over folds; genres without any left out."""
    return _pooled(results, (fold.parts[part].artists_per_genre for fold in results.split.folds))


def few_artists(results: StudyResults, part: str) -> dict[str, int]:
    """Genres of a part with fewer than :data:`FEW_ARTISTS` known artists."""
    known = artists(results, part)
    return {genre: n for genre, n in known.items() if n < FEW_ARTISTS}


def genre_f1(results: StudyResults) -> dict[str, float]:
    """F1 of each genre that occurs in the examined part, mean over models; the weakest first."""
    part = results.examined
    means = {
        genre: float(np.mean([m.per_genre[part][genre].f1 for m in results.models.values()]))
        for genre in support(results, part)
    }
    return dict(sorted(means.items(), key=lambda item: item[1]))


def seed_f1(results: StudyResults, model: str) -> dict[str, list[float]]:
    """F1 of each genre on the examined part, one value a seed, folds pooled."""
    genres = tuple(results.data.genres)
    counts: dict[int, NDArray[np.int64]] = {}
    for run in results.models[model].runs:
        one = np.array(run.parts[results.examined].confusion, dtype=np.int64)  # (true, verdict)
        counts[run.seed] = counts.get(run.seed, np.zeros_like(one)) + one
    metrics = [genre_metrics(one, genres) for one in counts.values()]
    return {genre: [m[genre].f1 for m in metrics] for genre in genres}


def confusion(results: StudyResults, model: str) -> NDArray[np.float64]:
    """Mean counts over seeds on the examined part [shape=(n_genres, n_genres)], rows true."""
    return np.array(results.models[model].confusion[results.examined], dtype=np.float64)


def confused_pairs(results: StudyResults, limit: int) -> list[tuple[str, str, float]]:
    """(true, said, recordings): the commonest errors, in mean counts over models and seeds."""
    genres = results.data.genres
    mean = np.mean([confusion(results, model) for model in results.models], axis=0)
    np.fill_diagonal(mean, 0)
    order = np.argsort(-mean, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(flat), len(genres)) for flat in order]
    return [(genres[i], genres[j], float(mean[i, j])) for i, j in pairs if mean[i, j] > 0]


def confidences(results: StudyResults) -> dict[str, Confidence]:
    """Calibration and abstaining of each model that the study could judge them for."""
    return {name: own for name, m in results.models.items() if (own := m.confidence) is not None}


def colours(names: Iterable[str]) -> dict[str, str]:
    """One colour a model, the same in every figure and table."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def turned(found: Interval, turn: bool) -> Interval:
    """The same difference, the other model first."""
    return Interval(-found.mean, -found.high, -found.low) if turn else found


def kind(results: StudyResults) -> str:
    """What the intervals are, beside every one that is printed."""
    by = "by artist" if results.data.artists_known else "taking recordings as independent"
    return f"95% interval {by}"


def _leaves_out_0(interval: Interval) -> bool:
    return interval.low > 0 or interval.high < 0


def _entry(comparisons: list[Pair], a: str, b: str) -> Pair:
    for entry in comparisons:
        if {entry.a, entry.b} == {a, b}:
            return entry
    raise DataError(f"results.json holds no comparison of '{a}' with '{b}'.")


def _pooled(results: StudyResults, folds: Iterable[dict[str, int]]) -> dict[str, int]:
    total = sum((Counter(fold) for fold in folds), Counter())
    return {genre: total[genre] for genre in results.data.genres if total[genre] > 0}
