"""Standardising frames. Axes: B batch, T frames, F features of a frame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class FrameNormalisation(nn.Module):
    """Subtract the mean and divide by the deviation of every feature: (B, T, F) -> (B, T, F).

    The first layer of every model. Its two vectors are fitted once, on the frames of the training
    part, and saved with the weights: they cannot be lost, or fitted on anything else later.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("deviation", torch.ones(n_features))

    def fit(self, frames: Tensor) -> None:
        """Take means and deviations from training frames [shape=(n_frames, F)]."""
        self.mean.copy_(frames.mean(dim=0))
        self.deviation.copy_(frames.std(dim=0).clamp_min(1e-6))

    def fit_in_pieces(self, pieces: Iterable[NDArray[np.float32]]) -> None:
        """The same from many arrays (n_frames, F), one after the other, in double precision.

        The last digits differ from those of one tensor, which is summed in single precision.
        """
        count, total, squares, origin = 0, np.zeros(()), np.zeros(()), np.zeros(())
        for piece in pieces:
            if not count:
                origin = piece.mean(axis=0, dtype=np.float64)  # keeps the squares small
            x = piece - origin
            count += len(x)
            total, squares = total + x.sum(axis=0), squares + np.square(x).sum(axis=0)
        mean = total / count
        variance = (squares - count * mean**2) / (count - 1)
        self.mean.copy_(torch.from_numpy(origin + mean))
        self.deviation.copy_(torch.from_numpy(np.sqrt(variance.clip(min=0))).clamp_min(1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, T, F)."""
        return (x - self.mean) / self.deviation
