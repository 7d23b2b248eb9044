"""Augmentation of windows of frames, on the batch.

Axes: B batch, T frames, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor


def add_noise(x: Tensor, deviation: Tensor) -> Tensor:
    """Add Gaussian noise to every value (Bishop 1995: training with noise is regularisation).

    Parameters
    ----------
    x : tensor [shape=(B, T, F)]
    deviation : tensor [shape=(F,)]
        Of the noise, for each feature, in the units of the frames.
    """
    return x + deviation * torch.randn_like(x)


def mixup(x: Tensor, *, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Blend every window with another one of the batch (Zhang et al. 2018).

    Parameters
    ----------
    x : tensor [shape=(B, T, F)]
    alpha : float
        Both parameters of the Beta distribution of the shares; 0 leaves the windows alone.

    Returns
    -------
    blended : tensor [shape=(B, T, F)]
    partners : int64 tensor [shape=(B,)]
        Position of the window that each was blended with.
    share : tensor [shape=(B,)]
        Share of the window itself, at least a half, so that it stays the main one.
    """
    B = len(x)
    if alpha == 0:
        return x, torch.arange(B), x.new_ones(B)
    shape = torch.full((B,), alpha)
    share = torch.distributions.Beta(shape, shape).sample().to(x)
    share = torch.maximum(share, 1 - share)
    partners = torch.randperm(B, device=x.device)
    weight = share[:, None, None]
    return weight * x + (1 - weight) * x[partners], partners, share
