"""results.json, read by name: what the rest of the report stands on.

The schema is ``docs/reference/results.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets.splits import PARTS
from ostinato.errors import DataError
from ostinato.evaluation.metrics import genre_metrics
from ostinato.evaluation.significance import Interval

Results = dict[str, Any]

SCHEMA = 1
#: Below this number of artists in a genre, bootstrap intervals are too narrow.
FEW_ARTISTS = 10
#: In a part of fewer recordings, one verdict more or less moves the accuracy by over a point, and
#: an interval by artist may have next to no width.
SMALL_PART = 100
#: A difference of accuracies is told from none where its p value is below this.
ALPHA = 0.05
#: Okabe and Ito (2008): told apart by colour-blind readers too. Yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")


@dataclass(frozen=True)
class Difference(Interval):
    """A difference of two models: its interval, its test, and what they say together.

    Attributes
    ----------
    p_holm : float or None
        Of the sign-flip test by artist, adjusted over all pairs; None for over-fitting gaps, which
        have no test.
    apart : bool
        Whether the data tell the two models apart. Every sentence, mark and table asks this, and
        nothing else, so that none says more than another.
    """

    p_holm: float | None
    apart: bool

    def turned(self) -> Difference:
        """The same difference, the other model first."""
        return Difference(-self.mean, -self.high, -self.low, self.p_holm, self.apart)


@dataclass(frozen=True)
class Resampled(Interval):
    """A difference over repeated folds, with its corrected resampled t test."""

    p: float
    folds: int
    repeats: int


def check_schema(results: Results) -> None:
    """Refuse results of another schema.

    Raises
    ------
    DataError
        If ``schema`` is not :data:`SCHEMA`, or there is no model.
    """
    if results.get("schema") != SCHEMA or not results.get("models"):
        raise DataError(
            f"Expected results of schema {SCHEMA} with at least one model, got schema "
            f"{results.get('schema')!r}: results.json was written by another version, or is not "
            "a study's."
        )


def examined(results: Results) -> str:
    """``"test"``, or ``"valid"`` where the test part was left untouched or does not exist."""
    has_test = all("test_accuracy" in model for model in results["models"].values())
    return "test" if has_test else "valid"


def parts(results: Results) -> list[str]:
    """The parts with figures, in the order train, valid, test."""
    return [part for part in PARTS if part != "test" or examined(results) == "test"]


def label(results: Results, model: str) -> str:
    """The model's name for readers."""
    return str(results["models"][model]["label"])


def accuracy(results: Results, model: str, part: str) -> Interval:
    """Mean accuracy over seeds on a part, in [0, 1]."""
    return _interval(results["models"][model][f"{part}_accuracy"])


def gap(results: Results, model: str) -> Interval:
    """Train minus valid accuracy, same weights, evaluation mode."""
    return _interval(results["models"][model]["gap"])


def ranked(results: Results) -> list[str]:
    """Model names, the best on the examined part first; in the order asked for where equal."""
    part = examined(results)
    return sorted(results["models"], key=lambda model: -accuracy(results, model, part).mean)


def difference(results: Results, a: str, b: str) -> Difference:
    """Accuracy of ``a`` minus accuracy of ``b`` on the examined part.

    The two are told apart where the interval leaves out 0 and the test agrees: where a genre has
    one artist nothing varies, and an interval alone would call a difference of two tracks certain.

    Raises
    ------
    DataError
        If the study did not compare them, or did not test the difference.
    """
    part = examined(results)
    entry = _entry([c for c in results["comparisons"] if c["part"] == part], a, b)
    if "p_holm" not in entry:
        raise DataError(
            f"Expected a p value with the difference of '{a}' and '{b}', got none: results.json "
            "was written by an earlier version; the study, run again in its folder, adds it."
        )
    found, p_holm = _interval(entry["difference"]), float(entry["p_holm"])
    apart = _leaves_out_0(found) and p_holm < ALPHA
    pair = Difference(found.mean, found.low, found.high, p_holm, apart)
    return pair if entry["a"] == a else pair.turned()


def corrected_t(results: Results, a: str, b: str) -> Resampled | None:
    """Accuracy of ``a`` minus that of ``b`` over repeated folds; None where they were drawn once.

    Raises
    ------
    DataError
        If the study did not compare them.
    """
    part = examined(results)
    entry = _entry([c for c in results["comparisons"] if c["part"] == part], a, b)
    found = entry.get("corrected_t")
    if found is None:
        return None
    mean, low, high = (float(found["difference"][key]) for key in ("mean", "low", "high"))
    if entry["a"] != a:
        mean, low, high = -mean, -high, -low
    return Resampled(mean, low, high, float(found["p"]), found["folds"], found["repeats"])


def gap_difference(results: Results, a: str, b: str) -> Difference:
    """Gap of ``a`` minus gap of ``b``; negative where ``a`` over-fits less.

    Gaps have no test: the two are told apart where the interval leaves out 0 and the validation
    part is large enough for an interval to be believed.

    Raises
    ------
    DataError
        If the study did not compare them.
    """
    entry = _entry(results["gap_comparisons"], a, b)
    found = _interval(entry["difference"])
    apart = _leaves_out_0(found) and not is_small(results, "valid")
    pair = Difference(found.mean, found.low, found.high, None, apart)
    return pair if entry["a"] == a else pair.turned()


def winner(results: Results) -> str | None:
    """The best model, if it is told apart from every other; else None."""
    first, *others = ranked(results)
    leads = [difference(results, first, other) for other in others]
    return first if leads and all(lead.apart and lead.mean > 0 for lead in leads) else None


def is_small(results: Results, part: str) -> bool:
    """Whether a part has fewer than :data:`SMALL_PART` recordings."""
    return n_recordings(results, part) < SMALL_PART


def n_seeds(results: Results) -> int:
    """Number of seeds a model was trained with."""
    first = next(iter(results["models"].values()))
    return len(first[f"{examined(results)}_accuracy"]["seeds"])


def n_recordings(results: Results, part: str) -> int:
    """Number of recordings of a part, pooled over folds."""
    return total(results, part, "n")


def total(results: Results, part: str, key: str) -> int:
    """Sum over folds of a number that the split states of a part: ``n``, ``unknown_artists``."""
    return sum(int(fold["parts"][part][key]) for fold in results["split"]["folds"])


def support(results: Results, part: str) -> dict[str, int]:
    """Recordings of each genre in a part, pooled over folds; genres without any are left out."""
    return _pooled(results, part, "per_genre")


def artists(results: Results, part: str) -> dict[str, int]:
    """Known artists of each genre in a part, pooled over folds; genres without any left out."""
    return _pooled(results, part, "artists_per_genre")


def few_artists(results: Results) -> dict[str, int]:
    """Genres of the examined part with fewer than :data:`FEW_ARTISTS` known artists."""
    known = artists(results, examined(results))
    return {genre: n for genre, n in known.items() if n < FEW_ARTISTS}


def genre_f1(results: Results) -> dict[str, float]:
    """F1 of each genre that occurs in the examined part, mean over models; the weakest first."""
    part = examined(results)
    means = {
        genre: float(
            np.mean([m["per_genre"][part][genre]["f1"] for m in results["models"].values()])
        )
        for genre in support(results, part)
    }
    return dict(sorted(means.items(), key=lambda item: item[1]))


def seed_f1(results: Results, model: str) -> dict[str, list[float]]:
    """F1 of each genre on the examined part, one value a seed, folds pooled."""
    part, genres = examined(results), tuple(results["data"]["genres"])
    counts: dict[int, NDArray[np.int64]] = {}
    for run in results["models"][model]["runs"]:
        confusion = np.array(run["parts"][part]["confusion"], dtype=np.int64)  # (true, verdict)
        counts[run["seed"]] = counts.get(run["seed"], np.zeros_like(confusion)) + confusion
    metrics = [genre_metrics(confusion, genres) for confusion in counts.values()]
    return {genre: [m[genre].f1 for m in metrics] for genre in genres}


def confusion(results: Results, model: str) -> NDArray[np.float64]:
    """Mean counts over seeds on the examined part [shape=(n_genres, n_genres)], rows true."""
    return np.array(results["models"][model]["confusion"][examined(results)], dtype=np.float64)


def confused_pairs(results: Results, limit: int) -> list[tuple[str, str, float]]:
    """(true, said, recordings): the commonest errors, in mean counts over models and seeds."""
    genres = results["data"]["genres"]
    mean = np.mean([confusion(results, model) for model in results["models"]], axis=0)
    np.fill_diagonal(mean, 0)
    order = np.argsort(-mean, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(flat), len(genres)) for flat in order]
    return [(genres[i], genres[j], float(mean[i, j])) for i, j in pairs if mean[i, j] > 0]


def confidences(results: Results) -> dict[str, dict[str, Any]]:
    """Calibration and abstaining of each model; of none where the study could not judge them."""
    found = {name: model["confidence"] for name, model in results["models"].items()}
    return {name: own for name, own in found.items() if own is not None}


def genre_interval(results: Results, model: str, genre: str, score: str) -> Interval:
    """Precision, recall or F1 of a genre on the examined part, with its interval by artist."""
    own = results["models"][model]["per_genre"][examined(results)][genre]
    low, high = own["intervals"][score]
    return Interval(own[score], low, high)


def colours(results: Results) -> dict[str, str]:
    """One colour a model, the same in every figure and table."""
    return {model: COLOURS[i % len(COLOURS)] for i, model in enumerate(results["models"])}


def _interval(values: dict[str, Any]) -> Interval:
    return Interval(float(values["mean"]), float(values["low"]), float(values["high"]))


def _leaves_out_0(interval: Interval) -> bool:
    return interval.low > 0 or interval.high < 0


def _entry(comparisons: list[dict[str, Any]], a: str, b: str) -> dict[str, Any]:
    for entry in comparisons:
        if {entry["a"], entry["b"]} == {a, b}:
            return entry
    raise DataError(f"results.json holds no comparison of '{a}' with '{b}'.")


def _pooled(results: Results, part: str, key: str) -> dict[str, int]:
    folds = [fold["parts"][part][key] for fold in results["split"]["folds"]]
    totals = {g: sum(int(fold.get(g, 0)) for fold in folds) for g in results["data"]["genres"]}
    return {genre: n for genre, n in totals.items() if n > 0}
