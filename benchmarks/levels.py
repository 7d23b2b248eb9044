"""How often the intervals hold and the tests err, on GTZAN's artists and accuracies as they are.

Run from the root of the repository, after a study of GTZAN (``make study``)::

    python benchmarks/levels.py
    python benchmarks/levels.py --deviation 1.5 --seed-deviation 0.2

The tracks of the fault-filtered split keep their genres and artists, and verdicts are drawn: those
of a genre spread as one model of the study spread them (its confusion matrix, so that accuracies by
genre go from next to none to nearly all). Every model has luck of its own with every artist and
track (normal random effects on the logits of the verdicts), and with every seed; all models are
equally good, so a test that calls two different at 5 % errs. The truth that an interval should hold
is the mean over all artists, tracks and seeds that there could have been.

Genres are put together by their number of artists. The last line has the time for many recordings
of unknown artists.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets import Corpus, gtzan
from ostinato.evaluation import intervals
from ostinato.evaluation.metrics import precision_recall_f1
from ostinato.evaluation.paired import mcnemar, sign_flip
from ostinato.evaluation.significance import Clusters, Interval, Term, interval, wilson
from ostinato.study.results import read_results

SPLIT = "fault-filtered"
SEED_COUNTS = (1, 3)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One part of the split: its genres and artists, and the logits of a verdict by true genre."""

    labels: NDArray[np.int64]
    clusters: Clusters
    logits: Floats  # (true, verdict)

    @classmethod
    def of(cls, corpus: Corpus, name: str, confusion: Floats) -> Part:
        """The published part of this name, its verdicts spread as in a confusion matrix."""
        at = corpus.positions(set(corpus.ids) & set(gtzan.published_split(SPLIT)[name]))
        labels = corpus.labels[at]
        rows = confusion + 0.1  # no verdict is impossible
        logits = np.log(rows / rows.sum(axis=1, keepdims=True))
        return cls(labels, Clusters.by_artist(labels, [corpus.artists[i] for i in at]), logits)

    @property
    def artists(self) -> NDArray[np.int64]:
        """Artists of each genre."""
        return np.bincount(self.clusters.strata, minlength=len(self.logits))


@dataclass(frozen=True)
class Luck:
    """Standard deviations of what artists, tracks and seeds add to the logits of a verdict."""

    artist: float
    track: float
    seed: float

    def verdicts(self, part: Part, n_seeds: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Verdicts of a new model [shape=(n_seeds, n_recordings)]."""
        g, n = len(part.logits), part.labels.size
        of_artists = self.artist * random.normal(size=(part.clusters.strata.size, g))
        of_tracks = self.track * random.normal(size=(n, g))
        of_seeds = self.seed * random.normal(size=(n_seeds, 1, g))
        fixed = part.logits[part.labels] + of_artists[part.clusters.of] + of_tracks
        logits = fixed + of_seeds
        return np.asarray((logits + random.gumbel(size=logits.shape)).argmax(axis=-1))

    def truth(self, part: Part, random: np.random.Generator) -> Floats:
        """Expected confusion matrix of the part, over all luck."""
        deviation = float(np.sqrt(self.artist**2 + self.track**2 + self.seed**2))
        logits = part.logits + deviation * random.normal(size=(20_000, *part.logits.shape))
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        true = np.bincount(part.labels, minlength=len(part.logits))
        return np.asarray(shares.mean(axis=0) * true[:, None])


def held(found: Interval, true: float) -> bool:
    return found.low <= true <= found.high


def of_part(
    part: Part, verdicts: NDArray[np.int64], other: NDArray[np.int64], truth: Floats
) -> Iterator[tuple[str, bool]]:
    """Which intervals of one model hold, and which tests of two equal models err."""
    accuracy = float(np.trace(truth) / truth.sum())
    a, b = verdicts == part.labels, other == part.labels
    yield "accuracy, by artist", held(interval([Term(a, part.clusters, "a")]), accuracy)
    yield "accuracy, Wilson by track", held(wilson(float(a.mean()), part.labels.size), accuracy)
    terms = [Term(a, part.clusters, "a"), Term(b, part.clusters, "b", -1)]
    yield "difference, by artist", held(interval(terms), 0.0)
    genres = tuple(map(str, range(len(part.logits))))
    found = intervals.evaluate(part.labels, verdicts, part.clusters, genres)
    scores = dict(zip(("precision", "recall", "f1"), precision_recall_f1(truth), strict=True))
    for name, by_genre in scores.items():
        yield f"macro {name}", held(getattr(found, f"macro_{name}"), float(by_genre.mean()))
        for genre in np.argsort(part.artists):
            n = part.artists[genre]
            if own := getattr(found.per_genre[str(genre)], name):
                yield f"{name}, {_group(n)}", held(own, float(by_genre[genre]))
    yield "(errs) sign-flip test, by artist", sign_flip(a, b, part.clusters).p <= 0.05
    yield "(errs) McNemar's test, by track, of one seed", mcnemar(a[0], b[0]).p <= 0.05


def _group(artists: int) -> str:
    for low, high in ((2, 2), (3, 5), (6, 10)):
        if artists <= high:
            return f"genres of {high} artists" if low == high else f"genres of {low}-{high} artists"
    return "genres of 11 artists or more"


def simulate(parts: dict[str, Part], luck: Luck, *, n_seeds: int, n: int) -> dict[str, float]:
    """Share of simulations in which each interval held, or each test erred, by part and kind."""
    random = np.random.default_rng(0)
    truths = {name: luck.truth(part, random) for name, part in parts.items()}
    gap = float(np.subtract(*(np.trace(truths[p]) / truths[p].sum() for p in ("train", "valid"))))
    found = defaultdict(list)
    for _ in range(n):
        said = {name: luck.verdicts(part, n_seeds, random) for name, part in parts.items()}
        for name in ("test", "valid"):
            other = luck.verdicts(parts[name], n_seeds, random)
            for what, true in of_part(parts[name], said[name], other, truths[name]):
                found[f"{name}: {what}"].append(true)
        train, valid = (
            Term(said[p] == parts[p].labels, parts[p].clusters, "a") for p in ("train", "valid")
        )
        found["valid: gap, by artist"].append(held(interval([train, valid.minus()]), gap))
    return {what: float(np.mean(values)) for what, values in found.items()}


def seconds_for(n: int) -> float:
    """Seconds for all metrics of ``n`` recordings of unknown artists, three seeds."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, n)
    verdicts = np.where(random.random((3, n)) < 0.55, labels, random.integers(0, 10, (3, n)))
    clusters = Clusters.by_artist(labels, [None] * n)
    start = time.perf_counter()
    intervals.evaluate(labels, verdicts, clusters, tuple(map(str, range(10))))
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--study", type=Path, default=Path("runs/gtzan"), help="its folder")
    parser.add_argument("--model", default="lstm", help="whose verdicts are imitated")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--deviation", type=float, default=1.0, help="of artists, in logits")
    parser.add_argument("--track-deviation", type=float, default=1.0, help="of tracks, in logits")
    parser.add_argument("--seed-deviation", type=float, default=0.1, help="of seeds, in logits")
    args = parser.parse_args()
    results = read_results(args.study)
    corpus = gtzan.load_gtzan()
    model = results.models[args.model]
    of_train = np.sum([run.parts["train"].confusion for run in model.runs], axis=0)
    confusions = {"train": of_train, **{p: np.array(m) for p, m in model.confusion.items()}}
    parts = {name: Part.of(corpus, name, own) for name, own in confusions.items()}
    luck = Luck(args.deviation, args.track_deviation, args.seed_deviation)
    for name, part in parts.items():
        recall = np.exp(part.logits.diagonal())
        print(f"{name}: {part.labels.size} tracks, artists by genre {part.artists.tolist()},")
        print(f"  accuracy by genre {recall.min():.2f} to {recall.max():.2f}")
    tables = [simulate(parts, luck, n_seeds=k, n=args.simulations) for k in SEED_COUNTS]
    print(f"{'in % of simulations, held or (errs)':<58}{'one seed':>10}{'three':>8}")
    for what in tables[0]:
        one, three = (100 * table[what] for table in tables)
        print(f"{what:<58}{one:>10.1f}{three:>8.1f}")
    print(f"15,000 recordings of unknown artists, all metrics: {seconds_for(15_000):.2f} s")


if __name__ == "__main__":
    main()
