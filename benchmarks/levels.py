"""How often the intervals hold and the tests err, on the artists of GTZAN's published test part.

Run from the root of the repository::

    python benchmarks/levels.py
    python benchmarks/levels.py --seed-deviation 0.1

The 290 test tracks of the fault-filtered split keep their genres and artists; verdicts are drawn.
Every model has luck of its own with every artist (a normal random effect on the logit, deviation 1
unless told), every seed of it may have some with all tracks (deviation 0 unless told; 0.1 is about
two points), and all models are equally good, so a test that calls two different at 5 % errs. The
truth that intervals should hold is the mean over all artists and seeds that there could have been.
Beside it stands the same for 120 artists of five tracks, 12 a genre, to tell what the method lacks
from what artists so few and unequal lack. A last table has time and peak memory for many recordings
of unknown artists.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets import gtzan
from ostinato.evaluation import intervals
from ostinato.evaluation.paired import mcnemar, sign_flip
from ostinato.evaluation.significance import Clusters, Term, bootstrap, wilson

N_GENRES = 10


def gtzan_test() -> tuple[NDArray[np.int64], list[str | None]]:
    """Genres and artists of the published test part."""
    examined = set(gtzan.published_split("fault-filtered")["test"])
    tracks = [track for track in gtzan.tracks() if track.id in examined]
    genres = sorted({track.genre for track in tracks})
    labels = np.array([genres.index(track.genre) for track in tracks], dtype=np.int64)
    return labels, [track.artist or None for track in tracks]


def even() -> tuple[NDArray[np.int64], list[str | None]]:
    """120 artists of five tracks, twelve a genre."""
    artist = np.repeat(np.arange(120), 5)
    return artist // 12, [str(a) for a in artist]


def simulate(
    labels: NDArray[np.int64],
    artists: list[str | None],
    *,
    n: int,
    n_seeds: int,
    deviation: float,
    seed_deviation: float,
) -> dict[str, float]:
    """Share of simulations in which each interval held the truth, and each test erred."""
    random = np.random.default_rng(0)
    of = Clusters.by_artist(labels, artists)
    easy = np.linspace(-1.0, 1.5, N_GENRES)  # logit of each genre
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    spread = np.hypot(deviation, seed_deviation) * nodes
    by_genre = (logistic(easy[:, None] + spread) * weights).sum(axis=1) / weights.sum()
    truth = float(by_genre[labels].mean())

    def correct() -> NDArray[np.bool_]:  # of a new model, on these artists
        luck = easy[of.strata] + deviation * random.normal(size=of.strata.size)
        of_seeds = luck + seed_deviation * random.normal(size=(n_seeds, 1))  # (seed, cluster)
        return random.random((n_seeds, labels.size)) < logistic(of_seeds)[:, of.of]

    counts = dict.fromkeys(
        (
            "accuracy's interval holds",
            "Wilson's interval holds",
            "difference's interval holds",
            "sign-flip test errs",
            "McNemar's test, of one seed, errs",
        ),
        0,
    )
    for i in range(n):
        a, b = correct(), correct()
        interval = bootstrap([Term(a, of, "a")], n_draws=1000, seed=i)
        by_track = wilson(float(a.mean()), labels.size)
        gap = bootstrap([Term(a, of, "a"), Term(b, of, "b", -1)], n_draws=1000, seed=i)
        found = (
            interval.low <= truth <= interval.high,
            by_track.low <= truth <= by_track.high,
            gap.low <= 0 <= gap.high,
            sign_flip(a, b, of).p <= 0.05,
            mcnemar(a[0], b[0]).p <= 0.05,
        )
        for name, true in zip(counts, found, strict=True):
            counts[name] += true
    return {name: count / n for name, count in counts.items()}


def logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


def measure(n: int) -> list[str]:
    """Seconds and peak MB for ``n`` recordings of unknown artists, three seeds."""
    random = np.random.default_rng(0)
    labels = random.integers(0, N_GENRES, n)
    of = Clusters.by_artist(labels, [None] * n)
    a, b = random.random((3, n)) < 0.55, random.random((3, n)) < 0.54
    verdicts = np.where(a, labels, random.integers(0, N_GENRES, (3, n)))
    genres = tuple(str(g) for g in range(N_GENRES))
    jobs: dict[str, Callable[[], object]] = {
        "accuracy": lambda: bootstrap([Term(a, of, "a")]),
        "difference": lambda: bootstrap([Term(a, of, "a"), Term(b, of, "b", -1)]),
        "all metrics": lambda: intervals.evaluate(labels, verdicts, of, genres),
        "sign flip": lambda: sign_flip(a, b, of),
    }
    rows = []
    for name, job in jobs.items():
        start = time.perf_counter()
        job()
        seconds = time.perf_counter() - start
        tracemalloc.start()
        job()
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        rows.append(f"{n:>8,} recordings  {name:<12} {seconds:6.2f} s {peak:6.0f} MB")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--deviation", type=float, default=1.0, help="of artists, in logits")
    parser.add_argument("--seed-deviation", type=float, default=0.0, help="of seeds, in logits")
    arguments = parser.parse_args()
    for name, (labels, artists) in {"GTZAN test": gtzan_test(), "even artists": even()}.items():
        n_artists = np.unique(Clusters.by_artist(labels, artists).strata, return_counts=True)[1]
        print(f"{name}: {labels.size} tracks, artists by genre {n_artists.tolist()}")
        by_seeds = [
            simulate(
                labels,
                artists,
                n=arguments.simulations,
                n_seeds=n_seeds,
                deviation=arguments.deviation,
                seed_deviation=arguments.seed_deviation,
            )
            for n_seeds in (1, 3)
        ]
        print(f"  {'':<34} one seed  three seeds")
        for what in by_seeds[0]:
            one, three = (100 * shares[what] for shares in by_seeds)
            print(f"  {what:<34} {one:6.1f} % {three:8.1f} %")
    print(
        f"(standard error of a share near 5 %: {100 * (0.0475 / arguments.simulations) ** 0.5:.1f})"
    )
    for n in (290, 15_000):
        print(*measure(n), sep="\n")


if __name__ == "__main__":
    main()
