"""Pooling over time, against what each is defined to be."""

from __future__ import annotations

import pytest
import torch

from ostinato.errors import UsageError
from ostinato.models.layers.pooling import POOLINGS, AttentionPool, make_pool


def test_there_are_poolings_to_test() -> None:
    assert POOLINGS == ("last", "mean", "mean-max", "attention")


@pytest.mark.parametrize("kind", POOLINGS)
def test_the_width_is_what_the_pool_says(kind: str) -> None:
    pool = make_pool(kind, 6)
    assert pool(torch.randn(3, 5, 6)).shape == (3, pool.width)


def test_mean_and_mean_max_are_mean_and_maximum() -> None:
    x = torch.randn(2, 7, 3)
    assert torch.allclose(make_pool("mean", 3)(x), x.mean(1))
    out = make_pool("mean-max", 3)(x)
    assert torch.allclose(out[:, :3], x.mean(1))
    assert torch.equal(out[:, 3:], x.max(1).values)


def test_last_is_where_each_direction_of_an_lstm_ended() -> None:
    """torch.nn.LSTM gives these states itself, as h_n."""
    x = torch.randn(2, 7, 3)
    for both in (False, True):
        lstm = torch.nn.LSTM(3, 4, batch_first=True, bidirectional=both)
        y, (h, _) = lstm(x)  # h: (directions, B, 4)
        pool = make_pool("last", y.shape[2], bidirectional=both)
        assert torch.equal(pool(y), h.transpose(0, 1).flatten(1))


def test_attention_is_a_mean_by_weights_that_add_to_1() -> None:
    x, pool = torch.randn(2, 7, 3), AttentionPool(3)
    weights = pool.weights(x)
    assert weights.shape == (2, 7, 1)
    assert (weights > 0).all()
    assert torch.allclose(weights.sum(1), torch.ones(2, 1))
    by_hand = torch.stack([(weights[b] * x[b]).sum(0) for b in range(2)])
    assert torch.allclose(pool(x), by_hand)


def test_attention_that_prefers_no_step_is_the_mean() -> None:
    pool = AttentionPool(3)
    torch.nn.init.zeros_(pool.score.weight)
    x = torch.randn(2, 7, 3)
    assert torch.allclose(pool(x), x.mean(1), atol=1e-6)


def test_an_unknown_pooling_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"last, mean, mean-max, attention; got 'median'"):
        make_pool("median", 3)
