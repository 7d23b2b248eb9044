"""ConvLSTM along the coefficients (Shi et al. 2015): the steps are texture windows, or frames.

Where :mod:`ostinato.models.conv_lstm` convolves over patches of time x coefficients, here time is
left to the memory alone: every texture window is a step, its coefficients are the line that the
layer convolves along, and its mean, deviation and change are the channels. All else is as there.

Axes: B batch, S steps, C statistics of a texture window, F coefficients, K channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ostinato.models.conv_lstm import ConvLSTMClassifier, ConvSettings
from ostinato.models.layers.conv_lstm import ConvLSTM1d


@dataclass(frozen=True, kw_only=True)
class ConvLSTM1dSettings(ConvSettings):
    """Settings of the ConvLSTM along the coefficients.

    Attributes
    ----------
    peepholes : bool
        Whether gates see the cell, by a weight for every channel and coefficient.
    """

    channels: tuple[int, ...] = (12, 24)
    peepholes: bool = False


class ConvLSTM1dClassifier(ConvLSTMClassifier):
    """Frames (B, T, F) -> logits (B, G)."""

    def add_layers(self, settings: ConvLSTM1dSettings, sizes: list[tuple[int, int, int]]) -> None:
        """Add the layers, each of channels in, channels out, and coefficients."""
        self.layers = nn.ModuleList(
            ConvLSTM1d(n_in, n_out, settings.kernel, peepholes=settings.peepholes, space=(space,))
            for n_in, n_out, space in sizes
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(n_out) for _, n_out, _ in sizes)
        self.between = nn.Dropout1d(settings.channel_dropout)

    def steps(self, x: Tensor) -> Tensor:
        """Give each statistic a channel: (B, S, C F) -> (B, S, C, F)."""
        return x.view(*x.shape[:2], -1, len(self.normalise.mean))

    def sequence(self, x: Tensor) -> Tensor:
        """Vectors in time: (B, S, K, F) -> (B, S, K F)."""
        return x.flatten(2)
