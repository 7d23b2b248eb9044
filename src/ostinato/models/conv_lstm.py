"""ConvLSTM: convolutions in place of an LSTM's matrix products (Shi et al. 2015).

A track's texture windows are cut into patches of time x coefficients, and the patches are the
steps of the sequence: inside a patch the layer convolves, from patch to patch it remembers. Each
layer's outputs go through batch normalisation (Ioffe and Szegedy 2015), and the coefficients are
pooled by two after the first one.

Axes: B batch, T frames, S texture windows, C statistics of one, F coefficients, N steps (patches),
K channels, P texture windows of a patch, G genres; "space" stands for P, F.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.genre_model import Network
from ostinato.models.layers.conv_lstm import ConvLSTM2d
from ostinato.models.layers.texture import make_texture
from ostinato.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class ConvSettings(NetworkSettings):
    """Settings of every ConvLSTM.

    Attributes
    ----------
    channels : tuple of int
        Channels of each layer.
    kernel : int
        Places that a kernel covers along each axis, odd.
    channel_dropout : float
        Drops whole channels between layers (Tompson et al. 2015), in [0, 1).
    texture_frames : int
        Length of a texture window, in frames; 1 takes the frames themselves, in one channel.
    """

    channels: tuple[int, ...] = (8, 16)
    kernel: int = 3
    dropout: float = 0.5
    channel_dropout: float = 0.4
    texture_frames: int = 18

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.channels or min(self.channels) < 1:
            raise UsageError(
                "Expected at least one layer of at least one channel; got channels "
                f"{self.channels}."
            )
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise UsageError(f"Expected an odd kernel, got {self.kernel}.")


@dataclass(frozen=True, kw_only=True)
class PatchSettings(ConvSettings):
    """Settings of a ConvLSTM over patches.

    Attributes
    ----------
    patch : int
        Texture windows of a patch; the kernel is at most ``2 * patch - 1``.
    """

    patch: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch < 1:
            raise UsageError(
                f"Expected patches of at least one texture window; got patch {self.patch}."
            )
        check_kernel(self.kernel, self.patch, "texture windows of a patch")


@dataclass(frozen=True, kw_only=True)
class ConvLSTMSettings(PatchSettings):
    """Settings of the ConvLSTM.

    Attributes
    ----------
    peepholes : bool
        Whether gates see the cell, by a weight for every channel and place (Shi et al. 2015). A
        window must then hold a whole patch.
    """

    peepholes: bool = False


def check_kernel(kernel: int, n_places: int, places: str) -> None:
    """Refuse a kernel of which a part never sees anything but the border."""
    if kernel > 2 * n_places - 1:
        raise UsageError(
            f"Expected a kernel of at most {2 * n_places - 1}, the most that {n_places} {places} "
            f"can fill, got {kernel}."
        )


class ConvLSTMClassifier(Network):
    """Frames (B, T, F) -> logits (B, G); other ConvLSTM families replace some of its methods."""

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: ConvSettings) -> None:
        super().__init__(spec)
        F, depth = spec.n_features, len(settings.channels)
        spaces = (F,) + (depth - 1) * (F // 2,)  # coefficients that each layer sees
        check_kernel(settings.kernel, spaces[-1], "coefficients of the last layer")
        self.texture = make_texture(F, settings.texture_frames)
        channels = (self.texture.n_features // F, *settings.channels)
        sizes = zip(itertools.pairwise(channels), spaces, strict=True)
        self.add_layers(settings, [(n_in, n_out, space) for (n_in, n_out), space in sizes])
        self.add_head(settings.channels[-1] * spaces[-1], n_genres, settings)

    def add_layers(self, settings: Any, sizes: list[tuple[int, int, int]]) -> None:
        """Add the layers, each of channels in, channels out, and coefficients."""
        self.patch = settings.patch
        self.layers = nn.ModuleList(
            ConvLSTM2d(
                n_in,
                n_out,
                settings.kernel,
                peepholes=settings.peepholes,
                space=(settings.patch, space),
            )
            for n_in, n_out, space in sizes
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for _, n_out, _ in sizes)
        self.between: nn.Module = nn.Dropout2d(settings.channel_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.steps(self.texture(self.normalise(x)))  # (B, N, C, *space)
        last = len(self.layers) - 1
        for i in range(last + 1):
            y = self.layer(i, x)  # (B N, K, *space)
            if i == 0 and last > 0:
                y = functional.max_pool2d(y, (1, 2))  # (B N, K, ..., F / 2)
            if i < last:
                y = self.between(y)
            x = y.view(*x.shape[:2], *y.shape[1:])  # (B, N, K, *space)
        return self.classify(self.sequence(x))

    def steps(self, x: Tensor) -> Tensor:
        """Cut texture windows (B, S, C F) into patches (B, N, C, P, F).

        A sequence shorter than a patch is one patch of its own length; windows after the last whole
        patch are left out.
        """
        B, S, _ = x.shape
        P = min(self.patch, S)
        N = S // P
        x = x[:, : N * P].reshape(B, N, P, -1, len(self.normalise.mean))
        return x.transpose(2, 3)  # (B, N, C, P, F)

    def layer(self, i: int, x: Tensor) -> Tensor:
        """Run a layer over all steps: (B, N, K_in, *space) -> (B N, K, *space)."""
        y: Tensor = self.norms[i](self.layers[i](x)[0].flatten(0, 1))
        return y

    def sequence(self, x: Tensor) -> Tensor:
        """Vectors in time: (B, N, K, P, F) -> (B, N P, K F)."""
        return x.transpose(2, 3).flatten(1, 2).flatten(2)
