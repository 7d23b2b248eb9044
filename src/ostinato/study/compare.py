"""Finished studies side by side: the same statistics over their models as within one study.

Studies that examined different recordings are refused: a difference of their figures would come
from the recordings as much as from the models.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError, UsageError
from ostinato.evaluation import paired
from ostinato.evaluation.significance import Clusters, Interval, Term, interval
from ostinato.study.results import SCHEMA, StudyResults, read_results
from ostinato.study.results.predictions import FACTS, PREDICTIONS
from ostinato.study.results.tables import Compared, ComparedModel, ComparedPair, RecallDifference


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """The verdicts of a finished study on the part that it examined."""

    folder: Path
    results: StudyResults
    part: str
    ids: tuple[str, ...]  # recordings, sorted; one occurs as often as the study judged it
    genres: tuple[str, ...]
    artists: tuple[str, ...]  # "" where unknown
    correct: dict[str, NDArray[np.bool_]]  # by model, which verdicts were right (n_seeds, n)

    @property
    def clusters(self) -> Clusters:
        """Artists of the recordings."""
        labels = np.unique(self.genres, return_inverse=True)[1]
        pieces = self.results.config.get("segments", 1) != 1
        # The repeats, or pieces, of a recording of unknown artist are one cluster, not several.
        wholes = [name.rpartition("#")[0] if pieces else name for name in self.ids]
        return Clusters.by_artist(
            labels, [a or f"\0{name}" for a, name in zip(self.artists, wholes, strict=True)]
        )

    @property
    def examined(self) -> tuple[str, Counter[tuple[str, str]]]:
        """The part, and how often each of its recordings was judged, by id and genre."""
        return self.part, Counter(zip(self.ids, self.genres, strict=True))


def read_judged(folder: Path) -> Judged:
    """Read the results and the verdicts of a finished study.

    UsageError if the folder holds none; DataError if one of its files cannot be used.
    """
    results = read_results(folder)
    part, n_seeds = results.examined, results.n_seeds
    rows = _rows(folder / PREDICTIONS, part, tuple(results.data.genres))
    correct = {}
    about: list[tuple[str, str, str]] = []
    for model in results.models:
        by_seed = [sorted(rows.get((model, seed), ())) for seed in range(n_seeds)]
        about = about or [row[:3] for row in by_seed[0]]
        if not about or any([row[:3] for row in seed] != about for seed in by_seed):
            raise DataError(
                f"{folder / PREDICTIONS}: expected verdicts of {model} on the same recordings with "
                f"each of {n_seeds} seeds, got others; run the study again in its folder."
            )
        correct[model] = np.array([[row[4] for row in seed] for seed in by_seed], dtype=np.bool_)
    ids, genres, artists = (tuple(column) for column in zip(*about, strict=True))
    return Judged(
        folder=folder, results=results, part=part, ids=ids, genres=genres, artists=artists,
        correct=correct,
    )  # fmt: skip


def _rows(
    path: Path, part: str, genres: tuple[str, ...]
) -> dict[tuple[str, int], list[tuple[str, str, str, int, bool]]]:
    """(recording, genre, artist, fold, right) of every verdict on a part, by model and seed."""
    found: dict[tuple[str, int], list[tuple[str, str, str, int, bool]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != (*FACTS, *genres):
            raise ValueError(f"the columns {', '.join(header)}")
        for recording, artist, where, genre, model, seed, fold, *values in rows:
            if where != part:
                continue
            said = genres[int(np.argmax([float(value) for value in values]))]
            entry = (recording, genre, artist, int(fold), said == genre)
            found.setdefault((model, int(seed)), []).append(entry)
    except (OSError, ValueError, IndexError) as error:
        raise DataError(
            f"{path}: expected the predictions of a finished study, got {error}; run the study "
            "again in its folder."
        ) from error
    return found


def check_same(first: Judged, other: Judged) -> None:
    """Refuse studies that did not examine the same recordings; the DataError names one of them."""
    if first.examined == other.examined:
        return
    (_, mine), (_, theirs) = first.examined, other.examined
    if first.part != other.part:
        why = f"the first examined its {first.part} part, the second its {other.part} part"
    else:
        odd, by = next(
            (key, here.folder)
            for here, keys in ((first, mine - theirs), (other, theirs - mine))
            for key in sorted(keys)
        )
        n_first, n_other = len(first.ids), len(other.ids)
        why = (
            f"{n_first} recordings in the first, {n_other} in the second; '{odd[0]}' as {odd[1]} "
            f"is only in {by}, or more often there"
        )
    raise DataError(
        f"{first.folder} and {other.folder} did not examine the same recordings ({why}): "
        "a difference of their figures would not come from the models alone."
    )


def compare(studies: Sequence[Judged], *, genres: Sequence[str] = ()) -> Compared:
    """Accuracies of the models of several studies, and tests of every pair.

    Every pair's recall of ``genres`` is compared as well. UsageError if there are fewer than two
    models, a study is given twice, or there is no such genre; DataError if the studies did not
    examine the same recordings.
    """
    folders = [study.folder.resolve() for study in studies]
    if len(set(folders)) < len(folders):
        raise UsageError("Expected different studies to compare, got one of them twice.")
    if sum(len(study.correct) for study in studies) < 2:
        raise UsageError("Expected two models or more to compare, got one.")
    first = studies[0]
    for other in studies[1:]:
        check_same(first, other)
    known = sorted(set(first.genres))
    for genre in genres:
        if genre not in known:
            raise UsageError(f"Expected genres of {', '.join(known)}; got '{genre}'.")
    clusters = first.clusters
    correct: dict[str, NDArray[np.bool_]] = {}
    models = []
    for study, short in zip(studies, _names(studies), strict=True):
        for model, right in study.correct.items():
            name, facts = f"{short}/{model}", study.results.models[model]
            correct[name] = right
            models.append(
                ComparedModel(
                    **vars(accuracy(right, clusters)),
                    name=name,
                    study=str(study.folder),
                    model=model,
                    label=facts.label,
                    split=study.results.split.name,
                    parameters=facts.parameters,
                    seeds=len(right),
                    chosen_from=study.results.chosen_from or None,
                )
            )
    return Compared(
        schema=SCHEMA,
        part=first.part,
        n=len(set(first.ids)),
        models=sorted(models, key=lambda m: -m.mean),
        comparisons=[
            ComparedPair.of(
                pair,
                recall={g: _recall(first, g, correct[pair.a], correct[pair.b]) for g in genres},
            )
            for pair in paired.evaluate(correct, clusters)
        ],
    )


def _recall(
    study: Judged, genre: str, a: NDArray[np.bool_], b: NDArray[np.bool_]
) -> RecallDifference:
    """Recall of a genre by two models, and the difference with its interval by artist and seed."""
    own = np.array([g == genre for g in study.genres])
    of = study.clusters.of[own]
    clusters = Clusters(np.unique(of, return_inverse=True)[1], np.zeros(len(set(of)), np.int64))
    one, other = (Term(right[:, own], clusters, name) for name, right in (("a", a), ("b", b)))
    found = interval([one, other.minus()])
    recall_a, recall_b = float(one.correct.mean()), float(other.correct.mean())
    return RecallDifference(**vars(found), a=recall_a, b=recall_b)


def accuracy(right: NDArray[np.bool_], clusters: Clusters) -> Interval:
    """Mean accuracy over seeds with its interval by artist and seed."""
    return interval([Term(right, clusters, "model")])


def _names(studies: Sequence[Judged]) -> list[str]:
    """The folders' names, or their paths where two folders have one name."""
    short = [study.folder.resolve().name for study in studies]
    return short if len(set(short)) == len(short) else [str(study.folder) for study in studies]
