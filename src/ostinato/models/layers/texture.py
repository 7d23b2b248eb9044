"""Texture windows: statistics of short stretches of frames.

Axes: B batch, T frames, F features of a frame, S texture windows, L frames of one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.errors import UsageError

TEXTURE = ("mean", "deviation", "change")
"""The statistics of a texture window, in this order."""


class TextureWindows(nn.Module):
    """Frames -> statistics of short texture windows: (B, T, F) -> (B, S, 3 F).

    For every ``length`` frames: the mean, the deviation, and the deviation of the change from frame
    to frame, of each feature. Genre lives in how timbre varies within about a second more than in
    any one frame (Tzanetakis and Cook 2002, section 3.1.2; their texture window is 1 s), and a
    recurrent network that is given these statistics need not learn to compute them from 442
    tracks. Frames after the last whole window are left out. The statistics are brought to a
    common scale by a batch normalisation without parameters.
    """

    def __init__(self, n_features: int, length: int) -> None:
        super().__init__()
        if length < 3:  # two frames have one change, which has no deviation
            raise UsageError(
                f"Expected texture windows of at least 3 frames, or of 1 for none, got {length}."
            )
        self.length = length
        self.n_features = len(TEXTURE) * n_features
        self.scale = nn.BatchNorm1d(self.n_features, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the statistics of (B, T, F), T >= length."""
        B, T, F = x.shape
        S = T // self.length
        x = x[:, : S * self.length].view(B, S, self.length, F)
        mean, deviation = _moments(x)
        _, change = _moments(x[:, :, 1:] - x[:, :, :-1])
        x = torch.cat([mean, deviation, change], dim=2)  # (B, S, 3 F)
        scaled: Tensor = self.scale(x.transpose(1, 2))  # (B, 3 F, S)
        return scaled.transpose(1, 2)  # (B, S, 3 F)


class SingleFrames(nn.Identity):
    """No texture windows, for frames that last seconds already: (B, T, F) -> (B, T, F)."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features


def make_texture(n_features: int, length: int) -> TextureWindows | SingleFrames:
    """Texture windows of ``length`` frames; for a length of 1, the frames themselves."""
    return SingleFrames(n_features) if length == 1 else TextureWindows(n_features, length)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of (B, S, L, F) over L; ``Tensor.std`` takes five times as long here."""
    mean = x.mean(dim=2)
    squares = (x - mean[:, :, None]).square().sum(dim=2)
    return mean, (squares / (x.shape[2] - 1)).sqrt()  # each (B, S, F)
