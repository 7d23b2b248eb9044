"""A results.json that a study could have left, made up: plausible figures, true arithmetic.

Verdicts are drawn; accuracies, intervals, confusion matrices and the rest are computed from them,
so that the parts of the dictionary agree with one another. It is plain JSON: a test changes it and
then reads it with :func:`typed`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.evaluation import intervals, paired
from ostinato.evaluation.metrics import evaluate
from ostinato.evaluation.significance import Clusters, Term, interval, wilson
from ostinato.study.results import StudyResults, parse_results, plain
from ostinato.study.results.confidence import confidence
from ostinato.study.results.schema import Comparison

GTZAN = ("blues", "classical", "country", "disco", "hiphop",
         "jazz", "metal", "pop", "reggae", "rock")  # fmt: skip
#: name, label, parameters, accuracy on (train, valid, test) that verdicts are drawn with
MODELS = (
    ("lstm", "LSTM", 104_330, (0.97, 0.53, 0.50)),
    ("residual-lstm", "ResLSTM", 104_330, (0.98, 0.57, 0.53)),
    ("conv-lstm", "ConvLSTM", 108_714, (0.86, 0.55, 0.51)),
    ("crnn", "CRNN", 249_002, (0.95, 0.58, 0.54)),
    ("cnn", "CNN", 105_120, (0.93, 0.59, 0.55)),
)


def fake_results(
    *,
    n_models: int = 3,
    n_seeds: int = 3,
    genres: Sequence[str] = GTZAN,
    test: bool = True,
    n_folds: int = 1,
    artists_known: bool = True,
    n_per_genre: int = 29,
    n_epochs: int = 40,
    title: str = "GTZAN, fault-filtered",
    seed: int = 0,
) -> dict[str, Any]:
    """Make up a study; each argument turns one thing that a report must cope with."""
    random = np.random.default_rng(seed)
    sizes = {"train": 1.5, "valid": 0.7, "test": 1.0}
    parts = [part for part in sizes if part != "test" or test]
    collections = {
        part: _Part(genres, max(1, round(share * n_per_genre)), n_folds, artists_known, random)
        for part, share in sizes.items()
    }
    chosen = MODELS[:n_models]
    verdicts = {
        name: {
            part: _verdicts(collections[part], aims[list(sizes).index(part)],
                            n_folds, n_seeds, random)
            for part in parts
        }
        for name, _, _, aims in chosen
    }  # fmt: skip
    judged = "test" if test else "valid"
    return {
        "schema": 1,
        "ostinato": "0.1.0",
        "title": title,
        "config": _config(chosen, n_seeds=n_seeds, test=test, title=title),
        "data": {
            "name": "gtzan",
            "source": "frames shipped with the package",
            "genres": list(genres),
            "n_recordings": sum(len(c.labels) for c in collections.values()),
            "spec": {"kind": "mfcc", "sample_rate": 22050, "n_fft": 2048, "hop": 1708},
            "frames": "32 MFCC from 128 mel bands, every 77.5 ms",
            "skipped": [
                {"id": "jazz.00054", "reason": "jazz.00054.wav: not a sound file (corrupt)."}
            ],
            "left_out": {},
            "notes": [],
            "artists_known": artists_known,
        },
        "split": _split(collections, n_folds=n_folds, test=test, artists_known=artists_known),
        "fairness": {
            "parameters": {name: n for name, _, n, _ in chosen},
            "same": [
                "the same recordings, windows and frames",
                "optimiser, schedule, augmentation and number of epochs",
                "depth, width, LayerNorm and direction of LSTM and ResLSTM",
            ],
            "differ": [
                "ResLSTM has a shortcut around every layer, LSTM has none",
                "ConvLSTM sees patches of frames x coefficients",
            ],
        },
        "models": {
            name: _model(label, parameters, collections, verdicts[name], n_epochs, random)
            for name, label, parameters, _ in chosen
        },
        "comparisons": _pairs(collections[judged], verdicts, judged),
        "gap_comparisons": _gap_pairs(collections, verdicts),
        "missed": missed(genres, judged),
    }


def typed(values: dict[str, Any]) -> StudyResults:
    """The same results, read as a study's file is."""
    return parse_results(json.dumps(values))


class _Part:
    """Recordings of one part: genre and artist of each."""

    def __init__(
        self, genres: Sequence[str], n: int, n_folds: int, known: bool, random: np.random.Generator
    ) -> None:
        self.genres = tuple(genres)
        self.labels = np.repeat(np.arange(len(genres)), n)
        few = [max(1, min(n, round(n * share))) for share in random.uniform(0.1, 0.7, len(genres))]
        self.artists: list[str | None] = [
            f"{genres[g]} artist {random.integers(few[g])}" if known else None
            for g in self.labels.tolist()
        ]
        # The fake folds hold the same recordings: a shortcut that leaves all counts plausible.
        self.clusters = {
            k: Clusters.by_artist(np.tile(self.labels, k), self.artists * k) for k in (1, n_folds)
        }
        # Some genres are harder than others, and are taken for their neighbours.
        self.ease = np.random.default_rng(5).uniform(-0.35, 0.35, len(genres))


def _verdicts(
    part: _Part, aim: float, n_folds: int, n_seeds: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Verdicts [shape=(n_seeds, n_folds, n_recordings)] that are right about as often as aimed."""
    n = len(part.genres)
    reach = 4 * aim * (1 - aim)  # nobody errs where the training part is known by heart
    chance = np.clip(aim + reach * part.ease, 0.02, 0.995)[part.labels]
    chance = np.clip(chance + 0.15 * reach * random.standard_normal(len(chance)), 0, 1)
    shape = (n_seeds, n_folds, len(part.labels))
    wrong = (part.labels + random.choice([1, 1, 1, 2, 3, n - 1], shape)) % n
    right = random.random(shape) < chance
    return np.where(right, part.labels, wrong).astype(np.int64)


def _term(part: _Part, verdicts: NDArray[np.int64], model: str) -> Term:
    n_seeds, n_folds, _ = verdicts.shape
    right = (verdicts == part.labels).reshape(n_seeds, -1)  # (seed, fold and recording)
    return Term(right, part.clusters[n_folds], model)


def _model(
    label: str,
    parameters: int,
    collections: dict[str, _Part],
    verdicts: dict[str, NDArray[np.int64]],
    n_epochs: int,
    random: np.random.Generator,
) -> dict[str, Any]:
    n_seeds, n_folds, _ = verdicts["train"].shape
    runs = [
        _run(s, k, collections, {p: v[s, k] for p, v in verdicts.items()}, n_epochs, random)
        for s in range(n_seeds)
        for k in range(n_folds)
    ]
    model: dict[str, Any] = {
        "label": label,
        "settings": {"layers": 3, "width": 64},
        "parameters": parameters,
        "seconds": float(np.mean([run["seconds"] for run in runs])),
        "ensemble": {},
        "per_genre": {},
        "confusion": {},
        "runs": runs,
    }
    for part, collection in collections.items():
        if part not in verdicts:
            continue
        by_seed = _per_seed(runs, part, "accuracy", n_seeds)
        term = _term(collection, verdicts[part], label)
        span = interval([term]).to_dict()
        beside = wilson(min(1.0, span["mean"]), len(collection.labels))
        beside = {"low": beside.low, "high": beside.high}
        model[f"{part}_accuracy"] = span | {"wilson": beside, "seeds": by_seed}
        f1 = _per_seed(runs, part, "macro_f1", n_seeds)
        model[f"{part}_macro_f1"] = {"mean": float(np.mean(f1)), "seeds": f1}
        if part == "train":
            continue
        model["ensemble"][part] = {
            key: span[old] + 0.02
            for key, old in [("accuracy", "mean"), ("low", "low"), ("high", "high")]
        }
        model["confusion"][part] = (
            np.sum([run["parts"][part]["confusion"] for run in runs], axis=0) / n_seeds
        ).tolist()
        model["per_genre"][part] = {
            genre: {
                key: float(np.mean([r["parts"][part]["per_genre"][genre][key] for r in runs]))
                for key in ("precision", "recall", "f1")
            }
            | {"support": n_folds * runs[0]["parts"][part]["per_genre"][genre]["support"]}
            | {"artists": 7, "intervals": _intervals(verdicts[part], collection, genre)}
            for genre in collection.genres
        }
    judged = "test" if "test" in verdicts else "valid"
    model["confidence"] = _confidence(collections, verdicts, judged)
    model["ensemble_confidence"] = model["confidence"]
    train, valid = (np.array(model[f"{part}_accuracy"]["seeds"]) for part in ("train", "valid"))
    gaps = (train - valid).tolist()
    terms = [_term(collections[part], verdicts[part], label) for part in ("train", "valid")]
    model["gap"] = _sum(terms[0], terms[1].minus()) | {"seeds": gaps}
    last = [run["last_epoch"]["gap"] for run in runs]
    model["gap_last_epoch"] = {"mean": float(np.mean(last)), "seeds": last[:n_seeds]}
    return model


def _intervals(
    verdicts: NDArray[np.int64], collection: _Part, genre: str
) -> dict[str, list[float]]:
    n_seeds, n_folds, n = verdicts.shape
    spans = intervals.evaluate(
        np.tile(collection.labels, n_folds),
        verdicts.reshape(n_seeds, n_folds * n),
        collection.clusters[n_folds],
        collection.genres,
    ).per_genre[genre]
    scores = {"precision": spans.precision, "recall": spans.recall, "f1": spans.f1}
    return {key: span and [span.low, span.high] for key, span in scores.items()}


class _Pool:
    """As much of a study's pool of verdicts as calibration asks for."""

    def __init__(self, part: str, collection: _Part, n_folds: int) -> None:
        n = len(collection.labels)
        self.part = part
        self.labels = np.tile(collection.labels, n_folds)
        self.positions = np.arange(n * n_folds)
        self.folds = np.repeat(np.arange(n_folds), n)

    def probabilities(self, folds: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
        return np.concatenate([fold[self.part] for fold in folds])


def _confidence(
    collections: dict[str, _Part], verdicts: dict[str, NDArray[np.int64]], judged: str
) -> dict[str, Any] | None:
    n_seeds, n_folds, _ = verdicts["valid"].shape
    n_genres = len(collections["valid"].genres)
    stated = 0.3 / n_genres + 0.7 * np.eye(n_genres)
    seeds = [
        [{part: stated[verdicts[part][s, k]] for part in ("valid", judged)} for k in range(n_folds)]
        for s in range(n_seeds)
    ]
    pools = {part: _Pool(part, collections[part], n_folds) for part in {"valid", judged}}
    return plain(confidence(pools["valid"], pools[judged], seeds))  # type: ignore[arg-type]


def missed(genres: Sequence[str], part: str) -> dict[str, Any]:
    """Two recordings that nobody got right: one that is known, one that is not."""
    entry = {"genre": genres[0], "said": genres[1], "share": 1.0, "faults": []}
    return {
        "part": part,
        "n": 290,
        "trainings": 9,
        "recordings": [
            entry | {"id": f"{genres[0]}.00001", "artist": "Billie Holiday", "title": "All of Me",
                     "probability": 0.81},
            entry | {"id": f"{genres[0]}.00002", "artist": None, "title": None,
                     "probability": 0.4},
        ],
    }  # fmt: skip


def _per_seed(runs: list[dict[str, Any]], part: str, key: str, n_seeds: int) -> list[float]:
    return [
        float(np.mean([run["parts"][part][key] for run in runs if run["seed"] == s]))
        for s in range(n_seeds)
    ]


def _run(
    seed: int,
    fold: int,
    collections: dict[str, _Part],
    verdicts: dict[str, NDArray[np.int64]],
    n_epochs: int,
    random: np.random.Generator,
) -> dict[str, Any]:
    parts = {}
    for part, said in verdicts.items():
        collection = collections[part]
        n = len(collection.genres)
        probabilities = np.full((len(said), n), 0.3 / n) + 0.7 * np.eye(n)[said]
        parts[part] = evaluate(collection.labels, probabilities, collection.genres).to_dict()
    curves = _curves(parts["train"]["accuracy"], parts["valid"]["accuracy"], n_epochs, random)
    last = (curves["train_accuracy"][-1], curves["valid_accuracy"][-1])
    return {
        "recipe": "56b3a8a78724f2f4",
        "seed": seed,
        "fold": fold,
        "seconds": float(random.uniform(35, 50)),
        "epochs": len(curves["epoch"]),
        "finished": f"2025-03-04T10:{seed:02d}:{fold:02d}+00:00",
        "curves": curves,
        "parts": parts,
        "gap": parts["train"]["accuracy"] - parts["valid"]["accuracy"],
        "last_epoch": {
            "train_accuracy": last[0], "valid_accuracy": last[1], "gap": last[0] - last[1],
        },
    }  # fmt: skip


def _curves(
    train: float, valid: float, n_epochs: int, random: np.random.Generator
) -> dict[str, list[float]]:
    n_epochs -= int(random.integers(0, max(1, n_epochs // 8)))  # stopped early, at various epochs
    epoch = np.arange(1, n_epochs + 1)
    grown = 1 - np.exp(-epoch / (n_epochs / 4))
    noise = random.normal(0, 0.012, (4, n_epochs))
    valid_loss = 2.3 - (2.3 - 1.45) * grown + 0.5 * (epoch / n_epochs) ** 2 + 3 * noise[1]
    return {
        "epoch": epoch.tolist(),
        "train_loss": (2.3 - (2.3 - 2.2 * (1.02 - train)) * grown + noise[0]).clip(0.01).tolist(),
        "valid_loss": valid_loss.tolist(),
        "train_accuracy": (0.1 + (train - 0.1) * grown + noise[2]).clip(0, 1).tolist(),
        "valid_accuracy": (0.1 + (valid - 0.1) * grown + 2 * noise[3]).clip(0, 1).tolist(),
        "objective": (2.3 - 1.2 * grown + 2 * noise[0]).tolist(),
    }


def _pairs(
    part: _Part, verdicts: dict[str, dict[str, NDArray[np.int64]]], judged: str
) -> list[dict[str, Any]]:
    terms = {name: _term(part, by_part[judged], name) for name, by_part in verdicts.items()}
    clusters = next(iter(terms.values())).clusters
    return pairs({name: term.correct for name, term in terms.items()}, clusters, judged)


def pairs(
    correct: dict[str, NDArray[np.bool_]], clusters: Clusters, judged: str
) -> list[dict[str, Any]]:
    """The comparisons of models by which of their verdicts [shape=(n_seeds, n)] were right."""
    return [
        plain(Comparison.of(pair, part=judged, corrected_t=None))
        for pair in paired.evaluate(correct, clusters)
    ]


def _gap_pairs(
    collections: dict[str, _Part], verdicts: dict[str, dict[str, NDArray[np.int64]]]
) -> list[dict[str, Any]]:
    gaps = {
        name: (
            _term(collections["train"], by_part["train"], name),
            _term(collections["valid"], by_part["valid"], name).minus(),
        )
        for name, by_part in verdicts.items()
    }
    return [
        {"a": a, "b": b, "difference": _sum(*gaps[a], *(term.minus() for term in gaps[b]))}
        for a, b in itertools.combinations(gaps, 2)
    ]


def _sum(*terms: Term) -> dict[str, float]:
    return interval(terms).to_dict()


def _split(
    collections: dict[str, _Part], *, n_folds: int, test: bool, artists_known: bool
) -> dict[str, Any]:
    fold: dict[str, Any] = {"parts": {}}
    for part, collection in collections.items():
        labels = collection.labels
        artists: dict[str, set[str]] = {genre: set() for genre in collection.genres}
        for g, artist in zip(labels.tolist(), collection.artists, strict=True):
            if artist is not None:
                artists[collection.genres[g]].add(artist)
        fold["parts"][part] = {
            "n": len(labels),
            "per_genre": {
                genre: int((labels == g).sum()) for g, genre in enumerate(collection.genres)
            },
            "artists_per_genre": {genre: len(names) for genre, names in artists.items()},
            "unknown_artists": 0 if artists_known else len(labels),
        }
    fold["shared_artists"] = {
        part: n if artists_known else 0
        for part, n in (("valid", 31), ("test", 27))
        if part in collections
    }
    fold["shared_recordings"] = dict.fromkeys(fold["shared_artists"], 0)
    majority = 1 / len(collections["valid"].genres)
    return {
        "name": "fault-filtered",
        "leaks": False,
        "repeats": 1,
        "notes": ["jazz.00054 cannot be read and is passed over."],
        "folds": [fold] * n_folds,
        "majority": {"valid": majority} | ({"test": majority} if test else {}),
    }


def _config(
    chosen: Sequence[tuple[Any, ...]], *, n_seeds: int, test: bool, title: str
) -> dict[str, Any]:
    return {
        "title": title,
        "data": "gtzan",
        "models": [name for name, *_ in chosen],
        "split": "fault-filtered",
        "split_seed": 0,
        "seeds": n_seeds,
        "test": test,
        "coefficients": 32,
        "training": {"epochs": 40, "batch": 64, "learning_rate": 0.002, "mixup": 0.3},
        "settings": {name: {"layers": 3, "width": 64} for name, *_ in chosen},
        "claim": {
            "model": "residual-lstm",
            "better_than": ["lstm", "conv-lstm"],
            "over_fits_least": True,
            "hardest_genres": ["disco", "reggae"],
        },
    }
