"""Several genres a recording: metrics against scikit-learn, and thresholds against all others."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ostinato.errors import DataError
from ostinato.evaluation.multi_label import MultiLabelMetrics, evaluate, f1_thresholds

Case = tuple[NDArray[np.float32], NDArray[np.float64]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Targets and probabilities; some genres never or always there, some probabilities equal."""
    n, k = draw(st.integers(1, 30)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shares = np.array(draw(st.lists(st.sampled_from([0, 0.2, 0.5, 1]), min_size=k, max_size=k)))
    targets = (random.random((n, k)) < shares).astype(np.float32)
    probabilities = np.clip(random.normal(0.3 + 0.3 * targets, 0.25), 0, 1)
    return targets, np.round(probabilities, draw(st.sampled_from([1, 6])))


def names(k: int) -> tuple[str, ...]:
    return tuple(f"g{i}" for i in range(k))


class TestAgainstScikitLearn:
    @settings(max_examples=60, deadline=None)
    @given(case=cases())
    @pytest.mark.filterwarnings("ignore:No positive class")
    def test_every_figure(self, case: Case) -> None:
        targets, probabilities = case
        k = targets.shape[1]
        limits = np.linspace(0.3, 0.7, k)
        named = (probabilities >= limits).astype(int)
        ours = evaluate(targets, probabilities, names(k), thresholds=limits.tolist())
        truth = targets.astype(int)
        assert ours.accuracy == pytest.approx((truth == named).all(axis=1).mean())
        precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
            truth.ravel(), named.ravel(), zero_division=0, labels=[1]
        )
        assert ours.micro_f1 == pytest.approx(f1[0])
        aps = []
        for g, genre in enumerate(names(k)):
            precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
                truth[:, g], named[:, g], zero_division=0, labels=[1]
            )
            own = ours.per_genre[genre]
            assert [own.precision, own.recall, own.f1, own.support] == pytest.approx(
                [precision[0], recall[0], f1[0], support[0]]
            )
            ap = sklearn.metrics.average_precision_score(truth[:, g], probabilities[:, g])
            assert own.average_precision == pytest.approx(ap)
            aps.append(ap)
        there = truth.any(axis=0)
        if there.any():
            assert ours.mean_average_precision == pytest.approx(np.mean(np.array(aps)[there]))
            f1s = sklearn.metrics.f1_score(truth, named, average=None, zero_division=0)
            if k > 1:
                assert ours.macro_f1 == pytest.approx(np.mean(f1s[there]))

    def test_loss_is_the_sum_of_the_binary_losses(self) -> None:
        targets, probabilities = np.array([[1, 0], [1, 1.0]]), np.array([[0.9, 0.2], [0.6, 0.3]])
        each = [
            sklearn.metrics.log_loss(targets[:, g], probabilities[:, g], labels=[0, 1])
            for g in (0, 1)
        ]
        assert evaluate(targets, probabilities, ("a", "b")).loss == pytest.approx(sum(each))


class TestThresholds:
    @settings(max_examples=20, deadline=None)
    @given(case=cases())
    def test_no_other_gives_a_higher_f1(self, case: Case) -> None:
        targets, probabilities = case
        k = targets.shape[1]
        found = f1_thresholds(targets, probabilities)
        for g in range(k):
            if not 0 < targets[:, g].sum() < len(targets):
                assert found[g] == 0.5
                continue
            truth, own = targets[:, g].astype(int), probabilities[:, g]
            scores = [
                sklearn.metrics.f1_score(truth, own >= limit, zero_division=0)
                for limit in (found[g], *np.unique(own))
            ]
            assert scores[0] == pytest.approx(max(scores))

    def test_it_is_half_way_between_what_is_named_and_what_is_not(self) -> None:
        """On other recordings it errs as often to one side as to the other."""
        targets = np.array([[1.0], [1], [0], [0]])
        assert f1_thresholds(targets, np.array([[0.9], [0.8], [0.2], [0.1]])) == (0.5,)


class TestBadInput:
    def test_nothing_occurs(self) -> None:
        found = evaluate(np.zeros((2, 2)), np.full((2, 2), 0.1), ("a", "b"))
        assert (found.macro_f1, found.micro_f1, found.mean_average_precision) == (0, 0, 0)
        assert found.accuracy == 1

    @pytest.mark.parametrize(
        ("targets", "probabilities", "said"),
        [
            (np.zeros((2, 2)), np.zeros((2, 3)), r"one shape .* \(2, 2\) and \(2, 3\)"),
            (np.zeros((0, 2)), np.zeros((0, 2)), "one shape"),
            (np.zeros(3), np.zeros(3), "one shape"),
            (np.full((1, 2), 0.5), np.zeros((1, 2)), "targets of 0 and 1"),
            (np.zeros((1, 2)), np.full((1, 2), np.nan), "training diverged"),
            (np.zeros((1, 2)), np.array([[3.0, -2.0]]), "-2 to 3: are these logits"),
            (np.zeros((1, 3)), np.zeros((1, 3)), "each of 3 genres, got 2 names"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, targets, probabilities, said: str) -> None:
        with pytest.raises(DataError, match=said):
            evaluate(targets, probabilities, ("a", "b"))

    def test_the_figures_are_plain_values(self) -> None:
        found: MultiLabelMetrics = evaluate(np.eye(2), np.eye(2), ("a", "b"))
        assert json.loads(json.dumps(found.to_dict()))["per_genre"]["a"]["f1"] == 1
