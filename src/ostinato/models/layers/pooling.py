"""Pooling over time: a sequence (B, S, H) becomes one vector (B, width).

==============  ====================================================================================
``last``        the state after the last step; of a layer that runs both ways, each direction's own
                last one
``mean``        the mean over the steps
``mean-max``    the mean and the maximum, side by side
``attention``   a weighted mean, its weights learned from the steps themselves: softmax over time of
                ``v . tanh(W x + b)`` (Bahdanau, Cho and Bengio 2015; Lin et al. 2017)
==============  ====================================================================================

Axes: B batch, S steps, H width of a step.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ostinato.errors import UsageError

PoolKind = Literal["last", "mean", "mean-max", "attention"]
POOLINGS: tuple[PoolKind, ...] = get_args(PoolKind)


class Pool(nn.Module):
    """The base of every pooling: (B, S, H) -> (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class LastPool(Pool):
    """The last state: (B, S, H) -> (B, H).

    With ``bidirectional`` the second half of H ran backwards, and so ended at the first step.
    """

    def __init__(self, width: int, *, bidirectional: bool = False) -> None:
        super().__init__(width)
        self.bidirectional = bidirectional

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, S, H)."""
        if not self.bidirectional:
            return x[:, -1]  # (B, H)
        half = self.width // 2
        return torch.cat([x[:, -1, :half], x[:, 0, half:]], dim=1)  # (B, H)


class MeanPool(Pool):
    """The mean over time: (B, S, H) -> (B, H)."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, S, H)."""
        return x.mean(dim=1)  # (B, H)


class MeanMaxPool(Pool):
    """The mean and the maximum over time: (B, S, H) -> (B, 2 H)."""

    def __init__(self, width: int) -> None:
        super().__init__(2 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, S, H)."""
        return torch.cat([x.mean(dim=1), x.amax(dim=1)], dim=1)  # (B, 2 H)


class AttentionPool(Pool):
    """The mean over time by learned weights: (B, S, H) -> (B, H)."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def weights(self, x: Tensor) -> Tensor:
        """Weight of every step of (B, S, H), with sum 1 [shape=(B, S, 1)]."""
        return torch.softmax(self.score(torch.tanh(self.hidden(x))), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, S, H)."""
        return (self.weights(x) * x).sum(dim=1)  # (B, H)


def check_pooling(kind: str) -> None:
    """Refuse a pooling that is none of :data:`POOLINGS`."""
    if kind not in POOLINGS:
        raise UsageError(f"Expected a pooling of {', '.join(POOLINGS)}; got '{kind}'.")


def make_pool(kind: str, width: int, *, bidirectional: bool = False) -> Pool:
    """A pooling by its name in :data:`POOLINGS`, of steps of a width H.

    ``bidirectional``: the second half of H runs backwards, which matters to ``last`` alone.
    """
    check_pooling(kind)
    if kind == "last":
        return LastPool(width, bidirectional=bidirectional)
    kinds = {"mean": MeanPool, "mean-max": MeanMaxPool, "attention": AttentionPool}
    return kinds[kind](width)
