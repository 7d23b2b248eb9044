"""Bootstrap intervals: the exact distribution, true coverage, pairing, and the edges.

The oracle counts out every outcome of a small bootstrap in plain Python: each artist of a genre
drawn as often as it can be, each seed, every combination equally likely.
"""

from __future__ import annotations

import itertools
import math
import statistics
import tracemalloc
from collections.abc import Sequence
from typing import NamedTuple

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
    Term,
    bootstrap,
    wilson,
)

#: (genre, artist) of each recording. Artists differ in how many recordings they have.
VALID = [(0, "a"), (0, "a"), (0, "b"), (0, "c"), (0, "c"), (0, "c"), (1, "d"), (1, "d"), (1, "e")]
TRAIN = [(0, "x"), (0, "x"), (0, "y"), (1, "z")]
#: right or wrong by seed (rows) and recording
LSTM = {"valid": [[1, 1, 0, 0, 0, 1, 1, 0, 0], [1, 0, 0, 1, 0, 0, 1, 1, 1]],
        "train": [[1, 1, 1, 0], [1, 1, 0, 1]]}  # fmt: skip
CONV = {"valid": [[1, 1, 1, 0, 1, 1, 0, 0, 1], [1, 1, 0, 1, 1, 1, 1, 0, 1]],
        "train": [[1, 1, 1, 1], [0, 1, 1, 1]]}  # fmt: skip


def clusters(recordings: Sequence[tuple[int, str | None]]) -> Clusters:
    labels = np.array([genre for genre, _ in recordings], np.int64)
    return Clusters.by_artist(labels, [artist for _, artist in recordings])


def term(correct: Sequence[Sequence[int]], of: Clusters, model: str = "lstm") -> Term:
    return Term(np.array(correct, bool), of, model)


class Piece(NamedTuple):
    """A term as plain values: recordings, verdicts by seed, model, sign."""

    recordings: list[tuple[int, str]]
    correct: list[list[int]]
    model: str
    sign: int


def every_outcome(pieces: Sequence[Piece]) -> list[float]:
    """All equally likely values of the bootstrapped sum, sorted."""
    parts = {id(piece.recordings): piece.recordings for piece in pieces}
    n_seeds = {piece.model: len(piece.correct) for piece in pieces}
    artist_draws = {key: _artist_draws(recordings) for key, recordings in parts.items()}
    seed_draws = {m: list(itertools.product(range(n), repeat=n)) for m, n in n_seeds.items()}
    accuracy = {
        (p, i, drawn_seeds): statistics.fmean(
            piece.correct[seed][recording] for seed in drawn_seeds for recording in drawn
        )
        for p, piece in enumerate(pieces)
        for i, drawn in enumerate(artist_draws[id(piece.recordings)])
        for drawn_seeds in seed_draws[piece.model]
    }
    values = []
    for by_part in itertools.product(*(range(len(d)) for d in artist_draws.values())):
        which = dict(zip(artist_draws, by_part, strict=True))
        for by_model in itertools.product(*seed_draws.values()):
            seeds = dict(zip(seed_draws, by_model, strict=True))
            values.append(
                sum(
                    piece.sign * accuracy[p, which[id(piece.recordings)], seeds[piece.model]]
                    for p, piece in enumerate(pieces)
                )
            )
    return sorted(values)


def _artist_draws(recordings: list[tuple[int, str]]) -> list[list[int]]:
    """Recordings, by position, of every draw of artists within each genre."""
    of_genre: dict[int, list[str]] = {}
    for genre, artist in dict.fromkeys(recordings):
        of_genre.setdefault(genre, []).append(artist)
    within = [list(itertools.product(names, repeat=len(names))) for names in of_genre.values()]
    return [
        [
            i
            for genre, drawn in zip(of_genre, draw, strict=True)
            for artist in drawn
            for i, recording in enumerate(recordings)
            if recording == (genre, artist)
        ]
        for draw in itertools.product(*within)
    ]


class TestAgainstEveryOutcome:
    @pytest.mark.parametrize(
        "pieces",
        [
            pytest.param([Piece(VALID, LSTM["valid"], "lstm", 1)], id="accuracy"),
            pytest.param([Piece(VALID, LSTM["valid"][:1], "lstm", 1)], id="one seed"),
            pytest.param(
                [Piece(VALID, CONV["valid"], "conv", 1), Piece(VALID, LSTM["valid"], "lstm", -1)],
                id="difference of models",
            ),
            pytest.param(
                [Piece(TRAIN, LSTM["train"], "lstm", 1), Piece(VALID, LSTM["valid"], "lstm", -1)],
                id="gap",
            ),
            pytest.param(
                [
                    Piece(TRAIN, LSTM["train"], "lstm", 1),
                    Piece(VALID, LSTM["valid"], "lstm", -1),
                    Piece(TRAIN, CONV["train"], "conv", -1),
                    Piece(VALID, CONV["valid"], "conv", 1),
                ],
                id="difference of gaps",
            ),
        ],
    )
    def test_quantiles(self, pieces: list[Piece]) -> None:
        """Within the Dvoretzky-Kiefer-Wolfowitz band, which draws leave once in 1e9 times."""
        n_draws = 20_000
        band = math.sqrt(math.log(2 / 1e-9) / (2 * n_draws))
        by_part = {id(p.recordings): clusters(p.recordings) for p in pieces}
        terms = [
            Term(np.array(p.correct, bool), by_part[id(p.recordings)], p.model, p.sign)
            for p in pieces
        ]
        outcomes = every_outcome(pieces)

        def exact(share: float) -> float:
            return outcomes[min(max(int(share * len(outcomes)), 0), len(outcomes) - 1)]

        for level in (0.3, 0.5, 0.68, 0.8, 0.95):
            interval = bootstrap(terms, level=level, n_draws=n_draws)
            tail = (1 - level) / 2
            for bound, share in ((interval.low, tail), (interval.high, 1 - tail)):
                assert exact(share - band) - 1e-9 <= bound <= exact(share + band) + 1e-9
        plain = sum(p.sign * statistics.fmean(itertools.chain(*p.correct)) for p in pieces)
        assert interval.mean == pytest.approx(plain)

    def test_the_oracle_itself(self) -> None:
        """Two artists of one genre, one always right: 0, 1/2, 1/2, 1 are equally likely."""
        recordings = [(0, "a"), (0, "b")]
        assert every_outcome([Piece(recordings, [[1, 0]], "lstm", 1)]) == [0, 0.5, 0.5, 1]


@pytest.fixture(scope="module")
def coverage() -> dict[str, float]:
    """How often a 95 % interval holds the truth, by what is drawn: artists or single tracks.

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

    ways = {  # what is drawn, simulations, draws of each
        "artists": (Clusters.by_artist(labels, [str(a) for a in artist]), 400, 500),
        "tracks": (Clusters.by_artist(labels, [None] * len(artist)), 100, 200),
    }
    shares = {}
    for name, (of, n_simulations, n_draws) in ways.items():
        held = 0
        for i in range(n_simulations):
            skill = _logistic(means[genre] + 1.5 * random.normal(size=genre.size))
            correct = random.random((1, artist.size)) < skill[artist]
            interval = bootstrap([Term(correct, of, "lstm")], n_draws=n_draws, seed=i)
            held += interval.low <= truth <= interval.high
        shares[name] = held / n_simulations
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
        """The reason for drawing artists: tracks of one artist succeed and fail together."""
        assert coverage["tracks"] < 0.82


class TestWidth:
    def test_equals_the_standard_error_of_a_mean_of_artists(self) -> None:
        """One genre, many artists with five recordings each: the textbook formula holds."""
        random = np.random.default_rng(3)
        recordings = [(0, str(i)) for i in range(200) for _ in range(5)]
        correct = random.random(1000) < np.repeat(random.random(200), 5)
        interval = bootstrap([Term(correct[None], clusters(recordings), "lstm")], n_draws=8000)
        error = correct.reshape(200, 5).mean(axis=1).std(ddof=1) / math.sqrt(200)
        assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.06)

    def test_recordings_of_unknown_artists_are_drawn_one_by_one(self) -> None:
        random = np.random.default_rng(4)
        correct = random.random(500) < 0.6
        unknown = clusters([(0, None)] * 500)
        interval = bootstrap([Term(correct[None], unknown, "lstm")], n_draws=8000)
        error = math.sqrt(interval.mean * (1 - interval.mean) / 500)
        assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.06)

    def test_genres_keep_their_number_of_artists(self) -> None:
        """Genre 0 always right, genre 1 always wrong: with as many artists of as many recordings
        in every draw, nothing can vary."""
        recordings = [(g, f"{g} {a}") for g in (0, 1) for a in range(6) for _ in range(3)]
        right = [[int(g == 0) for g, _ in recordings]]
        assert bootstrap([term(right, clusters(recordings))]) == Interval(0.5, 0.5, 0.5)

    def test_a_genre_with_a_single_artist_has_no_width(self) -> None:
        """Nothing varies, which is not knowledge: the number of artists is printed beside it."""
        single = clusters([(0, "Robert Johnson")] * 4)
        assert bootstrap([term([[1, 0, 0, 1]], single)]) == Interval(0.5, 0.5, 0.5)

    def test_seeds_that_disagree_widen_it(self) -> None:
        single = clusters([(0, "Robert Johnson")] * 4)
        interval = bootstrap([term([[1, 1, 1, 1], [0, 0, 0, 0]], single)])
        assert interval == Interval(0.5, 0.0, 1.0)  # both seeds the bad one: one draw in four

    def test_a_wider_level_holds_a_narrower_one(self) -> None:
        made = [term(LSTM["valid"], clusters(VALID))]
        wide, narrow = (bootstrap(made, level=level) for level in (0.99, 0.5))
        assert wide.low < narrow.low <= narrow.high < wide.high

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 20), n_seeds=st.integers(1, 3))
    def test_an_accuracy_stays_between_0_and_1(self, seed: int, n: int, n_seeds: int) -> None:
        random = np.random.default_rng(seed)
        artists = [None if a == 4 else str(a) for a in random.integers(0, 5, n)]
        of = Clusters.by_artist(random.integers(0, 3, n), artists)
        correct = random.random((n_seeds, n)) < 0.5
        interval = bootstrap([Term(correct, of, "lstm")], n_draws=50)
        assert 0 <= interval.low <= interval.high <= 1
        assert interval.mean == pytest.approx(correct.mean())
        always = bootstrap([Term(np.ones_like(correct), of, "lstm")], n_draws=50)
        assert (always.mean, always.low, always.high) == pytest.approx((1, 1, 1))


class TestPairing:
    def test_the_difference_of_a_model_and_itself_is_nothing(self) -> None:
        made = term(LSTM["valid"], clusters(VALID))
        assert bootstrap([made, made.minus()]) == Interval(0, 0, 0)

    def test_two_models_of_the_same_verdicts_differ_by_nothing(self) -> None:
        """One seed each: with more, the seeds that are drawn are not those of the other model."""
        of = clusters(VALID)
        pair = [term(LSTM["valid"][:1], of, name) for name in ("lstm", "residual-lstm")]
        assert bootstrap([pair[0], pair[1].minus()]) == Interval(0, 0, 0)

    def test_terms_with_the_same_clusters_share_the_artists_that_are_drawn(self) -> None:
        """Two models are compared on the same recordings: what is hard for both cancels."""
        random = np.random.default_rng(6)
        recordings = [(0, str(i)) for i in range(60) for _ in range(4)]
        hard = np.repeat(random.random(60) < 0.5, 4)
        a = ~hard[None]
        b = a ^ (random.random(240) < 0.05)  # the same but for a few recordings
        of = clusters(recordings)
        paired = bootstrap([Term(a, of, "a"), Term(b, of, "b", -1)])
        apart = bootstrap([Term(a, of, "a"), Term(b, clusters(recordings), "b", -1)])
        assert paired.mean == apart.mean
        assert paired.high - paired.low < 0.5 * (apart.high - apart.low)

    def test_terms_of_one_model_share_the_seeds_that_are_drawn(self) -> None:
        """The gap of a run is that of one network: a lucky seed is lucky on both parts."""
        train, valid = clusters([(0, "x")] * 2), clusters([(0, "a")] * 3)
        lucky = [[1, 1, 1], [0, 0, 0]]
        good = term([row[:2] for row in lucky], train)
        gap = bootstrap([good, term(lucky, valid).minus()])
        assert gap == Interval(0, 0, 0)
        other = bootstrap([good, term(lucky, valid, "conv").minus()])
        assert (other.low, other.high) == (-1, 1)

    def test_the_other_way_round_is_the_mirror_image(self) -> None:
        of = clusters(VALID)
        a, b = term(LSTM["valid"], of, "a"), term(CONV["valid"], of, "b")
        there = bootstrap([a, b.minus()])
        back = bootstrap([a.minus(), b])
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

    def test_a_draw_holds_as_many_artists_of_a_genre_as_there_are(self) -> None:
        of = clusters(VALID)
        each = np.eye(5, dtype=np.int64)  # clusters that are told apart
        blocks = of.draws(each, n_draws=5000, random=np.random.default_rng(0))
        weights = np.concatenate([block.sum(axis=1) for block in blocks])
        assert weights.shape == (5000, 5)
        assert (weights[:, of.strata == 0].sum(axis=1) == 3).all()
        assert (weights[:, of.strata == 1].sum(axis=1) == 2).all()
        np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.06)  # none is preferred


class TestSeed:
    def test_the_same_seed_gives_the_same_interval(self) -> None:
        """A report that is made again must not say other figures."""
        first, again = (bootstrap([term(LSTM["valid"], clusters(VALID))]) for _ in range(2))
        assert first == again

    def test_another_seed_leaves_the_estimate_and_moves_the_bounds_little(self) -> None:
        random = np.random.default_rng(8)
        recordings = [(g, f"{g} {i}") for g in range(3) for i in range(40)]
        made = [Term(random.random((3, 120)) < 0.6, clusters(recordings), "lstm")]
        one, two = (bootstrap(made, seed=seed) for seed in (0, 1))
        assert one.mean == two.mean
        assert one != two
        assert abs(one.low - two.low) < 0.01
        assert abs(one.high - two.high) < 0.01

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


class TestLargeCollections:
    def test_many_unknown_artists_take_little_memory(self) -> None:
        """15,000 of them: a matrix of draws by artists would take 480 MB, and 11 s to fill."""
        random = np.random.default_rng(0)
        labels = random.integers(0, 10, 15_000)
        of = Clusters.by_artist(labels, [None] * 15_000)
        made = Term(random.random((3, 15_000)) < 0.6, of, "lstm")
        tracemalloc.start()
        interval = bootstrap([made])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 64e6
        by_track = made.correct.mean(axis=0).std() / math.sqrt(15_000)
        assert interval.high - interval.low > 2 * 1.96 * by_track

    def test_draws_in_blocks_are_draws(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Blocks bound the memory: the bounds move as little as between two seeds."""
        random = np.random.default_rng(8)
        recordings = [(g, f"{g} {i % 40}") for g in range(3) for i in range(120)]
        made = [Term(random.random((3, 360)) < 0.6, clusters(recordings), "lstm")]
        whole = bootstrap(made)
        monkeypatch.setattr("ostinato.evaluation.significance._CELLS", 500)
        parts = bootstrap(made)
        assert parts.mean == whole.mean
        assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.01)


class TestBadInput:
    @pytest.mark.parametrize("shape", [(9,), (2, 8), (0, 9), (1, 2, 9)])
    def test_verdicts_that_do_not_fit_the_recordings(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(DataError, match=r"shape \(n_seeds, 9\), got"):
            Term(np.zeros(shape, bool), clusters(VALID), "lstm")

    def test_one_model_with_two_numbers_of_seeds(self) -> None:
        """Its seeds are drawn once, for all its terms."""
        of = clusters(VALID)
        terms = [term(LSTM["valid"], of), term(LSTM["valid"][:1], of).minus()]
        with pytest.raises(DataError, match="'lstm': expected all its terms over the same seeds"):
            bootstrap(terms)

    def test_no_terms(self) -> None:
        with pytest.raises(UsageError, match="one or more terms"):
            bootstrap([])

    @pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.5, math.nan])
    def test_level(self, level: float) -> None:
        with pytest.raises(UsageError, match="a level between 0 and 1"):
            bootstrap([term(LSTM["valid"], clusters(VALID))], level=level)

    def test_no_draws(self) -> None:
        with pytest.raises(UsageError, match="at least one draw"):
            bootstrap([term(LSTM["valid"], clusters(VALID))], n_draws=0)
