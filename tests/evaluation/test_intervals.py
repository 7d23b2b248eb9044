"""Intervals of all metrics: scikit-learn, every outcome counted, true coverage, bad input."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from sklearn import metrics as sk

from ostinato.errors import DataError, UsageError
from ostinato.evaluation import metrics
from ostinato.evaluation.intervals import MetricIntervals, evaluate
from ostinato.evaluation.significance import Clusters, Interval, Term, bootstrap, wilson

GENRES = ("blues", "jazz", "rock")


def made(seed: int, *, n: int = 60, n_seeds: int = 3, n_genres: int = 3):
    random = np.random.default_rng(seed)
    labels = random.integers(0, n_genres, n)
    verdicts = np.where(
        random.random((n_seeds, n)) < 0.6, labels, random.integers(0, n_genres, (n_seeds, n))
    )
    artists = [None if a == 0 else str(a) for a in random.integers(0, 12, n)]
    return labels, verdicts, Clusters.by_artist(labels, artists)


class TestEstimates:
    def test_are_the_means_over_seeds_of_scikit_learns_figures(self) -> None:
        labels, verdicts, of = made(0)
        found = evaluate(labels, verdicts, of, GENRES, n_draws=50)
        by_seed = [
            sk.precision_recall_fscore_support(labels, v, labels=range(3), zero_division=0)[:3]
            for v in verdicts
        ]
        precision, recall, f1 = np.mean(by_seed, axis=0)
        for i, genre in enumerate(GENRES):
            of_genre = found.per_genre[genre]
            assert of_genre.precision.mean == pytest.approx(precision[i])
            assert of_genre.recall.mean == pytest.approx(recall[i])
            assert of_genre.f1.mean == pytest.approx(f1[i])
            assert of_genre.support == (labels == i).sum()
        assert found.accuracy.mean == pytest.approx((verdicts == labels).mean())
        assert found.macro_f1.mean == pytest.approx(f1.mean())

    def test_agree_with_metrics_where_a_genre_does_not_occur(self) -> None:
        """Called but never true: left out of the macro means, 0 in its own row."""
        labels, verdicts, _ = made(1, n_seeds=1)
        labels = np.where(labels == 1, 0, labels)
        of = Clusters.by_artist(labels, [None] * 60)
        found = evaluate(labels, verdicts, of, GENRES, n_draws=50)
        plain = metrics.evaluate(labels, np.eye(3)[verdicts[0]], GENRES)
        assert found.macro_f1.mean == pytest.approx(plain.macro_f1)
        assert found.macro_precision.mean == pytest.approx(plain.macro_precision)
        assert found.per_genre["jazz"].f1 == Interval(0, 0, 0)
        assert (found.per_genre["jazz"].support, found.per_genre["jazz"].artists) == (0, 0)

    def test_the_accuracy_is_that_of_the_bootstrap_with_wilson_beside(self) -> None:
        labels, verdicts, of = made(2, n=400)
        found = evaluate(labels, verdicts, of, GENRES)
        plain = bootstrap([Term(verdicts == labels, of, "lstm")])
        assert found.accuracy.mean == pytest.approx(plain.mean)
        assert found.accuracy.low == pytest.approx(plain.low, abs=0.01)
        assert found.accuracy.high == pytest.approx(plain.high, abs=0.01)
        assert found.wilson == wilson(found.accuracy.mean, 400)


class TestBounds:
    def test_equal_every_outcome_counted(self) -> None:
        """Three artists in one genre, two in the other, two seeds: all 3^3 x 2^2 x 2^2 draws."""
        artists = ["a", "a", "b", "c", "d", "e", "e"]
        labels = np.array([0, 0, 0, 0, 1, 1, 1])
        verdicts = np.array([[0, 1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 0, 1, 1]])
        of = Clusters.by_artist(labels, artists)
        outcomes = []
        for first in itertools.product("abc", repeat=3):
            for second in itertools.product("de", repeat=2):
                drawn = [i for name in first + second for i, a in enumerate(artists) if a == name]
                scores = [
                    sk.f1_score(labels[drawn], v[drawn], average="macro", zero_division=0)
                    for v in verdicts
                ]
                outcomes += [np.mean(pick) for pick in itertools.product(scores, repeat=2)]
        outcomes.sort()
        n_draws = 20_000
        band = math.sqrt(math.log(2 / 1e-9) / (2 * n_draws))  # Dvoretzky, Kiefer, Wolfowitz
        for level in (0.3, 0.6, 0.9):
            found = evaluate(labels, verdicts, of, ("x", "y"), level=level, n_draws=n_draws)
            tail = (1 - level) / 2
            for bound, share in ((found.macro_f1.low, tail), (found.macro_f1.high, 1 - tail)):
                low, high = (
                    outcomes[min(max(int(s * len(outcomes)), 0), len(outcomes) - 1)]
                    for s in (share - band, share + band)
                )
                assert low - 1e-9 <= bound <= high + 1e-9

    def test_hold_their_estimates_and_stay_in_0_to_1(self) -> None:
        for seed in range(5):
            labels, verdicts, of = made(seed)
            found = evaluate(labels, verdicts, of, GENRES, n_draws=300)
            for interval in all_of(found):
                assert 0 <= interval.low <= interval.mean <= interval.high <= 1

    def test_the_same_seed_gives_the_same(self) -> None:
        labels, verdicts, of = made(3)
        one, same, other = (evaluate(labels, verdicts, of, GENRES, seed=s) for s in (0, 0, 1))
        assert one == same != other
        assert json.loads(json.dumps(asdict(one)))["per_genre"]["jazz"]["f1"]["mean"] > 0

    def test_blocks_of_draws_make_no_difference(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Draws are made in blocks to bound the memory; the bounds move as between two seeds."""
        labels, verdicts, of = made(3, n=300)
        whole = evaluate(labels, verdicts, of, GENRES)
        monkeypatch.setattr("ostinato.evaluation.significance._CELLS", 1000)
        parts = evaluate(labels, verdicts, of, GENRES)
        for one, two in zip(all_of(whole), all_of(parts), strict=True):
            assert one.mean == two.mean
            assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=0.02)

    def test_seeds_that_disagree_widen_them(self) -> None:
        labels = np.array([0, 0, 1, 1])
        verdicts = np.array([[0, 0, 1, 1], [1, 1, 0, 0]])
        of = Clusters.by_artist(labels, ["a", "a", "b", "b"])
        assert evaluate(labels, verdicts, of, ("x", "y")).macro_f1 == Interval(0.5, 0.0, 1.0)


def all_of(found: MetricIntervals) -> list[Interval]:
    return [
        found.accuracy,
        found.macro_precision,
        found.macro_recall,
        found.macro_f1,
        *(i for g in found.per_genre.values() for i in (g.precision, g.recall, g.f1)),
    ]


@pytest.fixture(scope="module")
def coverage() -> dict[str, dict[str, float]]:
    """How often 95 % intervals hold the truth, by what is drawn: artists or single tracks.

    Every artist of a genre has a mix of verdicts of its own (Dirichlet around the genre's), so the
    true confusion matrix is that of the genres' mixes.
    """
    random = np.random.default_rng(11)
    n_artists = 30
    sizes = np.tile(np.arange(2, 12), 9)  # of 90 artists, 30 a genre
    mixes = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    genre = np.repeat(np.arange(3), n_artists)
    artist = np.repeat(np.arange(90), sizes)
    labels = genre[artist]
    truth = mixes * np.bincount(labels)[:, None]
    precision, _, f1 = metrics.precision_recall_f1(truth)
    held = {}
    ways = {"artists": ([str(a) for a in artist], 300), "tracks": ([None] * artist.size, 100)}
    for name, (names, n) in ways.items():
        of = Clusters.by_artist(labels, names)
        counts = np.zeros(3)
        for i in range(n):
            own = np.stack([random.dirichlet(2 * mixes[g]) for g in genre])
            edges = own.cumsum(axis=1)[artist]
            verdicts = (random.random((artist.size, 1)) > edges).sum(axis=1).clip(max=2)
            found = evaluate(labels, verdicts[None], of, GENRES, n_draws=400, seed=i)
            pairs = (
                (found.macro_f1, f1.mean()),
                (found.per_genre["jazz"].precision, precision[1]),
                (found.per_genre["jazz"].f1, f1[1]),
            )
            counts += [interval.low <= true <= interval.high for interval, true in pairs]
        held[name] = dict(zip(("macro F1", "precision", "F1"), counts / n, strict=True))
    return held


class TestCoverage:
    def test_by_artist_they_hold_the_truth_about_as_often_as_they_say(
        self, coverage: dict[str, dict[str, float]]
    ) -> None:
        """300 simulations tell a share near 0.94 to within 0.04 (three standard errors); with 30
        artists a genre the bootstrap itself lacks about a point."""
        for held in coverage["artists"].values():
            assert 0.90 <= held <= 0.98

    def test_by_track_they_are_far_too_narrow(self, coverage: dict[str, dict[str, float]]) -> None:
        assert coverage["tracks"]["macro F1"] < 0.85


class TestBadInput:
    def test_labels_that_the_clusters_were_not_made_with(self) -> None:
        labels, verdicts, of = made(0)
        with pytest.raises(DataError, match="labels that the 60 recordings were grouped by"):
            evaluate(np.roll(labels, 1), verdicts, of, GENRES)
        with pytest.raises(DataError, match=r"other labels, of shape \(59,\)"):
            evaluate(labels[:59], verdicts, of, GENRES)

    def test_verdicts_that_are_no_genre(self) -> None:
        labels, verdicts, of = made(0)
        with pytest.raises(DataError, match="verdicts from 0 to 2, got 1 to 3"):
            evaluate(labels, np.clip(verdicts, 0, 2) % 2 * 2 + 1, of, GENRES)

    def test_labels_that_are_no_genre(self) -> None:
        labels, verdicts, of = made(0)
        with pytest.raises(DataError, match="labels from 0 to 1, got 0 to 2"):
            evaluate(labels, verdicts, of, GENRES[:2])

    @pytest.mark.parametrize("shape", [(60,), (0, 60), (1, 59)])
    def test_verdicts_that_do_not_fit(self, shape: tuple[int, ...]) -> None:
        labels, _, of = made(0)
        with pytest.raises(DataError, match=r"shape \(n_seeds, 60\)"):
            evaluate(labels, np.zeros(shape, np.int64), of, GENRES)

    @pytest.mark.parametrize("bad", [{"level": 95.0}, {"n_draws": 0}])
    def test_settings(self, bad: dict[str, float]) -> None:
        with pytest.raises(UsageError, match="at least one draw"):
            evaluate(*made(0), GENRES, **bad)
