"""Finished runs -> the results of a study."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato import __version__
from ostinato.datasets import Corpus
from ostinato.datasets.splits import (
    PARTS,
    Fold,
    Split,
    artist_free,
    shared_artists,
    shared_recordings,
)
from ostinato.errors import DataError
from ostinato.evaluation import intervals, paired
from ostinato.evaluation.intervals import GenreIntervals
from ostinato.evaluation.metrics import GenreMetrics, evaluate
from ostinato.evaluation.significance import Clusters, Interval, Term, interval, wilson
from ostinato.models import family
from ostinato.study.config import StudyConfig
from ostinato.study.results.always_wrong import always_wrong
from ostinato.study.results.confidence import confidence
from ostinato.study.results.model_schema import (
    Accuracy,
    ArtistFreeAccuracy,
    Bounds,
    Ensemble,
    GenreScores,
    GradientNorm,
    MacroF1,
    ModelResults,
    Run,
    RunRecord,
    SeedInterval,
    SeedMean,
)
from ostinato.study.results.pool import Pool, Records, Verdicts
from ostinato.study.results.schema import (
    SCHEMA,
    Census,
    Comparison,
    CorrectedT,
    DataFacts,
    Fairness,
    FoldFacts,
    GapComparison,
    SplitFacts,
    StudyResults,
)
from ostinato.study.training_run import Probabilities


def collect(
    config: StudyConfig, corpus: Corpus, split: Split, records: Records, verdicts: Verdicts
) -> StudyResults:
    """All figures of a study, from the records and probabilities of its runs."""
    parts = [p for p in PARTS if split.folds[0].part(p) and (p != "test" or config.test)]
    pools = {part: Pool(corpus, split, part) for part in parts}
    examined = pools[parts[-1]]
    terms = {
        name: {part: pools[part].term(name, verdicts[name]) for part in parts}
        for name in config.models
    }
    written = json.loads(json.dumps(config.to_dict()))  # lists for tuples, as they are read back
    return StudyResults(
        schema=SCHEMA,
        ostinato=__version__,
        title=_title(config, split),
        config=written,
        data=_data(corpus),
        split=_split(corpus, split, pools),
        fairness=_fairness(config, records),
        models={
            name: ModelResults(
                label=family(name).label,
                settings=written["settings"][name],
                **_judged(corpus, split, pools, verdicts[name], terms[name]),
                **_trained(records[name]),
            )
            for name in config.models
        },
        missed=always_wrong(corpus, examined, verdicts),
        comparisons=_comparisons(terms, examined, split),
        gap_comparisons=_gap_comparisons(terms),
    )


def _title(config: StudyConfig, split: Split) -> str:
    title = config.title or f"{', '.join(family(m).label for m in config.models)} compared"
    return f"{title}: a leaking split" if split.leaks else title


def _data(corpus: Corpus) -> DataFacts:
    return DataFacts(
        name=corpus.name,
        source=corpus.source,
        genres=list(corpus.genres),
        n_recordings=len(corpus),
        spec=corpus.spec.to_dict(),
        frames=corpus.spec.describe(),
        skipped=list(corpus.skipped),
        left_out=dict(corpus.left_out),
        notes=list(corpus.notes),
        artists_known=any(artist is not None for artist in corpus.artists),
    )


def _split(corpus: Corpus, split: Split, pools: Mapping[str, Pool]) -> SplitFacts:
    # Only the parts that were examined: an untouched test part is not described either.
    def shown(by_part: Mapping[str, int]) -> dict[str, int]:
        return {part: n for part, n in by_part.items() if part in pools}

    return SplitFacts(
        name=split.name,
        leaks=split.leaks,
        repeats=split.repeats,
        notes=list(split.notes),
        folds=[
            FoldFacts(
                parts={part: _census(corpus, fold, part) for part in pools},
                shared_artists=shown(shared_artists(corpus, fold)),
                shared_recordings=shown(shared_recordings(corpus, fold)),
            )
            for fold in split.folds
        ],
        majority={
            part: float(np.bincount(pool.labels).max()) / len(pool.labels)
            for part, pool in pools.items()
            if part != "train"
        },
    )


def _census(corpus: Corpus, fold: Fold, part: str) -> Census:
    where = corpus.positions(fold.part(part)).tolist()
    members = [corpus.recordings[i] for i in where]
    named = [(r.genre, corpus.artists[i]) for i, r in zip(where, members, strict=True)]
    artists = {(genre, artist) for genre, artist in named if artist is not None}
    return Census(
        n=len(members),
        per_genre=dict(sorted(Counter(r.genre for r in members).items())),
        artists_per_genre=dict(sorted(Counter(genre for genre, _ in artists).items())),
        unknown_artists=len({members[k].recording for k, (_, a) in enumerate(named) if a is None}),
        recordings=len({r.recording for r in members}),
    )


def _fairness(config: StudyConfig, records: Records) -> Fairness:
    t = config.training
    n_epochs = f"{t.epochs} epochs, a random window of each training track an epoch"
    same = [
        n_epochs,
        f"windows of {t.window_frames} frames; a track's verdict is the mean over its windows",
        f"AdamW, one-cycle learning rate up to {t.learning_rate:g}, weight decay "
        f"{t.weight_decay:g}, batches of {t.batch_size}",
        f"{t.augmentation()}, label smoothing {t.label_smoothing:g}, weights averaged with decay "
        f"{t.averaging:g}",
        "no model has a setting of its own for training, and nothing is chosen on the valid part",
    ]
    if config.waveform.copies:
        same.insert(
            -1,
            "each window is of the training track or, equally likely, of a copy whose sound was "
            f"changed: {config.waveform.describe()}",
        )
    differ = []
    if {"lstm", "residual-lstm"} <= set(config.models):
        alike = config.model_settings("lstm") == config.model_settings("residual-lstm")
        differ.append(
            "LSTM and ResLSTM differ in the shortcut around each layer and in nothing else: the "
            "same depth, width, directions, normalisation, initial weights and number of parameters"
            if alike
            else "LSTM and ResLSTM differ in more than the shortcut: their settings are not equal"
        )
    if "conv-lstm" in config.models:
        differ.append(
            "ConvLSTM's layers convolve over patches of time and coefficients; its dropout is its "
            "own"
        )
    if "baseline" in config.models:
        differ.append(
            "the baseline is solved for: it sees all windows of the training part once and "
            "unaugmented, so its seeds are alike, and its learning curve is one point"
        )
    return Fairness(
        parameters={name: records[name][0][0].parameters for name in config.models},
        same=same,
        differ=differ,
    )


def _trained(records: Sequence[Sequence[RunRecord]]) -> dict[str, Any]:
    """Fields of ModelResults that the records of a model's runs give."""
    runs = [run for folds in records for run in folds]
    gaps = [float(np.mean([run.last_epoch.gap for run in folds])) for folds in records]
    return {
        "gap_last_epoch": _over_seeds(gaps),
        "parameters": runs[0].parameters,
        "seconds": float(np.mean([run.seconds for run in runs])),
        "gradient_norms": _gradient_norms([run.curves for run in runs]) or None,
        "runs": [Run(**{f.name: getattr(run, f.name) for f in fields(Run)}) for run in runs],
    }


def _judged(
    corpus: Corpus,
    split: Split,
    pools: Mapping[str, Pool],
    verdicts: Sequence[Sequence[Probabilities]],
    terms: Mapping[str, Term],
) -> dict[str, Any]:
    """Fields of ModelResults that the probabilities of a model's runs give."""
    metrics = {
        part: [evaluate(pool.labels, pool.probabilities(f), corpus.genres) for f in verdicts]
        for part, pool in pools.items()
    }
    accuracies = {part: [m.accuracy for m in metrics[part]] for part in pools}
    gaps = [t - v for t, v in zip(accuracies["train"], accuracies["valid"], strict=True)]
    gap = interval([terms["train"], terms["valid"].minus()])
    together = [_mean_of_seeds(verdicts)]
    found: dict[str, Any] = {
        "gap": SeedInterval(**vars(gap), seeds=gaps),
        "ensemble": {}, "per_genre": {}, "confusion": {},
    }  # fmt: skip
    for part, pool in pools.items():
        seeds = accuracies[part]
        found[f"{part}_accuracy"] = _accuracy(terms[part], pool, seeds)
        macro = vars(_over_seeds([m.macro_f1 for m in metrics[part]]))
        if part == "train":
            found[f"{part}_macro_f1"] = MacroF1(**macro)
            continue
        spans = intervals.evaluate(pool.labels, pool.said(verdicts), pool.clusters, corpus.genres)
        found[f"{part}_macro_f1"] = MacroF1(**(vars(spans.macro_f1) | macro))
        ensemble = interval([pool.term("ensemble", together)])
        found["ensemble"][part] = Ensemble(
            accuracy=ensemble.mean, low=ensemble.low, high=ensemble.high
        )
        found["per_genre"][part] = {
            genre: _genre([m.per_genre[genre] for m in metrics[part]], own)
            for genre, own in spans.per_genre.items()
        }
        found["confusion"][part] = np.mean([m.confusion for m in metrics[part]], axis=0).tolist()
    if "test" in pools:
        free = _artist_free(corpus, split, pools["test"], terms["test"])
        found["test_accuracy_artist_free"] = free
    sides = pools["valid"], pools.get("test", pools["valid"])
    found["confidence"] = confidence(*sides, verdicts)
    found["ensemble_confidence"] = confidence(*sides, together)
    return found


def _over_seeds(values: Sequence[float]) -> SeedMean:
    return SeedMean(mean=float(np.mean(values)), seeds=list(values))


def _accuracy(term: Term, pool: Pool, seeds: list[float]) -> Accuracy:
    """With its interval by artist, and beside it the one that takes tracks for independent."""
    found = interval([term])
    beside = wilson(found.mean, np.unique(pool.positions).size)
    return Accuracy(**vars(found), seeds=seeds, wilson=Bounds(low=beside.low, high=beside.high))


def _gradient_norms(curves: Sequence[Mapping[str, list[float | None]]]) -> list[GradientNorm]:
    """Gradient norm of every recurrent layer, in the first epoch and over all epochs."""

    def over_runs(norms: NDArray[np.float64]) -> Interval:
        return Interval(float(norms.mean()), float(norms.min()), float(norms.max()))

    found = []
    for name in (name for name in curves[0] if name.startswith("gradient_")):
        norms = np.array([run[name] for run in curves], dtype=np.float64)  # (run, epoch)
        first, whole = norms[:, 0], norms.mean(axis=1)
        found.append(GradientNorm(first_epoch=over_runs(first), all_epochs=over_runs(whole)))
    return found


def _artist_free(corpus: Corpus, split: Split, pool: Pool, term: Term) -> ArtistFreeAccuracy | None:
    """Accuracy on the test recordings by no known artist of train or valid, where others are."""
    free = np.concatenate(
        [np.isin(fold.test, artist_free(corpus, fold)) for fold in split.folds]
    )  # (n_recordings,)
    if free.all() or not free.any():
        return None
    artists = [corpus.artists[i] for i in pool.positions[free]]
    clusters = Clusters.by_artist(pool.labels[free], artists)
    correct = term.correct[:, free]
    found = interval([Term(correct, clusters, term.model)])
    seeds = correct.mean(axis=1).tolist()
    return ArtistFreeAccuracy(**vars(found), seeds=seeds, n=int(free.sum()))


def _mean_of_seeds(seeds: Sequence[Sequence[Probabilities]]) -> list[Probabilities]:
    """Mean over the seeds of each part's probabilities, fold by fold."""
    return [
        {part: np.mean([fold[part] for fold in folds], axis=0) for part in folds[0]}
        for folds in zip(*seeds, strict=True)
    ]


def _genre(seeds: Sequence[GenreMetrics], own: GenreIntervals) -> GenreScores:
    """Mean precision, recall and F1 of a genre over the seeds, with intervals by artist."""
    spans: dict[str, Interval | None] = {
        "precision": own.precision, "recall": own.recall, "f1": own.f1
    }  # fmt: skip
    return GenreScores(
        **{key: float(np.mean([getattr(m, key) for m in seeds])) for key in spans},
        support=seeds[0].support,
        artists=own.artists,
        intervals={key: (span.low, span.high) if span else None for key, span in spans.items()},
    )


def _comparisons(
    terms: Mapping[str, Mapping[str, Term]], pool: Pool, split: Split
) -> list[Comparison]:
    """Every pair of models on a part, the better first: the difference, and tests of it."""
    correct = {name: by_part[pool.part].correct for name, by_part in terms.items()}
    return [
        Comparison.of(
            pair,
            part=pool.part,
            corrected_t=_corrected_t(correct[pair.a], correct[pair.b], pool, split),
        )
        for pair in paired.evaluate(correct, pool.clusters)
    ]


def _corrected_t(
    a: NDArray[np.bool_], b: NDArray[np.bool_], pool: Pool, split: Split
) -> CorrectedT | None:
    """The test over folds that were drawn repeatedly; None where they were drawn once.

    Seeds are averaged within a fold: they are no folds of their own.
    """
    if split.repeats == 1:
        return None
    by_row = a.mean(axis=0) - b.mean(axis=0)  # (row,)
    sizes = np.bincount(pool.folds)
    differences = np.bincount(pool.folds, by_row) / sizes
    try:
        found = paired.corrected_t(
            differences,
            n_train=float(np.mean([len(fold.train) for fold in split.folds])),
            n_test=float(sizes.mean()),
        )
    except DataError:  # the same difference in every fold: nothing to measure it by
        return None
    return CorrectedT(**vars(found), folds=len(split.folds), repeats=split.repeats)


def _gap_comparisons(terms: Mapping[str, Mapping[str, Term]]) -> list[GapComparison]:
    gaps = {name: (own["train"], own["valid"].minus()) for name, own in terms.items()}
    return [
        GapComparison(
            a=a, b=b, difference=interval([*gaps[a], *(term.minus() for term in gaps[b])])
        )
        for a, b in itertools.combinations(gaps, 2)
    ]
