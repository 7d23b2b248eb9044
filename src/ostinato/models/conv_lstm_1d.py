"""ConvLSTM along the coefficients (Shi et al. 2015): the steps are texture windows, or frames.

Where :mod:`ostinato.models.conv_lstm` convolves over patches of time x coefficients, here time is
left to the memory alone: every texture window is a step, its coefficients are the line that the
layer convolves along, and its mean, deviation and change are the channels. Each layer's outputs go
through batch normalisation (Ioffe and Szegedy 2015), and the coefficients are pooled by two after
the first one.

Axes: B batch, T frames, F coefficients of a frame, S steps, K channels, G genres.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from ostinato.errors import UsageError
from ostinato.models.conv_lstm import layer_spaces
from ostinato.models.layers.conv_lstm import ConvLSTM1d
from ostinato.models.layers.normalisation import (
    TEXTURE,
    FrameNormalisation,
    GenreModel,
    TextureWindows,
)
from ostinato.models.layers.pooling import PoolKind, check_pooling, make_pool
from ostinato.models.settings import check_dropout


@dataclass(frozen=True, kw_only=True)
class ConvLSTM1dSettings:
    """Settings of the ConvLSTM along the coefficients.

    Attributes
    ----------
    channels : tuple of int
        Channels of each layer.
    kernel : int
        Coefficients that a kernel covers, odd.
    peepholes : bool
        Whether gates see the cell, by a weight for every channel and coefficient.
    dropout : float
        Before the head, in [0, 1).
    channel_dropout : float
        Drops whole channels between layers (Tompson et al. 2015), in [0, 1).
    texture_frames : int
        Length of a texture window, in frames; 1 takes the frames themselves, in one channel.
    pooling : str
        Over time, one of :data:`ostinato.models.layers.pooling.POOLINGS`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    channels: tuple[int, ...] = (12, 24)
    kernel: int = 3
    peepholes: bool = False
    dropout: float = 0.5
    channel_dropout: float = 0.4
    texture_frames: int = 18
    pooling: PoolKind = "mean-max"

    def __post_init__(self) -> None:
        if not self.channels or min(self.channels) < 1:
            raise UsageError(
                "Expected at least one layer of at least one channel; got channels "
                f"{self.channels}."
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise UsageError(f"Expected an odd kernel, got {self.kernel}.")
        check_dropout(self, "dropout", "channel_dropout")
        check_pooling(self.pooling)


class ConvLSTM1dClassifier(GenreModel):
    """Frames (B, T, F) -> logits (B, G).

    Parameters
    ----------
    n_features, n_genres : int
        F and G.
    settings : ConvLSTM1dSettings
    """

    def __init__(self, n_features: int, n_genres: int, settings: ConvLSTM1dSettings) -> None:
        super().__init__()
        self.normalise = FrameNormalisation(n_features)
        self.texture = (
            None
            if settings.texture_frames == 1
            else TextureWindows(n_features, settings.texture_frames)
        )
        sizes = (1 if self.texture is None else len(TEXTURE), *settings.channels)
        spaces = layer_spaces(n_features, len(settings.channels), settings.kernel)
        self.layers = nn.ModuleList(
            ConvLSTM1d(n_in, n_out, settings.kernel, peepholes=settings.peepholes, space=(space,))
            for (n_in, n_out), space in zip(itertools.pairwise(sizes), spaces, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(n_out) for n_out in settings.channels)
        self.between = nn.Dropout1d(settings.channel_dropout)
        self.pool = make_pool(settings.pooling, settings.channels[-1] * spaces[-1])
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.pool.width, n_genres)

    def recurrent_layers(self) -> list[nn.Module]:
        """Its recurrent layers, the first one first."""
        return list(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.lines(self.normalise(x))  # (B, S, 1 or 3, F)
        B, S = x.shape[:2]
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(layer(x)[0].flatten(0, 1))  # (B S, K, F)
            if i == 0 and len(self.layers) > 1:
                x = functional.max_pool1d(x, 2)  # (B S, K, F / 2)
            if i < len(self.layers) - 1:
                x = self.between(x)
            x = x.view(B, S, *x.shape[1:])  # (B, S, K, F)
        logits: Tensor = self.head(self.dropout(self.pool(x.flatten(2))))  # (B, G)
        return logits

    def lines(self, x: Tensor) -> Tensor:
        """The steps of frames (B, T, F): texture windows (B, S, 3, F), or frames (B, T, 1, F)."""
        if self.texture is None:
            return x[:, :, None]  # (B, T, 1, F)
        x = self.texture(x)  # (B, S, 3 F)
        return x.view(*x.shape[:2], len(TEXTURE), -1)  # (B, S, 3, F)
