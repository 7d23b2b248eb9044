"""ConvLSTM: convolutions in place of an LSTM's matrix products (Shi et al. 2015).

A track's texture windows are cut into patches of time x coefficients, and the patches are the
steps of the sequence: inside a patch the layer convolves, from patch to patch it remembers. Each
layer's outputs go through batch normalisation (Ioffe and Szegedy 2015), and the coefficients are
pooled by two after the first one.

Axes: B batch, T frames, F coefficients of a frame, N patches, K channels, P texture windows of a
patch, G genres.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from ostinato.errors import UsageError
from ostinato.models.layers.conv_lstm import ConvLSTM2d
from ostinato.models.layers.normalisation import (
    TEXTURE,
    FrameNormalisation,
    GenreModel,
    TextureWindows,
)
from ostinato.models.layers.pooling import PoolKind, check_pooling, make_pool
from ostinato.models.settings import check_dropout


@dataclass(frozen=True, kw_only=True)
class ConvLSTMSettings:
    """Settings of the ConvLSTM.

    Attributes
    ----------
    channels : tuple of int
        Channels of each layer.
    kernel : int
        Side of the square kernels, odd; no wider than neighbours of a place of a patch lie apart,
        so at most ``2 * patch - 1``.
    patch : int
        Texture windows of a patch.
    peepholes : bool
        Whether gates see the cell, by a weight for every channel and place (Shi et al. 2015). A
        window must then hold a whole patch.
    dropout : float
        Before the head, in [0, 1).
    channel_dropout : float
        Drops whole channels between layers (Tompson et al. 2015), in [0, 1).
    texture_frames : int
        Length of a texture window, in frames.
    pooling : str
        Over time, one of :data:`ostinato.models.layers.pooling.POOLINGS`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    channels: tuple[int, ...] = (8, 16)
    kernel: int = 3
    patch: int = 2
    peepholes: bool = False
    dropout: float = 0.5
    channel_dropout: float = 0.4
    texture_frames: int = 18
    pooling: PoolKind = "mean-max"

    def __post_init__(self) -> None:
        if not self.channels or min(self.channels) < 1 or self.patch < 1:
            raise UsageError(
                "Expected at least one layer of at least one channel, and patches of at least one "
                f"texture window; got channels {self.channels}, patch {self.patch}."
            )
        check_kernel(self.kernel, self.patch, "texture windows of a patch")
        check_dropout(self, "dropout", "channel_dropout")
        check_pooling(self.pooling)


def layer_spaces(n_features: int, depth: int, kernel: int) -> tuple[int, ...]:
    """Coefficients that each of the layers sees: all of them, and half after the first layer.

    Raises
    ------
    UsageError
        If the kernel is too wide for one of them.
    """
    spaces = (n_features,) + (depth - 1) * (n_features // 2,)
    check_kernel(kernel, spaces[-1], "coefficients of the last layer")
    return spaces


def cut_patches(x: Tensor, length: int) -> Tensor:
    """Cut texture windows (B, S, 3 F) into patches (B, N, 3, P, F) of some windows' length.

    A sequence shorter than a patch is one patch of its own length; windows after the last whole
    patch are left out.
    """
    B, S, _ = x.shape
    P = min(length, S)
    N = S // P
    x = x[:, : N * P].reshape(B, N, P, len(TEXTURE), -1)
    return x.transpose(2, 3)  # (B, N, 3, P, F)


def check_kernel(kernel: int, n_places: int, places: str) -> None:
    """Refuse a kernel that is even, or of which a part never sees anything but the border.

    Raises
    ------
    UsageError
    """
    if kernel < 1 or kernel % 2 == 0:
        raise UsageError(f"Expected an odd kernel, got {kernel}.")
    if kernel > 2 * n_places - 1:
        raise UsageError(
            f"Expected a kernel of at most {2 * n_places - 1}, the most that {n_places} {places} "
            f"can fill, got {kernel}."
        )


class ConvLSTMClassifier(GenreModel):
    """Frames (B, T, F) -> logits (B, G).

    Parameters
    ----------
    n_features, n_genres : int
        F and G.
    settings : ConvLSTMSettings
    """

    def __init__(self, n_features: int, n_genres: int, settings: ConvLSTMSettings) -> None:
        super().__init__()
        self.patch = settings.patch
        self.normalise = FrameNormalisation(n_features)
        self.texture = TextureWindows(n_features, settings.texture_frames)
        sizes = (len(TEXTURE), *settings.channels)
        spaces = layer_spaces(n_features, len(settings.channels), settings.kernel)
        self.layers = nn.ModuleList(
            ConvLSTM2d(
                n_in,
                n_out,
                settings.kernel,
                peepholes=settings.peepholes,
                space=(settings.patch, space),
            )
            for (n_in, n_out), space in zip(itertools.pairwise(sizes), spaces, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for n_out in settings.channels)
        self.between = nn.Dropout2d(settings.channel_dropout)
        self.pool = make_pool(settings.pooling, settings.channels[-1] * spaces[-1])
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.pool.width, n_genres)

    def recurrent_layers(self) -> list[nn.Module]:
        """Its recurrent layers, the first one first."""
        return list(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.patches(self.texture(self.normalise(x)))  # (B, N, 3, P, F)
        B, N = x.shape[:2]
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(layer(x)[0].flatten(0, 1))  # (B N, K, P, F)
            if i == 0 and len(self.layers) > 1:
                x = functional.max_pool2d(x, (1, 2))  # (B N, K, P, F / 2)
            if i < len(self.layers) - 1:
                x = self.between(x)
            x = x.view(B, N, *x.shape[1:])  # (B, N, K, P, F)
        x = x.transpose(2, 3).flatten(1, 2).flatten(2)  # (B, N P, K F): time, then all else
        logits: Tensor = self.head(self.dropout(self.pool(x)))  # (B, G)
        return logits

    def patches(self, x: Tensor) -> Tensor:
        """Texture windows (B, S, 3 F) as patches (B, N, 3, P, F); see :func:`cut_patches`."""
        return cut_patches(x, self.patch)
