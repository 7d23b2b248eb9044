"""Intervals by artist: an independent implementation, true coverage, pairing, and the edges.

The oracle writes the formulas out in plain Python: the analysis of variance of artists within
genre, and the variance of a mean whose tracks are alike within an artist, pair by pair.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ostinato.errors import DataError, UsageError
from ostinato.evaluation.significance import (
    INDEPENDENT,
    Clusters,
    Interval,
    Spread,
    Term,
    interval,
    wilson,
)

#: (genre, artist) of each recording. Artists differ in how many recordings they have.
VALID = [(0, "a"), (0, "a"), (0, "b"), (0, "c"), (0, "c"), (0, "c"), (1, "d"), (1, "d"), (1, "e")]
TRAIN = [(0, "x"), (0, "x"), (0, "y"), (1, "z")]
#: right or wrong by seed (rows) and recording
LSTM = {
    "valid": [[1, 1, 0, 0, 0, 1, 1, 0, 0], [1, 0, 0, 1, 0, 0, 1, 1, 1]],
    "train": [[1, 1, 1, 0], [1, 1, 0, 1]],
}
CONV = {
    "valid": [[1, 1, 1, 0, 1, 1, 0, 0, 1], [1, 1, 0, 1, 1, 1, 1, 0, 1]],
    "train": [[1, 1, 1, 1], [0, 1, 1, 1]],
}


def clusters(recordings: Sequence[tuple[int, str | None]]) -> Clusters:
    labels = np.array([genre for genre, _ in recordings], np.int64)
    return Clusters.by_artist(labels, [artist for _, artist in recordings])


def term(correct: Sequence[Sequence[int]], of: Clusters, model: str = "lstm") -> Term:
    return Term(np.array(correct, bool), of, model)


def oracle(outcomes: Sequence[float], recordings: Sequence[tuple[int, str]]) -> float:
    """Variance of the mean outcome: every pair of tracks by one artist shares a correlation."""
    n = len(outcomes)
    genres, artists = sorted({g for g, _ in recordings}), sorted(set(recordings))
    members = {g: [i for i, r in enumerate(recordings) if r[0] == g] for g in genres}
    rest = [
        outcomes[i] - statistics.fmean(outcomes[j] for j in members[r[0]])
        for i, r in enumerate(recordings)
    ]
    pooled = sum(x * x for x in rest) / (n - len(genres))
    variance = {
        g: (sum(rest[i] ** 2 for i in members[g]) + pooled) / len(members[g]) for g in genres
    }
    scaled = [x / math.sqrt(variance[r[0]]) for x, r in zip(rest, recordings, strict=True)]
    own = {a: [i for i, r in enumerate(recordings) if r == a] for a in artists}
    means = {a: statistics.fmean(scaled[i] for i in own[a]) for a in artists}
    freedom = len(artists) - len(genres)
    between = sum(len(own[a]) * means[a] ** 2 for a in artists) / freedom
    within = sum((scaled[i] - means[a]) ** 2 for a in artists for i in own[a]) / (n - len(artists))
    lost = sum(len(own[a]) ** 2 / len(members[a[0]]) for a in artists)
    shared = max((between - within) / ((n - lost) / freedom), 0)
    correlation = shared / (shared + within)
    return (
        sum(
            variance[r[0]] * (1 if i == j else correlation if r == other else 0)
            for i, r in enumerate(recordings)
            for j, other in enumerate(recordings)
        )
        / n**2
    )


class TestAgainstPlainPython:
    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n_genres=st.integers(1, 4), n=st.integers(12, 40))
    def test_the_variance_of_a_mean(self, seed: int, n_genres: int, n: int) -> None:
        random = np.random.default_rng(seed)
        recordings = [
            (int(g), "abcd"[a])
            for g, a in zip(random.integers(0, n_genres, n), random.integers(0, 4, n), strict=True)
        ]
        n_artists = len(set(recordings))
        genres = {g for g, _ in recordings}
        outcomes = random.random(n)
        if not len(genres) < n_artists < n:
            return
        found = Spread.of(outcomes, clusters(recordings))
        assert found.variance_of_mean == pytest.approx(oracle(outcomes.tolist(), recordings))
        assert found.freedom == n_artists - len(genres)

    def test_an_accuracy_of_one_seed(self) -> None:
        right = LSTM["valid"][0]
        found = interval([term([right], clusters(VALID))], level=0.9)
        half = stats.t.ppf(0.95, df=3) * math.sqrt(oracle(right, VALID))
        assert found.mean == pytest.approx(4 / 9)
        assert found.low == pytest.approx(max(4 / 9 - half, 0))
        assert found.high == pytest.approx(min(4 / 9 + half, 1))

    def test_a_gap_of_two_seeds(self) -> None:
        """Both parts' artists and the seeds, each with its degrees of freedom (Satterthwaite)."""
        train = [(0, "x"), (0, "x"), (0, "y"), (0, "y"), (1, "z"), (1, "z"), (1, "w")]
        own = [[1, 1, 1, 0, 1, 1, 0], [1, 0, 1, 1, 0, 1, 1]]
        of = clusters(train), clusters(VALID)
        found = interval([term(own, of[0]), term(LSTM["valid"], of[1]).minus()], level=0.5)
        parts = [
            (oracle([statistics.fmean(x) for x in zip(*rows, strict=True)], recordings), df)
            for rows, recordings, df in ((own, train, 2), (LSTM["valid"], VALID, 3))
        ]
        gaps = [
            statistics.fmean(t) - statistics.fmean(v)
            for t, v in zip(own, LSTM["valid"], strict=True)
        ]
        parts.append((statistics.variance(gaps) / 2, 1))
        variance = sum(v for v, _ in parts)
        freedom = variance**2 / sum(v**2 / df for v, df in parts)
        half = stats.t.ppf(0.75, df=freedom) * math.sqrt(variance)
        assert found.mean == pytest.approx(statistics.fmean(gaps))
        assert found.high - found.mean == pytest.approx(half)
        assert found.mean - found.low == pytest.approx(half)


@pytest.fixture(scope="module")
def coverage() -> dict[str, float]:
    """How often a 95 % interval holds the truth, by artists or single tracks.

    Artists have accuracies of their own (a random effect); the truth is the mean over all the
    artists that there could have been.
    """
    random = np.random.default_rng(20)
    n_genres, n_artists = 4, 30
    sizes = np.tile(np.arange(2, 12), n_genres * n_artists // 10)  # recordings of each artist
    genre = np.repeat(np.arange(n_genres), n_artists)  # of each artist
    artist = np.repeat(np.arange(n_genres * n_artists), sizes)  # of each recording
    labels = genre[artist]
    means = np.array([-1.0, 0.0, 0.5, 1.5])  # of each genre, in logits
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    by_genre = (_logistic(means[:, None] + 1.5 * nodes) * weights).sum(axis=1) / weights.sum()
    truth = by_genre[labels].mean()

    shares = {}
    ways = {"artists": [str(a) for a in artist], "tracks": [None] * len(artist)}
    for name, artists in ways.items():
        of = Clusters.by_artist(labels, artists)
        held = 0
        for _ in range(400):
            skill = _logistic(means[genre] + 1.5 * random.normal(size=genre.size))
            correct = random.random((1, artist.size)) < skill[artist]
            found = interval([Term(correct, of, "lstm")])
            held += found.low <= truth <= found.high
        shares[name] = held / 400
    return shares


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


class TestCoverage:
    def test_an_interval_by_artist_holds_the_truth_as_often_as_it_says(
        self, coverage: dict[str, float]
    ) -> None:
        """400 simulations tell a share near 0.95 to within 0.03 (three standard errors)."""
        assert 0.92 <= coverage["artists"] <= 0.98

    def test_an_interval_by_track_is_far_too_narrow(self, coverage: dict[str, float]) -> None:
        """The reason for asking the artists: tracks of one artist succeed and fail together."""
        assert coverage["tracks"] < 0.82


class TestWidth:
    def test_equals_the_standard_error_of_a_mean_of_artists(self) -> None:
        """One genre, many artists with five recordings each: the textbook formula holds."""
        random = np.random.default_rng(3)
        recordings = [(0, str(i)) for i in range(200) for _ in range(5)]
        correct = random.random(1000) < np.repeat(random.random(200), 5)
        found = interval([Term(correct[None], clusters(recordings), "lstm")])
        error = correct.reshape(200, 5).mean(axis=1).std(ddof=1) / math.sqrt(200)
        assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.06)

    def test_recordings_of_unknown_artists_are_independent(self) -> None:
        random = np.random.default_rng(4)
        correct = random.random(500) < 0.6
        unknown = clusters([(0, None)] * 500)
        found = interval([Term(correct[None], unknown, "lstm")])
        error = math.sqrt(found.mean * (1 - found.mean) / 500)
        assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.06)

    def test_genres_keep_their_weights(self) -> None:
        """Genres far apart, each right or wrong almost throughout: another mix of genres is not
        what could have come out otherwise."""
        recordings = [(g, f"{g} {a}") for g in (0, 1) for a in range(20) for _ in range(3)]
        right = [int(g == 0) for g, _ in recordings]
        right[0], right[-1] = 0, 1
        found = interval([term([right], clusters(recordings))])
        assert found.high - found.low < 0.1 < 2 * 1.96 * math.sqrt(0.25 / len(recordings))

    def test_one_artist_a_genre_tells_nothing(self) -> None:
        """How alike an artist's tracks are is unknown: they may be worth a single one."""
        single = clusters([(0, "Robert Johnson")] * 4)
        assert interval([term([[1, 0, 0, 1]], single)]) == Interval(0.5, 0.0, 1.0)
        two = clusters([(genre, f"artist {genre}") for genre in (0, 0, 0, 1, 1)])
        spread = Spread.of(np.array([1.0, 0.0, 1.0, 0.0, 1.0]), two)
        assert spread.correlation == 1
        assert spread.design_effects.tolist() == [3, 2]

    def test_all_right_is_as_sure_as_so_many_artists(self) -> None:
        of = clusters(VALID)  # by five artists
        for right, sign in ((1, 1), (0, 1), (1, -1)):
            made = Term(np.full((2, 9), right, bool), of, "lstm", sign)
            beside = wilson(float(right), 5)
            assert interval([made]) == Interval(
                sign * right, *sorted((sign * beside.low, sign * beside.high))
            )

    def test_seeds_that_disagree_widen_it(self) -> None:
        many = [(0, str(a)) for a in range(40)]
        found = interval([term([[1] * 40, [0] * 40], clusters(many))])
        assert found == Interval(0.5, 0.0, 1.0)
        found = interval([term([[1, 0] * 20, [1, 1, 0, 0] * 10], clusters(many))])
        assert found.high - found.low < 0.4

    def test_a_wider_level_holds_a_narrower_one(self) -> None:
        made = [term(LSTM["valid"], clusters(VALID))]
        wide, narrow = (interval(made, level=level) for level in (0.99, 0.5))
        assert wide.low < narrow.low <= narrow.high < wide.high

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 20), n_seeds=st.integers(1, 3))
    def test_an_accuracy_stays_between_0_and_1(self, seed: int, n: int, n_seeds: int) -> None:
        random = np.random.default_rng(seed)
        artists = [None if a == 4 else str(a) for a in random.integers(0, 5, n)]
        of = Clusters.by_artist(random.integers(0, 3, n), artists)
        correct = random.random((n_seeds, n)) < 0.5
        found = interval([Term(correct, of, "lstm")])
        assert 0 <= found.low <= found.mean <= found.high <= 1
        assert found.mean == pytest.approx(correct.mean())
        always = interval([Term(np.ones_like(correct), of, "lstm")])
        assert 0 <= always.low < always.high == always.mean == 1


class TestPairing:
    def test_the_difference_of_a_model_and_itself_is_nothing(self) -> None:
        made = term(LSTM["valid"], clusters(VALID))
        assert interval([made, made.minus()]) == Interval(0, 0, 0)

    def test_two_models_of_the_same_verdicts_differ_by_nothing(self) -> None:
        """One seed each: with more, the seeds that are drawn are not those of the other model."""
        of = clusters(VALID)
        pair = [term(LSTM["valid"][:1], of, name) for name in ("lstm", "residual-lstm")]
        assert interval([pair[0], pair[1].minus()]) == Interval(0, 0, 0)

    def test_terms_with_the_same_clusters_are_paired(self) -> None:
        """Two models are compared on the same recordings: what is hard for both cancels."""
        random = np.random.default_rng(6)
        recordings = [(0, str(i)) for i in range(60) for _ in range(4)]
        hard = np.repeat(random.random(60) < 0.5, 4)
        a = ~hard[None]
        b = a ^ (random.random(240) < 0.05)  # the same but for a few recordings
        of = clusters(recordings)
        paired = interval([Term(a, of, "a"), Term(b, of, "b", -1)])
        apart = interval([Term(a, of, "a"), Term(b, clusters(recordings), "b", -1)])
        assert paired.mean == apart.mean
        assert paired.high - paired.low < 0.5 * (apart.high - apart.low)

    def test_terms_of_one_model_share_its_seeds(self) -> None:
        """The gap of a run is that of one network: a lucky seed is lucky on both parts."""
        train, valid = clusters([(0, "x")] * 2), clusters([(0, "a")] * 3)
        lucky = [[1, 1, 1], [0, 0, 0]]
        good = term([row[:2] for row in lucky], train)
        gap = interval([good, term(lucky, valid).minus()])
        assert gap == Interval(0, 0, 0)
        other = interval([good, term(lucky, valid, "conv").minus()])
        assert (other.low, other.high) == (-1, 1)

    def test_the_other_way_round_is_the_mirror_image(self) -> None:
        of = clusters(VALID)
        a, b = term(LSTM["valid"], of, "a"), term(CONV["valid"], of, "b")
        there = interval([a, b.minus()])
        back = interval([a.minus(), b])
        assert (back.mean, back.low, back.high) == pytest.approx(
            (-there.mean, -there.high, -there.low)
        )

    def test_minus_twice_is_the_same(self) -> None:
        made = term(LSTM["valid"], clusters(VALID))
        assert made.minus().sign == -1
        assert made.minus().minus().sign == 1
        assert made.minus().clusters is made.clusters  # still paired


class TestClusters:
    def test_an_artist_and_genre_is_a_cluster(self) -> None:
        of = clusters([(0, "a"), (1, "a"), (0, "a"), (0, "b")])
        assert of.of.tolist() == [0, 1, 0, 2]
        assert of.strata.tolist() == [0, 1, 0]

    def test_unknown_artists_are_not_one_artist(self) -> None:
        of = clusters([(0, None), (0, "a"), (0, None), (1, None)])
        assert of.of.tolist() == [0, 1, 2, 3]
        assert of.strata.tolist() == [0, 0, 0, 1]

    def test_an_artist_called_by_a_number_is_not_an_unknown_one(self) -> None:
        assert len(set(clusters([(0, None), (0, "0"), (0, "1")]).of.tolist())) == 3


class TestPlain:
    def test_plain_values_for_json(self) -> None:
        assert Interval(0.5, 0.25, 0.75).to_dict() == {"mean": 0.5, "low": 0.25, "high": 0.75}


class TestWilson:
    @pytest.mark.parametrize(
        ("hits", "n", "low", "high"),
        [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ],
    )
    def test_published_examples(self, hits: int, n: int, low: float, high: float) -> None:
        """Newcombe (1998, Statistics in Medicine 17), table I, method 3."""
        interval = wilson(hits / n, n)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)

    @settings(max_examples=50, deadline=None)
    @given(n=st.integers(1, 2000), share=st.floats(0, 1), level=st.sampled_from([0.5, 0.9, 0.99]))
    def test_equals_scipy(self, n: int, share: float, level: float) -> None:
        hits = round(share * n)
        low, high = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
        interval = wilson(hits / n, n, level=level)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)
        assert 0 <= interval.low <= interval.mean <= interval.high <= 1

    def test_says_what_it_assumes(self) -> None:
        assert wilson(0.5, 10).to_dict()["assumes"] == INDEPENDENT == "assumes independent tracks"

    @pytest.mark.parametrize("call", [(1.1, 10, 0.95), (0.5, 0, 0.95), (0.5, 9, 95.0)])
    def test_out_of_range(self, call: tuple[float, int, float]) -> None:
        with pytest.raises(UsageError, match="a share from 0 to 1, one track or more"):
            wilson(call[0], call[1], level=call[2])


class TestBadInput:
    @pytest.mark.parametrize("shape", [(9,), (2, 8), (0, 9), (1, 2, 9)])
    def test_verdicts_that_do_not_fit_the_recordings(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(DataError, match=r"shape \(n_seeds, 9\), got"):
            Term(np.zeros(shape, bool), clusters(VALID), "lstm")

    def test_one_model_with_two_numbers_of_seeds(self) -> None:
        """Its terms are added seed by seed."""
        of = clusters(VALID)
        terms = [term(LSTM["valid"], of), term(LSTM["valid"][:1], of).minus()]
        with pytest.raises(DataError, match="'lstm': expected all its terms over the same seeds"):
            interval(terms)

    def test_no_terms(self) -> None:
        with pytest.raises(UsageError, match="one or more terms"):
            interval([])

    @pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.5, math.nan])
    def test_level(self, level: float) -> None:
        with pytest.raises(UsageError, match="a level between 0 and 1"):
            interval([term(LSTM["valid"], clusters(VALID))], level=level)
