"""Finished runs -> the record of a study (``results.json``: ``docs/reference/results.md``)."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from ostinato.evaluation.intervals import MetricIntervals
from ostinato.evaluation.metrics import Metrics, evaluate
from ostinato.evaluation.significance import Clusters, Term, bootstrap, wilson
from ostinato.models import family
from ostinato.study.config import StudyConfig
from ostinato.study.results.always_wrong import missed
from ostinato.study.results.confidence import confidence
from ostinato.study.results.pool import Pool, Records, Verdicts
from ostinato.study.training_run import Probabilities

SCHEMA = 1


def collect(
    config: StudyConfig, corpus: Corpus, split: Split, records: Records, verdicts: Verdicts
) -> dict[str, Any]:
    """All figures of a study, as plain values.

    Parameters
    ----------
    config : StudyConfig
    corpus : Corpus
    split : Split
    records : by model, seed and fold
        What each run's ``run.json`` holds.
    verdicts : by model, seed and fold
        Probabilities of each part.
    """
    parts = [p for p in PARTS if split.folds[0].part(p) and (p != "test" or config.test)]
    pools = {part: Pool(corpus, split, part) for part in parts}
    judged = [part for part in parts if part != "train"]
    terms = {
        name: {part: pools[part].term(name, verdicts[name]) for part in parts}
        for name in config.models
    }
    return {
        "schema": SCHEMA,
        "ostinato": __version__,
        "title": _title(config, split),
        "config": config.to_dict(),
        "data": _data(corpus),
        "split": _split(corpus, split, pools, judged),
        "fairness": _fairness(config, records),
        "models": {
            name: _model(name, config, corpus, pools, records[name], verdicts[name], terms[name])
            | _artist_free(corpus, split, pools, terms[name])
            for name in config.models
        },
        "missed": {"part": judged[-1], **missed(corpus, pools[judged[-1]], verdicts)},
        "comparisons": _comparisons(terms, pools[judged[-1]], split),
        "gap_comparisons": _gap_comparisons(terms),
    }


def _title(config: StudyConfig, split: Split) -> str:
    title = config.title or f"{', '.join(family(m).label for m in config.models)} compared"
    return f"{title}: a leaking split" if split.leaks else title


def predictions_csv(corpus: Corpus, split: Split, verdicts: Verdicts) -> str:
    """One row a recording, part (valid, test), model, seed and fold."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["recording", "artist", "part", "genre", "model", "seed", "fold"]
    writer.writerow([*columns, *corpus.genres])
    for name, seeds in verdicts.items():
        for seed, folds in enumerate(seeds):
            for k, (fold, probabilities) in enumerate(zip(split.folds, folds, strict=True)):
                for part in ("valid", "test"):
                    if part not in probabilities:
                        continue
                    where = corpus.positions(fold.part(part))
                    for i, row in zip(where, probabilities[part], strict=True):
                        r = corpus.recordings[i]
                        facts = [r.id, r.artist or "", part, r.genre, name, seed, k]
                        writer.writerow([*facts, *(f"{p:.6g}" for p in row)])
    return text.getvalue()


def _data(corpus: Corpus) -> dict[str, Any]:
    return {
        "name": corpus.name,
        "source": corpus.source,
        "genres": list(corpus.genres),
        "n_recordings": len(corpus),
        "spec": corpus.spec.to_dict(),
        "frames": corpus.spec.describe(),
        "skipped": [{"id": s.id, "reason": s.reason} for s in corpus.skipped],
        "left_out": dict(corpus.left_out),
        "notes": list(corpus.notes),
        "artists_known": any(artist is not None for artist in corpus.artists),
    }


def _split(
    corpus: Corpus, split: Split, pools: Mapping[str, Pool], judged: Sequence[str]
) -> dict[str, Any]:
    # Only the parts that were examined: an untouched test part is not described either.
    majority = {part: float(np.bincount(pools[part].labels).max()) for part in judged}
    return {
        "name": split.name,
        "leaks": split.leaks,
        "repeats": split.repeats,
        "notes": list(split.notes),
        "folds": [
            {
                "parts": {part: _census(corpus, fold, part) for part in pools},
                "shared_artists": {
                    part: n for part, n in shared_artists(corpus, fold).items() if part in pools
                },
                "shared_recordings": {
                    part: n for part, n in shared_recordings(corpus, fold).items() if part in pools
                },
            }
            for fold in split.folds
        ],
        "majority": {part: n / len(pools[part].labels) for part, n in majority.items()},
    }


def _census(corpus: Corpus, fold: Fold, part: str) -> dict[str, Any]:
    members = [corpus.recordings[i] for i in corpus.positions(fold.part(part))]
    artists = {(r.genre, r.artist) for r in members if r.artist is not None}
    return {
        "n": len(members),
        "per_genre": dict(sorted(Counter(r.genre for r in members).items())),
        "artists_per_genre": dict(sorted(Counter(genre for genre, _ in artists).items())),
        "unknown_artists": sum(r.artist is None for r in members),
    }


def _fairness(config: StudyConfig, records: Records) -> dict[str, Any]:
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
            "the baseline is solved for: it hears all windows of the training part once and "
            "unaugmented, so its seeds are alike, and its learning curve is one point"
        )
    return {
        "parameters": {name: records[name][0][0]["parameters"] for name in config.models},
        "same": same,
        "differ": differ,
    }


def _model(
    name: str,
    config: StudyConfig,
    corpus: Corpus,
    pools: Mapping[str, Pool],
    records: Sequence[Sequence[dict[str, Any]]],
    verdicts: Sequence[Sequence[Probabilities]],
    terms: Mapping[str, Term],
) -> dict[str, Any]:
    runs = [run for folds in records for run in folds]
    judged = [part for part in pools if part != "train"]
    metrics = {
        part: [evaluate(pool.labels, pool.probabilities(f), corpus.genres) for f in verdicts]
        for part, pool in pools.items()
    }
    result: dict[str, Any] = {
        "label": family(name).label,
        "settings": config.to_dict()["settings"][name],
        "parameters": runs[0]["parameters"],
        "seconds": float(np.mean([run["seconds"] for run in runs])),
    }
    spans = {
        part: intervals.evaluate(
            pools[part].labels, pools[part].said(verdicts), pools[part].clusters, corpus.genres
        )
        for part in judged
    }
    for part in pools:
        accuracies = [m.accuracy for m in metrics[part]]
        result[f"{part}_accuracy"] = _accuracy(terms[part], pools[part]) | {"seeds": accuracies}
        macro = spans[part].macro_f1.to_dict() if part in spans else {}
        result[f"{part}_macro_f1"] = macro | _over_seeds([m.macro_f1 for m in metrics[part]])
    gaps = [
        t.accuracy - v.accuracy for t, v in zip(metrics["train"], metrics["valid"], strict=True)
    ]
    gap = bootstrap([terms["train"], terms["valid"].minus()])
    last = [float(np.mean([run["last_epoch"]["gap"] for run in folds])) for folds in records]
    result |= {
        "gap": gap.to_dict() | {"seeds": gaps},
        "gap_last_epoch": _over_seeds(last),
        "ensemble": {part: _ensemble(pools[part], verdicts) for part in judged},
        "per_genre": {part: _per_genre(metrics[part], spans[part]) for part in judged},
        "confusion": {
            part: np.mean([m.confusion for m in metrics[part]], axis=0).tolist() for part in judged
        },
        "confidence": confidence(pools["valid"], pools[judged[-1]], verdicts),
        "ensemble_confidence": confidence(
            pools["valid"], pools[judged[-1]], [_mean_of_seeds(verdicts)]
        ),
    }
    gradients = _gradient_norms([run["curves"] for run in runs])
    if gradients:
        result["gradient_norms"] = gradients
    dropped = ("ostinato", "family", "parameters")
    result["runs"] = [{k: v for k, v in run.items() if k not in dropped} for run in runs]
    return result


def _gradient_norms(curves: Sequence[Mapping[str, list[float]]]) -> list[dict[str, Any]]:
    """Of every recurrent layer, in the first epoch and in all: mean over runs, and their range."""
    found = []
    for name in (name for name in curves[0] if name.startswith("gradient_")):
        norms = np.array([run[name] for run in curves])  # (run, epoch)
        times = {"first_epoch": norms[:, 0], "all_epochs": norms.mean(axis=1)}
        found.append(
            {
                when: {"mean": float(n.mean()), "low": float(n.min()), "high": float(n.max())}
                for when, n in times.items()
            }
        )
    return found


def _artist_free(
    corpus: Corpus, split: Split, pools: Mapping[str, Pool], terms: Mapping[str, Term]
) -> dict[str, Any]:
    """Accuracy on the test recordings by no known artist of train or valid, where others are."""
    if "test" not in pools:
        return {}
    pool, correct = pools["test"], terms["test"].correct
    free = np.concatenate(
        [np.isin(fold.test, artist_free(corpus, fold)) for fold in split.folds]
    )  # (n_recordings,)
    if free.all() or not free.any():
        return {}
    artists = [corpus.recordings[i].artist for i in pool.positions[free]]
    clusters = Clusters.by_artist(pool.labels[free], artists)
    interval = bootstrap([Term(correct[:, free], clusters, terms["test"].model)])
    seeds = correct[:, free].mean(axis=1).tolist()
    figures = {"n": int(free.sum())} | interval.to_dict() | {"seeds": seeds}
    return {"test_accuracy_artist_free": figures}


def _over_seeds(values: list[float]) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "seeds": values}


def _ensemble(pool: Pool, seeds: Sequence[Sequence[Probabilities]]) -> dict[str, float]:
    """Verdicts by the mean of the seeds' probabilities: another system than any one seed."""
    mean = pool.probabilities(_mean_of_seeds(seeds))
    term = Term((mean.argmax(axis=1) == pool.labels)[None], pool.clusters, "ensemble")
    interval = bootstrap([term])
    return {"accuracy": interval.mean, "low": interval.low, "high": interval.high}


def _mean_of_seeds(seeds: Sequence[Sequence[Probabilities]]) -> list[Probabilities]:
    """Of every fold, each part's probabilities: mean over the seeds."""
    return [
        {part: np.mean([fold[part] for fold in folds], axis=0) for part in folds[0]}
        for folds in zip(*seeds, strict=True)
    ]


def _accuracy(term: Term, pool: Pool) -> dict[str, Any]:
    """With its interval by artist, and beside it the one that takes tracks for independent."""
    found = bootstrap([term])
    beside = wilson(found.mean, np.unique(pool.positions).size)
    return found.to_dict() | {"wilson": {"low": beside.low, "high": beside.high}}


def _per_genre(metrics: Sequence[Metrics], spans: MetricIntervals) -> dict[str, Any]:
    """Mean precision, recall and F1 of every genre over the seeds, with intervals by artist."""
    found: dict[str, Any] = {}
    for genre, facts in metrics[0].per_genre.items():
        own = spans.per_genre[genre]
        scores = {"precision": own.precision, "recall": own.recall, "f1": own.f1}
        found[genre] = (
            {key: float(np.mean([getattr(m.per_genre[genre], key) for m in metrics]))
             for key in scores}
            | {"support": facts.support, "artists": own.artists}
            | {"intervals": {key: [span.low, span.high] for key, span in scores.items()}}
        )  # fmt: skip
    return found


def _comparisons(
    terms: Mapping[str, Mapping[str, Term]], pool: Pool, split: Split
) -> list[dict[str, Any]]:
    """Every pair of models on a part, the better first: the difference, and tests of it."""
    correct = {name: by_part[pool.part].correct for name, by_part in terms.items()}
    return [
        {
            "part": pool.part,
            "a": pair.a,
            "b": pair.b,
            "difference": pair.difference.to_dict(),
            "p": pair.sign_flip.p,
            "p_holm": pair.p_holm,
            "mcnemar": asdict(pair.mcnemar) if pair.mcnemar else None,
            "corrected_t": _corrected_t(correct[pair.a], correct[pair.b], pool, split),
        }
        for pair in paired.evaluate(correct, pool.clusters)
    ]


def _corrected_t(
    a: NDArray[np.bool_], b: NDArray[np.bool_], pool: Pool, split: Split
) -> dict[str, Any] | None:
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
    return asdict(found) | {"folds": len(split.folds), "repeats": split.repeats}


def _gap_comparisons(terms: Mapping[str, Mapping[str, Term]]) -> list[dict[str, Any]]:
    return [
        {
            "a": a,
            "b": b,
            "difference": bootstrap(
                [
                    terms[a]["train"],
                    terms[a]["valid"].minus(),
                    terms[b]["train"].minus(),
                    terms[b]["valid"],
                ]
            ).to_dict(),
        }
        for a, b in itertools.combinations(terms, 2)
    ]
