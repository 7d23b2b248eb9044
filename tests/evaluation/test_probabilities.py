"""Probabilities, held against SciPy's softmax; their temperature; their mean over windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import DataError, UsageError
from ostinato.evaluation import apply_temperature, pool_windows, softmax


class TestSoftmax:
    @given(temperature=st.floats(0.1, 10), seed=st.integers(0, 2**32 - 1))
    def test_is_that_of_scipy(self, temperature: float, seed: int) -> None:
        logits = np.random.default_rng(seed).normal(0, 5, (7, 4)).astype(np.float32)
        wanted = scipy.special.softmax(logits.astype(np.float64) / temperature, axis=1)
        np.testing.assert_allclose(softmax(logits, temperature=temperature), wanted, atol=1e-12)

    def test_the_logits_of_the_caller_stay_as_they_are(self) -> None:
        logits = np.array([[3.0, 1.0]], np.float64)
        softmax(logits, temperature=2.0)
        np.testing.assert_array_equal(logits, [[3.0, 1.0]])

    def test_temperature_changes_how_sure_a_window_is_not_what_it_says(self) -> None:
        logits = np.array([2.0, 1.0, 0.0], np.float32)
        cold, plain, hot = (softmax(logits, temperature=t) for t in (0.5, 1.0, 4.0))
        assert cold.argmax() == plain.argmax() == hot.argmax() == 0
        assert cold[0] > plain[0] > hot[0]

    @pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
    def test_temperature_must_be_positive(self, temperature: float) -> None:
        """A negative one would turn every verdict upside down."""
        with pytest.raises(UsageError, match="a positive temperature"):
            apply_temperature(np.eye(2), temperature)
        with pytest.raises(UsageError, match="a positive temperature"):
            softmax(np.zeros((1, 2), np.float32), temperature=temperature)


class TestTemperature:
    def test_is_that_of_a_models_logits(self) -> None:
        """On a track of one window it is what the window's logits are divided by."""
        logits = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
        one_each = np.ones(20, dtype=np.int64)
        plain = pool_windows(logits, one_each)
        cooled = softmax(logits, temperature=2.5)
        np.testing.assert_allclose(apply_temperature(plain, 2.5), cooled, atol=1e-6)

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), temperature=st.floats(0.05, 20))
    def test_leaves_distributions_in_their_order(self, seed: int, temperature: float) -> None:
        probabilities = np.random.default_rng(seed).dirichlet(np.ones(4), size=20)
        applied = apply_temperature(probabilities, temperature)
        np.testing.assert_allclose(applied.sum(axis=1), 1)
        assert (applied.argmax(axis=1) == probabilities.argmax(axis=1)).all()
        back = apply_temperature(applied, 1 / temperature)
        if 0.5 < temperature < 2:
            np.testing.assert_allclose(back, probabilities, rtol=1e-6, atol=1e-9)

    def test_zeros_stay_finite(self) -> None:
        assert np.isfinite(apply_temperature(np.eye(3), 0.05)).all()


class TestPooling:
    @given(
        counts=st.lists(st.integers(1, 6), min_size=1, max_size=8), seed=st.integers(0, 2**32 - 1)
    )
    def test_mean_of_the_windows_softmax(self, counts: list[int], seed: int) -> None:
        """Held against SciPy's softmax, track by track."""
        logits = np.random.default_rng(seed).normal(0, 5, (sum(counts), 4)).astype(np.float32)
        pooled = pool_windows(logits, np.array(counts))
        probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
        tracks = np.split(probabilities, np.cumsum(counts)[:-1])
        assert pooled.shape == (len(counts), 4)
        np.testing.assert_allclose(pooled, [t.mean(axis=0) for t in tracks], atol=1e-12)
        np.testing.assert_allclose(pooled.sum(axis=1), 1, atol=1e-12)

    def test_probabilities_are_averaged_not_logits(self) -> None:
        """One window that is very sure must not outvote all the others."""
        logits = np.array([[100.0, 0.0], [0.0, 2.0], [0.0, 2.0]], np.float32)
        assert pool_windows(logits, np.array([3])).argmax() == 1
        assert logits.mean(axis=0).argmax() == 0

    def test_large_logits_do_not_overflow(self) -> None:
        with np.errstate(over="raise", invalid="raise"):
            verdicts = pool_windows(np.array([[3e38, 0.0]], np.float32), np.array([1]))
        np.testing.assert_array_equal(verdicts, [[1.0, 0.0]])

    @pytest.mark.parametrize("counts", [[], [1, 1], [2, 2], [3, 0]])
    def test_counts_must_fit_the_windows(self, counts: list[int]) -> None:
        with pytest.raises(DataError, match=r"add up to 3 windows, got \d+ in \d tracks"):
            pool_windows(np.zeros((3, 2), np.float32), np.array(counts, np.int64))

    def test_no_tracks_at_all(self) -> None:
        with pytest.raises(DataError, match="0 in 0 tracks"):
            pool_windows(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
