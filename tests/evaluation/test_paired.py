"""Tests of difference: the null distribution counted out, SciPy, worked examples, true levels."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ostinato.errors import DataError, UsageError
from ostinato.evaluation.paired import corrected_t, evaluate, holm, mcnemar, sign_flip
from ostinato.evaluation.significance import INDEPENDENT, Clusters, Term, interval


def grouped(artist: NDArray[np.int64]) -> Clusters:
    return Clusters.by_artist(np.zeros(artist.size, np.int64), [str(a) for a in artist])


def made(seed: int, *, n: int = 40, n_artists: int = 10, seeds: tuple[int, int] = (1, 1)):
    """Two models' correctness, and artists."""
    random = np.random.default_rng(seed)
    of = grouped(random.integers(0, n_artists, n))
    return random.random((seeds[0], n)) < 0.6, random.random((seeds[1], n)) < 0.4, of


def every_sign(a: NDArray[np.bool_], b: NDArray[np.bool_], of: Clusters) -> Fraction:
    """The p value, from all 2 ** artists patterns, in whole numbers."""
    sums = [
        sum(
            Fraction(int(a[:, i].sum()), len(a)) - Fraction(int(b[:, i].sum()), len(b))
            for i in np.flatnonzero(of.of == cluster)
        )
        for cluster in range(of.strata.size)
    ]
    patterns = list(itertools.product((-1, 1), repeat=len(sums)))
    as_far = sum(
        abs(sum(s * d for s, d in zip(signs, sums, strict=True))) >= abs(sum(sums))
        for signs in patterns
    )
    return Fraction(as_far, len(patterns))


class TestSignFlip:
    @pytest.mark.parametrize("seeds", [(1, 1), (3, 3), (2, 3), (4, 6)])
    def test_equals_the_count_of_all_sign_patterns(self, seeds: tuple[int, int]) -> None:
        for seed in range(8):
            a, b, of = made(seed, n=14, n_artists=6, seeds=seeds)
            assert sign_flip(a, b, of).p == pytest.approx(float(every_sign(a, b, of)), rel=1e-12)

    def test_equals_scipy(self) -> None:
        """``permutation_test`` over pairs of per-artist sums, exact."""
        for seed in range(4):
            a, b, of = made(seed, n=60, n_artists=11, seeds=(3, 3))
            pair = [of.sums(rows).sum(axis=0) / 3 for rows in (a, b)]
            oracle = stats.permutation_test(
                pair,
                lambda x, y, axis: (x - y).sum(axis=axis),
                permutation_type="samples",
                n_resamples=np.inf,
                vectorized=True,
            )
            assert sign_flip(a, b, of).p == pytest.approx(oracle.pvalue, rel=1e-9)

    def test_equals_drawn_signs_where_artists_are_many(self) -> None:
        """100 artists have 1e30 patterns: 20,000 of them, drawn, with the +1 of Davison."""
        a, b, of = made(1, n=300, n_artists=100, seeds=(3, 3))
        b = b | (np.random.default_rng(2).random(b.shape) < 0.25)  # a difference of some points
        sums = (of.sums(a) - of.sums(b)).sum(axis=0)
        signs = np.random.default_rng(3).choice([-1, 1], size=(20_000, sums.size))
        drawn = (1 + (np.abs(signs @ sums) >= abs(sums.sum())).sum()) / 20_001
        p = sign_flip(a, b, of).p
        assert 0.001 < p < 0.9
        assert abs(p - drawn) < 5 * math.sqrt(p * (1 - p) / 20_000)

    def test_of_single_tracks_is_exact_mcnemar(self) -> None:
        """With every artist unknown the two tests are one."""
        a, b, _ = made(5, n=200)
        alone = Clusters.by_artist(np.zeros(200, np.int64), [None] * 200)
        assert sign_flip(a, b, alone).p == pytest.approx(mcnemar(a[0], b[0]).p, rel=1e-9)

    @settings(max_examples=50, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), n_artists=st.integers(1, 30))
    def test_is_a_probability_and_the_same_both_ways(
        self, seed: int, n: int, n_artists: int
    ) -> None:
        a, b, of = made(seed, n=n, n_artists=n_artists, seeds=(2, 3))
        there, back = sign_flip(a, b, of), sign_flip(b, a, of)
        assert 0 < there.p <= 1
        assert there.p == back.p
        assert there.difference == pytest.approx(-back.difference)
        assert there.p >= 2.0 ** (1 - there.differing) * (1 - 1e-12) or there.p == 1
        assert there.differing <= there.artists == of.strata.size

    def test_equal_models_do_not_differ(self) -> None:
        a, _, of = made(0)
        assert sign_flip(a, a, of).p == 1.0
        assert sign_flip(a, a, of).differing == 0

    def test_four_artists_cannot_show_anything(self) -> None:
        """However large the difference: the reason why artists are counted beside p."""
        of = grouped(np.repeat(np.arange(4), 50))
        right = np.ones((1, 200), bool)
        flip = sign_flip(right, ~right, of)
        assert (flip.difference, flip.p, flip.differing) == (1.0, 0.125, 4)

    def test_a_large_difference_over_many_artists_is_seen(self) -> None:
        right = np.ones((1, 100), bool)
        assert sign_flip(right, ~right, grouped(np.arange(100))).p == pytest.approx(2.0**-99)

    def test_shapes(self) -> None:
        a, b, of = made(0)
        with pytest.raises(DataError, match=r"shape \(n_seeds, 40\), got \(1, 39\)"):
            sign_flip(a, b[:, :39], of)
        with pytest.raises(DataError, match=r"got \(40,\)"):
            sign_flip(a[0], b, of)


@pytest.fixture(scope="module")
def levels() -> dict[str, float]:
    """How often each test calls two models different at 5 % that are equally good.

    Each model has luck of its own with each artist (a random effect), 80 artists of 1 to 8 tracks.
    """
    random = np.random.default_rng(7)
    sizes = np.tile(np.arange(1, 9), 10)
    artist = np.repeat(np.arange(80), sizes)
    of = grouped(artist)
    n = 2000
    called = {"sign flip": 0, "McNemar": 0}
    for _ in range(n):
        skill = 1 / (1 + np.exp(-(0.3 + 1.5 * random.normal(size=(2, 80)))))
        a, b = random.random((2, artist.size)) < skill[:, artist]
        called["sign flip"] += sign_flip(a[None], b[None], of).p <= 0.05
        called["McNemar"] += mcnemar(a, b).p <= 0.05
    return {name: count / n for name, count in called.items()}


class TestLevel:
    """2000 simulations tell a share near 0.05 to within 0.015 (three standard errors)."""

    def test_sign_flip_by_artist_errs_as_often_as_it_says(self, levels: dict[str, float]) -> None:
        assert 0.035 <= levels["sign flip"] <= 0.065

    def test_mcnemar_errs_much_more_often(self, levels: dict[str, float]) -> None:
        """It takes the tracks of an artist for independent."""
        assert levels["McNemar"] > 0.10

    def test_corrected_t_on_folds_that_share_recordings(self) -> None:
        """Folds correlated by n_test / (n_test + n_train), which is what the correction assumes."""
        random = np.random.default_rng(9)
        n, folds, shared = 2000, 25, 1 / 5
        values = math.sqrt(shared) * random.normal(size=(n, 1)) + math.sqrt(
            1 - shared
        ) * random.normal(size=(n, folds))
        corrected = np.mean([corrected_t(d, n_train=4, n_test=1).p <= 0.05 for d in values])
        plain = np.mean(stats.ttest_1samp(values, 0, axis=1).pvalue <= 0.05)
        assert 0.035 <= corrected <= 0.065
        assert plain > 0.4  # the reason for the correction


class TestMcNemar:
    def test_published_example(self) -> None:
        """Approval of a prime minister, asked twice: 150 against 86 changed (Agresti 2002, table
        10.1; his z squared is 17.36), the tail counted in whole numbers."""
        a = np.repeat([True, True, False, False], [794, 150, 86, 570])
        b = np.repeat([True, False, True, False], [794, 150, 86, 570])
        found = mcnemar(a, b)
        assert (found.only_a, found.only_b) == (150, 86)
        tail = Fraction(2 * sum(math.comb(236, k) for k in range(87)), 2**236)
        assert found.p == pytest.approx(float(tail), rel=1e-9)
        assert found.p == pytest.approx(3.7e-5, rel=0.02)

    def test_smallest_gap_that_290_tracks_can_show(self) -> None:
        """At 10, 20 and 30 % of tracks on which only one is right: 4.5, 5.5 and 7.2 points."""
        for discordant, points in ((29, 4.5), (58, 5.5), (87, 7.2)):
            gap = min(
                2 * only - discordant
                for only in range(discordant // 2 + 1, discordant + 1)
                if mcnemar(np.arange(discordant) < only, np.arange(discordant) >= only).p <= 0.05
            )
            assert 100 * gap / 290 == pytest.approx(points, abs=0.06)

    def test_nothing_that_differs_is_no_difference(self) -> None:
        assert mcnemar(np.ones(3, bool), np.ones(3, bool)).p == 1.0

    def test_says_what_it_assumes(self) -> None:
        assert mcnemar(np.ones(3, bool), np.ones(3, bool)).assumes == INDEPENDENT

    @pytest.mark.parametrize("shape", [(4,), (0,), (1, 3)])
    def test_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(DataError, match="one verdict a recording and system"):
            mcnemar(np.ones(3 if shape != (0,) else 0, bool), np.ones(shape, bool))


class TestHolm:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
    def test_equals_the_closed_test_of_bonferroni(self, p_values: list[float]) -> None:
        """Holm's procedure is the closure of Bonferroni's: the largest p of all groups of
        hypotheses that hold the one in question."""
        indices = range(len(p_values))
        groups = [g for k in indices for g in itertools.combinations(indices, k + 1)]
        closed = [
            max(min(1.0, len(g) * min(p_values[j] for j in g)) for g in groups if i in g)
            for i in indices
        ]
        assert holm(p_values) == pytest.approx(closed)

    def test_worked_example(self) -> None:
        """Four tests at 0.01, 0.04, 0.03, 0.005: times 3, 1 (not below its forerunner), 2, 4."""
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_of_none_and_of_one(self) -> None:
        assert holm([]) == []
        assert holm([0.03]) == [0.03]

    @pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
    def test_no_p_value(self, p: float) -> None:
        with pytest.raises(UsageError, match="p values from 0 to 1"):
            holm([0.5, p])


def differences(*, mean: float, deviation: float, n: int) -> NDArray[np.float64]:
    values = np.random.default_rng(0).normal(size=n)
    return np.asarray(mean + deviation * (values - values.mean()) / values.std(ddof=1))


class TestCorrectedT:
    def test_published_example(self) -> None:
        """Two classifiers over 10 x 10 folds of 100 points in scikit-learn's documentation
        ("Statistical comparison of models using grid search"): t 0.750, one-sided p 0.227, where
        the uncorrected t is 2.611."""
        values = differences(mean=0.01, deviation=0.0382971, n=100)
        found = corrected_t(values, n_train=90, n_test=10)
        assert found.t == pytest.approx(0.750, abs=0.001)
        assert found.p / 2 == pytest.approx(0.227, abs=0.001)
        assert stats.ttest_1samp(values, 0).statistic == pytest.approx(2.611, abs=0.001)
        assert found.df == 99

    def test_without_shared_recordings_it_is_the_plain_test(self) -> None:
        values = differences(mean=0.02, deviation=0.05, n=25)
        found = corrected_t(values, n_train=1e12, n_test=1)
        plain = stats.ttest_1samp(values, 0)
        assert (found.t, found.p) == pytest.approx((plain.statistic, plain.pvalue))
        low, high = plain.confidence_interval(0.95)
        assert (found.difference.low, found.difference.high) == pytest.approx((low, high))

    def test_the_interval_and_the_test_agree(self) -> None:
        """The bound of the level 1 - p interval is 0."""
        found = corrected_t(differences(mean=0.02, deviation=0.05, n=25), n_train=512, n_test=128)
        again = corrected_t(
            differences(mean=0.02, deviation=0.05, n=25), n_train=512, n_test=128, level=1 - found.p
        )
        assert again.difference.low == pytest.approx(0, abs=1e-9)

    def test_models_that_never_differ(self) -> None:
        found = corrected_t([0.0] * 25, n_train=4, n_test=1)
        assert (found.t, found.p, found.difference.high) == (0.0, 1.0, 0.0)

    def test_a_difference_without_spread_cannot_be_judged(self) -> None:
        with pytest.raises(DataError, match="vary from fold to fold"):
            corrected_t([0.25] * 5, n_train=4, n_test=1)

    @pytest.mark.parametrize("values", [[], [0.1], [0.1, math.nan], [[0.1, 0.2]]])
    def test_differences(self, values: list[float]) -> None:
        with pytest.raises(DataError, match="each of two or more folds"):
            corrected_t(values, n_train=4, n_test=1)

    @pytest.mark.parametrize(
        "bad", [{"level": 95.0}, {"n_train": 0}, {"n_test": -1}, {"level": math.nan}]
    )
    def test_settings(self, bad: dict[str, float]) -> None:
        with pytest.raises(UsageError, match="recordings on both sides"):
            corrected_t([0.1, 0.2], **({"n_train": 4, "n_test": 1} | bad))


class TestEvaluate:
    def test_every_pair_better_first_with_the_parts_it_is_made_of(self) -> None:
        random = np.random.default_rng(4)
        of = grouped(np.repeat(np.arange(30), 4))
        correct = {
            name: random.random((3, 120)) < share
            for name, share in (("lstm", 0.4), ("conv", 0.9), ("residual", 0.6))
        }
        pairs = evaluate(correct, of)
        assert [(c.a, c.b) for c in pairs] == [
            ("conv", "residual"),
            ("conv", "lstm"),
            ("residual", "lstm"),
        ]
        assert [c.p_holm for c in pairs] == holm([c.sign_flip.p for c in pairs])
        for c in pairs:
            assert c.sign_flip == sign_flip(correct[c.a], correct[c.b], of)
            assert c.difference.mean == pytest.approx(c.sign_flip.difference)  # one and the same
            terms = [Term(correct[c.a], of, c.a), Term(correct[c.b], of, c.b, -1)]
            assert c.difference == interval(terms)
            assert c.mcnemar is None  # a mean over seeds has no single verdicts

    def test_single_verdicts_get_mcnemar_beside(self) -> None:
        a, b, of = made(3)
        (pair,) = evaluate({"a": a, "b": b}, of)
        first, second = (a, b) if a.mean() >= b.mean() else (b, a)
        assert pair.mcnemar == mcnemar(first[0], second[0])
        assert json.loads(json.dumps(asdict(pair)))["mcnemar"]["assumes"] == INDEPENDENT

    def test_a_single_model_has_nothing_to_be_compared_with(self) -> None:
        a, _, of = made(3)
        assert evaluate({"a": a}, of) == []
