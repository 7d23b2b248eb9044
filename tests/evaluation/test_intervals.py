"""Intervals of all metrics: scikit-learn, the jackknife, true coverage, the edges, bad input."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn import metrics as sk

from ostinato.errors import DataError, UsageError
from ostinato.evaluation import metrics
from ostinato.evaluation.intervals import MetricIntervals, evaluate
from ostinato.evaluation.significance import Clusters, Interval

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
        found = evaluate(labels, verdicts, of, GENRES)
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
        assert found.macro_f1.mean == pytest.approx(f1.mean())

    def test_agree_with_metrics_where_a_genre_does_not_occur(self) -> None:
        """Called but never true: left out of the macro means, no interval of its own."""
        labels, verdicts, _ = made(1, n_seeds=1)
        labels = np.where(labels == 1, 0, labels)
        of = Clusters.by_artist(labels, [None] * 60)
        found = evaluate(labels, verdicts, of, GENRES)
        plain = metrics.evaluate(labels, np.eye(3)[verdicts[0]], GENRES)
        assert found.macro_f1.mean == pytest.approx(plain.macro_f1)
        assert found.macro_precision.mean == pytest.approx(plain.macro_precision)
        assert found.per_genre["jazz"].f1 is None
        assert (found.per_genre["jazz"].support, found.per_genre["jazz"].artists) == (0, 0)


class TestBounds:
    @pytest.mark.parametrize("figure", ["precision", "recall", "f1"])
    def test_equal_the_jackknife_where_tracks_are_independent(self, figure: str) -> None:
        """Leave one track of a genre out at a time, with no formula of ours (Jones 1974)."""
        random = np.random.default_rng(5)
        labels = np.sort(random.integers(0, 3, 180))
        verdicts = np.where(random.random(180) < 0.6, labels, random.integers(0, 3, 180))[None]
        found = evaluate(labels, verdicts, Clusters.by_artist(labels, [None] * 180), GENRES)
        index = ("precision", "recall", "f1").index(figure)

        def scores(kept: np.ndarray) -> np.ndarray:
            return sk.precision_recall_fscore_support(
                labels[kept], verdicts[0][kept], labels=range(3), sample_weight=weight[kept]
            )[index]

        variance = np.zeros(4)
        for genre in range(3):
            members = np.flatnonzero(labels == genre)
            n = members.size
            weight = np.where(labels == genre, n / (n - 1), 1.0)  # the genre keeps its weight
            rows = np.array([scores(np.delete(np.arange(180), i)) for i in members])
            values = np.column_stack([rows, rows.mean(axis=1)])
            variance += (n - 1) / n * ((values - values.mean(axis=0)) ** 2).sum(axis=0)
        own = [getattr(found.per_genre[g], figure) for g in GENRES]
        for error, span in zip(
            np.sqrt(variance), [*own, getattr(found, f"macro_{figure}")], strict=True
        ):
            assert (span.high - span.low) / 2 == pytest.approx(1.965 * error, rel=0.07)

    def test_tracks_of_one_artist_are_worth_less(self) -> None:
        random = np.random.default_rng(6)
        labels = np.repeat([0, 1, 2], 100)
        artists = np.repeat(np.arange(60), 5)
        right = np.repeat(random.random(60) < 0.6, 5)  # an artist's tracks are all alike
        verdicts = np.where(right, labels, (labels + 1) % 3)[None]
        together = evaluate(
            labels, verdicts, Clusters.by_artist(labels, list(map(str, artists))), GENRES
        )
        apart = evaluate(labels, verdicts, Clusters.by_artist(labels, [None] * 300), GENRES)
        for one, two in zip(all_of(together), all_of(apart), strict=True):
            assert one.mean == two.mean
            assert (one.high - one.low) / (two.high - two.low) == pytest.approx(5**0.5, rel=0.15)

    def test_hold_their_estimates_and_stay_in_0_to_1(self) -> None:
        for seed in range(5):
            labels, verdicts, of = made(seed)
            found = evaluate(labels, verdicts, of, GENRES)
            for interval in all_of(found):
                assert 0 <= interval.low <= interval.mean <= interval.high <= 1

    def test_are_plain_values_for_json(self) -> None:
        found = evaluate(*made(3), GENRES)
        assert json.loads(json.dumps(asdict(found)))["per_genre"]["jazz"]["f1"]["mean"] > 0

    def test_seeds_that_disagree_widen_them(self) -> None:
        labels = np.array([0, 0, 1, 1])
        verdicts = np.array([[0, 0, 1, 1], [1, 1, 0, 0]])
        of = Clusters.by_artist(labels, [None] * 4)
        assert evaluate(labels, verdicts, of, ("x", "y")).macro_f1 == Interval(0.5, 0.0, 1.0)

    def test_all_or_none_right_on_few_artists_has_width(self) -> None:
        """Four artists of which all are always right do not show that all artists would be."""
        labels = np.repeat([0, 1], 20)
        artists = [str(a) for a in np.repeat(np.arange(8), 5)]
        verdicts = np.array([[0] * 20 + [1, 0] * 10])
        found = evaluate(labels, verdicts, Clusters.by_artist(labels, artists), ("x", "y"))
        recall = found.per_genre["x"].recall
        assert recall is not None
        assert recall.high == recall.mean == 1
        assert recall.low < 0.9

    def test_a_genre_of_one_artist_has_none(self) -> None:
        labels = np.repeat([0, 1], 20)
        artists = ["only"] * 20 + [str(a) for a in np.repeat(np.arange(5), 4)]
        verdicts = np.array([[0, 1] * 20])
        found = evaluate(labels, verdicts, Clusters.by_artist(labels, artists), ("x", "y"))
        only, other = found.per_genre["x"], found.per_genre["y"]
        assert (only.precision, only.recall, only.f1) == (None, None, None)
        assert (only.artists, only.support) == (1, 20)
        assert None not in (other.precision, other.recall, other.f1)

    def test_a_genre_that_no_verdict_names_has_any_precision(self) -> None:
        labels, verdicts, of = made(4)
        found = evaluate(labels, np.where(verdicts == 1, 0, verdicts), of, GENRES)
        assert found.per_genre["jazz"].precision == Interval(0, 0, 1)


def all_of(found: MetricIntervals) -> list[Interval]:
    return [
        found.macro_precision,
        found.macro_recall,
        found.macro_f1,
        *(i for g in found.per_genre.values() for i in (g.precision, g.recall, g.f1) if i),
    ]


@pytest.fixture(scope="module")
def coverage() -> dict[str, dict[str, float]]:
    """How often 95 % intervals hold the truth, by artists or single tracks.

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
        for _ in range(n):
            own = np.stack([random.dirichlet(2 * mixes[g]) for g in genre])
            edges = own.cumsum(axis=1)[artist]
            verdicts = (random.random((artist.size, 1)) > edges).sum(axis=1).clip(max=2)
            found = evaluate(labels, verdicts[None], of, GENRES)
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
        """300 simulations tell a share near 0.95 to within 0.04 (three standard errors)."""
        for held in coverage["artists"].values():
            assert 0.91 <= held <= 0.99

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

    @pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
    def test_level(self, level: float) -> None:
        with pytest.raises(UsageError, match="a level between 0 and 1"):
            evaluate(*made(0), GENRES, level=level)
