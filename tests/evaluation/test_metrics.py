"""Metrics, held against scikit-learn; absent genres and genres that nothing was called."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ostinato.errors import DataError
from ostinato.evaluation.metrics import Metrics, confusion_matrix, evaluate, genre_metrics

GENRES = ("blues", "disco", "jazz", "metal", "reggae", "rock")


class Case(NamedTuple):
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    genres: tuple[str, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Verdicts of a bad to middling classifier; some genres absent, some never called."""
    k = draw(st.integers(2, len(GENRES)))
    present = draw(st.lists(st.integers(0, k - 1), min_size=1, unique=True))
    called = draw(st.lists(st.integers(0, k - 1), min_size=1, unique=True))
    n = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    probabilities = random.random((n, k)) + 1e-3
    probabilities[:, called] += 2  # the others come last, always
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Case(random.choice(np.sort(present), n), probabilities, GENRES[:k])


def one_hot(verdicts: list[int], n_genres: int) -> NDArray[np.float64]:
    return np.eye(n_genres)[verdicts]


class TestAgainstScikitLearn:
    @settings(max_examples=60, deadline=None)
    @given(case=cases())
    def test_every_figure(self, case: Case) -> None:
        labels, probabilities, genres = case
        verdicts, classes = probabilities.argmax(axis=1), np.arange(len(genres))
        ours = evaluate(labels, probabilities, genres)

        assert ours.accuracy == pytest.approx(sklearn.metrics.accuracy_score(labels, verdicts))
        assert ours.loss == pytest.approx(
            sklearn.metrics.log_loss(labels, probabilities, labels=classes)
        )
        np.testing.assert_array_equal(
            ours.confusion, sklearn.metrics.confusion_matrix(labels, verdicts, labels=classes)
        )
        each = sklearn.metrics.precision_recall_fscore_support(
            labels, verdicts, labels=classes, zero_division=0
        )
        assert tuple(ours.per_genre) == genres
        for genre, precision, recall, f1, support in zip(genres, *each, strict=True):
            assert (ours.per_genre[genre].precision, ours.per_genre[genre].recall) == (
                pytest.approx(precision), pytest.approx(recall),
            )  # fmt: skip
            assert ours.per_genre[genre].f1 == pytest.approx(f1)
            assert ours.per_genre[genre].support == support
        macro = sklearn.metrics.precision_recall_fscore_support(
            labels, verdicts, labels=np.unique(labels), average="macro", zero_division=0
        )
        assert (ours.macro_precision, ours.macro_recall, ours.macro_f1) == pytest.approx(macro[:3])

    def test_the_cases_are_those_that_matter(self) -> None:
        """One seeded case in which a genre is absent, another never called, a third neither."""
        labels = np.array([0, 0, 1, 2])
        ours = evaluate(labels, one_hot([0, 3, 0, 2], 4), GENRES[:4])
        assert ours.per_genre["disco"].precision == 0  # never called: nothing to divide by
        assert ours.per_genre["metal"].recall == 0  # absent: nothing to divide by
        assert ours.per_genre["jazz"].f1 == 1


class TestMeans:
    def test_a_genre_that_does_not_occur_does_not_pull_the_mean_down(self) -> None:
        """Otherwise a perfect verdict on a part without blues would not be perfect."""
        metrics = evaluate(np.array([1, 2]), one_hot([1, 2], 3), GENRES[:3])
        assert metrics.macro_f1 == metrics.macro_recall == metrics.macro_precision == 1

    def test_macro_f1_is_the_mean_of_f1_not_the_f1_of_means(self) -> None:
        labels, verdicts = np.array([0, 0, 0, 1]), [0, 1, 1, 1]
        metrics = evaluate(labels, one_hot(verdicts, 2), GENRES[:2])
        assert metrics.macro_f1 == pytest.approx((0.5 + 0.5) / 2)
        precision, recall = metrics.macro_precision, metrics.macro_recall
        assert metrics.macro_f1 != pytest.approx(2 * precision * recall / (precision + recall))

    def test_accuracy_is_the_diagonal_and_recall_weighted_by_support(self) -> None:
        random = np.random.default_rng(5)
        labels = random.integers(0, 6, 200)
        metrics = evaluate(labels, random.dirichlet(np.ones(6), 200), GENRES)
        assert np.trace(metrics.confusion) / 200 == pytest.approx(metrics.accuracy)
        weighted = sum(m.recall * m.support for m in metrics.per_genre.values()) / 200
        assert weighted == pytest.approx(metrics.accuracy)


class TestLoss:
    def test_of_an_even_guess_is_the_logarithm_of_the_number_of_genres(self) -> None:
        metrics = evaluate(np.array([0, 3]), np.full((2, 6), 1 / 6), GENRES)
        assert metrics.loss == pytest.approx(np.log(6))

    def test_a_probability_of_zero_for_the_truth_is_dear_but_finite(self) -> None:
        """One sure error must not make the mean of a whole part infinite."""
        metrics = evaluate(np.array([0]), one_hot([1], 2), GENRES[:2])
        assert metrics.loss == pytest.approx(-np.log(1e-12))

    def test_is_never_below_zero(self) -> None:
        """Also where rounding has made a probability a little more than one."""
        metrics = evaluate(np.array([0]), np.array([[1 + 1e-12, 0.0]]), GENRES[:2])
        assert metrics.loss == 0


class TestConfusion:
    def test_rows_are_the_truth_and_columns_what_was_said(self) -> None:
        confusion = confusion_matrix(np.array([0, 0, 1]), np.array([2, 2, 1]), n_genres=3)
        assert confusion.tolist() == [[0, 0, 2], [0, 1, 0], [0, 0, 0]]
        assert confusion.dtype == np.int64

    def test_of_nothing_is_zero(self) -> None:
        nothing = np.zeros(0, np.int64)
        assert confusion_matrix(nothing, nothing, n_genres=2).tolist() == [[0, 0], [0, 0]]

    def test_genre_metrics_keep_the_order_of_the_genres(self) -> None:
        names = ("rock", "blues")
        assert tuple(genre_metrics(np.eye(2, dtype=np.int64), names)) == names

    @pytest.mark.parametrize(
        ("labels", "verdicts"), [([0, 2], [0, 1]), ([0, 1], [0, 2]), ([-1, 1], [0, 1]), ([0], [])]
    )
    def test_what_is_no_genre_is_not_counted_as_another(
        self, labels: list[int], verdicts: list[int]
    ) -> None:
        """Counting by a flat index would put (0, 2) of two genres into the row of genre 1."""
        with pytest.raises(DataError, match="verdict from 0 to 1 for every recording"):
            confusion_matrix(np.array(labels, np.int64), np.array(verdicts, np.int64), n_genres=2)


class TestBadInput:
    @pytest.mark.parametrize(
        ("labels", "shape"),
        [((0,), (0, 3)), ((4,), (4, 2)), ((4,), (5, 3)), ((4,), (4,)), ((4, 1), (4, 3))],
    )
    def test_shapes(self, labels: tuple[int, ...], shape: tuple[int, ...]) -> None:
        with pytest.raises(DataError, match=r"probabilities of shape \(\d, 3\)"):
            evaluate(np.zeros(labels, np.int64), np.zeros(shape), GENRES[:3])

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_network_that_diverged(self, value: float) -> None:
        """argmax of NaN is a genre: unnoticed, it would be an accuracy."""
        probabilities = np.full((2, 3), 1 / 3)
        probabilities[1, 2] = value
        with pytest.raises(DataError, match="diverged"):
            evaluate(np.array([0, 1]), probabilities, GENRES[:3])

    def test_a_label_that_is_no_genre(self) -> None:
        with pytest.raises(DataError, match="0 to 2"):
            evaluate(np.array([0, -1]), np.full((2, 3), 1 / 3), GENRES[:3])


def test_metrics_are_plain_values_for_json() -> None:
    metrics: Metrics = evaluate(np.array([0, 1, 1]), one_hot([0, 1, 0], 2), GENRES[:2])
    values = json.loads(json.dumps(metrics.to_dict()))
    assert values["confusion"] == [[1, 0], [1, 1]]
    assert values["per_genre"]["disco"] == {
        "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2,
    }  # fmt: skip
    assert values == metrics.to_dict()
