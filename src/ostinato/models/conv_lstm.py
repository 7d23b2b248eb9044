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

import torch
from torch import Tensor, nn
from torch.nn import functional

from ostinato.errors import UsageError
from ostinato.models.layers import (
    TEXTURE,
    FrameNormalisation,
    GenreModel,
    TextureWindows,
)
from ostinato.models.pooling import PoolKind, check_pooling, make_pool


@dataclass(frozen=True, kw_only=True)
class ConvLSTMSettings:
    """Settings of the ConvLSTM.

    Attributes
    ----------
    channels : tuple of int
        Channels of each layer.
    kernel : int
        Side of the square kernels, odd.
    patch : int
        Texture windows of a patch.
    dropout : float
        Before the head, in [0, 1).
    channel_dropout : float
        Of whole channels, between layers (Tompson et al. 2015), in [0, 1).
    texture_frames : int
        Length of a texture window, in frames.
    pooling : str
        Over time, one of :data:`ostinato.models.pooling.POOLINGS`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    channels: tuple[int, ...] = (8, 16)
    kernel: int = 3
    patch: int = 2
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
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise UsageError(f"Expected an odd kernel, got {self.kernel}.")
        for name in ("dropout", "channel_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"Expected a {name} in [0, 1), got {getattr(self, name)}.")
        check_pooling(self.pooling)


class ConvLSTM2d(nn.Module):
    """One layer: (B, N, K_in, P, F) -> the hidden states (B, N, K_out, P, F).

    Gates in PyTorch's order i, f, g, o; one bias, 1 for the forget gate (Jozefowicz et al. 2015);
    no peepholes. The input's convolutions of all steps are done at once.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel : int
        Side, odd; borders are padded with zeros.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int) -> None:
        super().__init__()
        self.n_out = n_out
        self.from_input = nn.Conv2d(n_in, 4 * n_out, kernel, padding=kernel // 2)
        self.from_hidden = nn.Conv2d(n_out, 4 * n_out, kernel, padding=kernel // 2, bias=False)
        with torch.no_grad():
            assert self.from_input.bias is not None
            self.from_input.bias[n_out : 2 * n_out] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Run over all steps, from a state of zeros."""
        B = len(x)
        steps = x.transpose(0, 1).flatten(0, 1)  # (N B, K_in, P, F)
        # Channels last is the faster layout, and split() lets the gradients of all steps be joined
        # once; indexing them one by one would add up as many tensors as there are steps.
        steps = steps.contiguous(memory_format=torch.channels_last)
        states: list[Tensor] = []
        cell: Tensor | None = None
        for gates in torch.split(self.from_input(steps), B):  # (B, 4 K_out, P, F)
            now = gates if cell is None else gates + self.from_hidden(states[-1])
            i, f, g, o = torch.split(now, self.n_out, dim=1)  # each (B, K_out, P, F)
            new = torch.sigmoid(i) * torch.tanh(g)
            cell = new if cell is None else torch.sigmoid(f) * cell + new
            states.append(torch.sigmoid(o) * torch.tanh(cell))
        return torch.stack(states, dim=1)  # (B, N, K_out, P, F)


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
        self.layers = nn.ModuleList(
            ConvLSTM2d(n_in, n_out, settings.kernel) for n_in, n_out in itertools.pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for n_out in settings.channels)
        self.between = nn.Dropout2d(settings.channel_dropout)
        n_places = n_features // 2 if len(settings.channels) > 1 else n_features
        self.pool = make_pool(settings.pooling, settings.channels[-1] * n_places)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.pool.width, n_genres)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.patches(self.texture(self.normalise(x)))  # (B, N, 3, P, F)
        B, N = x.shape[:2]
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(layer(x).flatten(0, 1))  # (B N, K, P, F)
            if i == 0 and len(self.layers) > 1:
                x = functional.max_pool2d(x, (1, 2))  # (B N, K, P, F / 2)
            if i < len(self.layers) - 1:
                x = self.between(x)
            x = x.view(B, N, *x.shape[1:])  # (B, N, K, P, F)
        x = x.transpose(2, 3).flatten(1, 2).flatten(2)  # (B, N P, K F): time, then all else
        logits: Tensor = self.head(self.dropout(self.pool(x)))  # (B, G)
        return logits

    def patches(self, x: Tensor) -> Tensor:
        """Cut texture windows (B, S, 3 F) into patches (B, N, 3, P, F).

        A sequence shorter than a patch is one patch of its own length; windows after the last
        whole patch are left out.
        """
        B, S, _ = x.shape
        P = min(self.patch, S)
        N = S // P
        x = x[:, : N * P].reshape(B, N, P, len(TEXTURE), -1)
        return x.transpose(2, 3)  # (B, N, 3, P, F)
