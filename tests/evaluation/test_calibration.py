"""Calibration: scikit-learn, SciPy, models of known calibration, bad input."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special
from sklearn import metrics as sk
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator

from ostinato.errors import DataError, UsageError
from ostinato.evaluation import apply_temperature
from ostinato.evaluation.calibration import (
    TEMPERATURES,
    brier,
    ece,
    ece_if_calibrated,
    evaluate,
    fit_temperature,
    nll,
    reliability,
    verdicts,
)
from ostinato.evaluation.significance import INDEPENDENT, wilson


def drawn(
    seed: int, n: int = 290, *, n_genres: int = 10, temperature: float = 1.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels drawn from a model's probabilities, which it then states at another temperature.

    A temperature of 1 is perfect calibration; one of 2 mends what was stated.
    """
    random = np.random.default_rng(seed)
    logits = 1.5 * random.normal(size=(n, n_genres))
    truth = special.softmax(logits, axis=1)
    labels = (random.random((n, 1)) > truth.cumsum(axis=1)).sum(axis=1).clip(max=n_genres - 1)
    return labels, special.softmax(logits * temperature, axis=1)


class TestScores:
    def test_negative_log_likelihood_equals_scikit_learn(self) -> None:
        labels, probabilities = drawn(0)
        oracle = sk.log_loss(labels, probabilities, labels=range(10))
        assert nll(labels, probabilities) == pytest.approx(oracle, rel=1e-9)

    def test_brier_equals_scikit_learn(self) -> None:
        """Brier's original form: scikit-learn halves it only for two classes unless told."""
        labels, probabilities = drawn(1)
        oracle = sk.brier_score_loss(labels, probabilities, labels=range(10), scale_by_half=False)
        assert brier(labels, probabilities) == pytest.approx(oracle, rel=1e-9)

    def test_ends_of_their_ranges(self) -> None:
        labels = np.array([0, 1])
        assert brier(labels, np.eye(2)) == 0
        assert brier(labels, np.eye(2)[::-1]) == 2
        assert nll(labels, np.eye(2)) == 0
        assert nll(labels, np.eye(2)[::-1]) == pytest.approx(-math.log(1e-12))  # not infinite


class TestReliability:
    @pytest.mark.parametrize("digits", [17, 1])
    def test_points_equal_scikit_learn(self, digits: int) -> None:
        """Rounded to one digit, confidences are equal by dozens, and bins become fewer."""
        correct, confidences = verdicts(*drawn(2))
        confidences = confidences.round(digits)
        shares, means = calibration_curve(correct, confidences, n_bins=10, strategy="quantile")
        points = reliability(correct, confidences)
        assert [p.accuracy.mean for p in points] == pytest.approx(shares.tolist())
        assert [p.confidence for p in points] == pytest.approx(means.tolist())

    def test_bins_have_equal_mass(self) -> None:
        points = reliability(*verdicts(*drawn(3, 300)))
        assert [p.n for p in points] == [30] * 10
        assert [p.confidence for p in points] == sorted(p.confidence for p in points)

    def test_equal_confidences_are_one_bin(self) -> None:
        """However they are ordered: sorted by genre, parts of them could differ without end."""
        correct = np.repeat([True, False], 50)
        (point,) = reliability(correct, np.full(100, 0.5))
        assert (point.n, point.confidence) == (100, 0.5)
        assert point.accuracy == wilson(0.5, 100)
        assert ece(correct, np.full(100, 0.5)) == 0

    def test_fewer_verdicts_than_bins(self) -> None:
        points = reliability(np.array([True, False, True]), np.array([0.9, 0.4, 0.6]))
        assert [p.n for p in points] == [1, 1, 1]


class TestExpectedCalibrationError:
    def test_by_hand(self) -> None:
        """Two bins: right 1 of 2 at 0.4, 2 of 2 at 0.8: (2 x 0.1 + 2 x 0.2) / 4."""
        correct = np.array([True, False, True, True])
        assert ece(correct, np.array([0.3, 0.5, 0.7, 0.9]), n_bins=2) == pytest.approx(0.15)

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 50), n_bins=st.integers(1, 20))
    def test_is_a_share_at_least_as_large_as_the_overall_gap(
        self, seed: int, n: int, n_bins: int
    ) -> None:
        correct, confidences = verdicts(*drawn(seed, n))
        error = ece(correct, confidences, n_bins=n_bins)
        assert abs(correct.mean() - confidences.mean()) - 1e-12 <= error <= 1

    def test_range_is_that_of_calibrated_models(self) -> None:
        """400 calibrated models: 95 % fall within their own 95 % range, to within 0.033."""
        inside, errors = [], []
        for seed in range(400):
            correct, confidences = verdicts(*drawn(seed, 290))
            error = ece(correct, confidences)
            about = ece_if_calibrated(confidences, n_draws=300, seed=seed)
            inside.append(about.low <= error <= about.high)
            errors.append(error - about.mean)
        assert 0.915 <= np.mean(inside) <= 0.98
        assert abs(np.mean(errors)) < 0.003  # nor is its mean off

    def test_at_290_tracks_perfect_calibration_shows_as_six_hundredths(self) -> None:
        """Which is why an ECE is nothing without its range."""
        confidences = np.random.default_rng(0).uniform(0.2, 1, 290)
        assert ece_if_calibrated(confidences).mean == pytest.approx(0.06, abs=0.003)

    def test_an_overconfident_model_is_outside_and_more_tracks_tell_finer(self) -> None:
        correct, confidences = verdicts(*drawn(4, 290, temperature=2))
        assert ece(correct, confidences) > ece_if_calibrated(confidences).high
        _, many = verdicts(*drawn(5, 20_000))
        assert ece_if_calibrated(many, n_draws=200).mean < 0.01

    def test_blocks_of_draws_make_no_difference(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Uniform numbers are drawn in the same order, so the range is the very same."""
        _, confidences = verdicts(*drawn(6))
        whole = ece_if_calibrated(confidences, n_draws=100)
        monkeypatch.setattr("ostinato.evaluation.calibration._CELLS", 1000)
        assert ece_if_calibrated(confidences, n_draws=100) == whole


class Stated(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose features are the probabilities that it states."""

    def __init__(self, n_genres: int = 10) -> None:
        self.n_genres = n_genres

    def fit(self, X: NDArray[np.float64], y: NDArray[np.int64]) -> Stated:
        self.classes_ = np.arange(self.n_genres)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.int64]:
        return X.argmax(axis=1)

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return X


class TestTemperature:
    def test_equals_scikit_learn(self) -> None:
        labels, probabilities = drawn(7, 600, temperature=1.7)
        oracle = CalibratedClassifierCV(
            FrozenEstimator(Stated().fit(probabilities, labels)), method="temperature"
        ).fit(probabilities, labels)
        ours = apply_temperature(probabilities, fit_temperature(labels, probabilities))
        np.testing.assert_allclose(ours, oracle.predict_proba(probabilities), atol=1e-4)

    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
    def test_the_true_one_is_found(self, temperature: float) -> None:
        labels, probabilities = drawn(8, 5000, temperature=temperature)
        assert fit_temperature(labels, probabilities) == pytest.approx(temperature, rel=0.05)

    def test_is_the_minimum(self) -> None:
        labels, probabilities = drawn(9, temperature=3)
        best = fit_temperature(labels, probabilities)

        def loss(temperature: float) -> float:
            return nll(labels, apply_temperature(probabilities, temperature))

        assert all(loss(best) <= loss(t) + 1e-12 for t in np.geomspace(*TEMPERATURES, 200))

    def test_fitted_it_mends_the_calibration_of_other_tracks(self) -> None:
        found = fit_temperature(*drawn(10, 639, temperature=3))
        labels, stated = drawn(11, 290, temperature=3)
        mended = evaluate(labels, apply_temperature(stated, found))
        raw = evaluate(labels, stated)
        assert raw.ece > raw.ece_if_calibrated.high
        assert mended.ece <= mended.ece_if_calibrated.high
        assert mended.nll < raw.nll
        assert mended.brier < raw.brier

    def test_where_none_fits_it_is_at_the_bound(self) -> None:
        """Right every time: the sharper the better; wrong every time: the blunter."""
        probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
        assert fit_temperature(np.array([0, 1]), probabilities) == pytest.approx(0.05, rel=1e-3)
        assert fit_temperature(np.array([1, 0]), probabilities) == pytest.approx(20, rel=1e-3)


class TestEvaluate:
    def test_holds_all_and_is_plain_for_json(self) -> None:
        labels, probabilities = drawn(12)
        found = evaluate(labels, probabilities, n_bins=5, n_draws=100)
        correct, confidences = verdicts(labels, probabilities)
        assert found.nll == nll(labels, probabilities)
        assert found.ece == ece(correct, confidences, n_bins=5)
        assert len(found.reliability) == 5
        plain = json.loads(json.dumps(found.to_dict()))
        assert plain["reliability"][0]["accuracy"]["assumes"] == INDEPENDENT
        assert plain["ece_if_calibrated"]["mean"] > 0


class TestBadInput:
    def test_logits(self) -> None:
        with pytest.raises(DataError, match="are these logits"):
            evaluate(np.array([0, 1]), np.array([[2.0, -1.0], [0.5, 0.5]]))
        with pytest.raises(DataError, match="sums from 1 to 2"):
            evaluate(np.array([0, 1]), np.array([[1.0, 1.0], [0.5, 0.5]]))

    def test_labels_that_are_no_genre(self) -> None:
        with pytest.raises(DataError, match="labels from 0 to 1, got 0 to 2"):
            nll(np.array([0, 2]), np.full((2, 2), 0.5))

    @pytest.mark.parametrize("n", [0, 3])
    def test_shapes(self, n: int) -> None:
        with pytest.raises(DataError, match="one or more labels"):
            brier(np.zeros(n, np.int64), np.full((2, 2) if n else (0, 2), 0.5))

    def test_probabilities_that_are_not_numbers(self) -> None:
        with pytest.raises(DataError, match="training diverged"):
            fit_temperature(np.array([0]), np.array([[math.nan, 1.0]]))

    def test_confidences(self) -> None:
        right = np.ones(2, bool)
        for confidences in ([0.5, math.nan], [0.5, 1.5], [-0.1, 0.5]):
            with pytest.raises(DataError, match="confidences from 0 to 1"):
                ece(right, np.array(confidences))
        with pytest.raises(DataError, match="a confidence for every verdict"):
            ece(right, np.array([0.5]))

    def test_settings(self) -> None:
        labels, probabilities = drawn(0)
        with pytest.raises(UsageError, match="one bin or more"):
            evaluate(labels, probabilities, n_bins=0)
        with pytest.raises(UsageError, match="at least one draw"):
            evaluate(labels, probabilities, n_draws=0)
        assert evaluate(labels, probabilities, n_draws=1).ece_if_calibrated.mean >= 0
