"""Layers of most families: standardising, and texture windows.

Axes: B batch, T frames, F features of a frame, S steps (texture windows), H width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ostinato.errors import UsageError

State = tuple[Tensor, Tensor]
"""The state of a recurrent layer: h, the hidden state, and c, the cell."""

TexturePart = Literal["mean", "deviation", "change"]
TEXTURE: tuple[TexturePart, ...] = ("mean", "deviation", "change")


class FrameNormalisation(nn.Module):
    """Subtract the mean and divide by the deviation of every feature: (B, T, F) -> (B, T, F).

    The first layer of every model. Its two vectors are fitted once, on the frames of the training
    part, and travel with the weights: they cannot be lost, or fitted on anything else later.
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

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, T, F)."""
        return (x - self.mean) / self.deviation


class GenreModel(nn.Module):
    """The base of every family: frames (B, T, F) -> logits (B, G), normalised first."""

    normalise: FrameNormalisation

    def recurrent_layers(self) -> list[nn.Module]:
        """Its recurrent layers, the first one first: of these training notes the gradients."""
        return []


class TextureWindows(nn.Module):
    """Frames -> statistics of short texture windows: (B, T, F) -> (B, S, 3 F).

    For every ``length`` frames: the mean, the deviation, and the deviation of the change from frame
    to frame, of each feature. Genre lives in how timbre varies within about a second more than in
    any one frame (Tzanetakis and Cook 2002, section 3.1.2; their texture window is 1 s), and a
    recurrent network that is handed these statistics need not learn to compute them from 442
    tracks. Frames after the last whole window are left out. The statistics are brought to a
    common scale by a batch normalisation without parameters.
    """

    def __init__(self, n_features: int, length: int) -> None:
        super().__init__()
        if length < 3:
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


class SingleFrames(nn.Module):
    """No texture windows, for frames that are of seconds already: (B, T, F) -> (B, T, F)."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features

    def forward(self, x: Tensor) -> Tensor:
        """Leave them as they are."""
        return x


def make_texture(n_features: int, length: int) -> TextureWindows | SingleFrames:
    """Texture windows of so many frames; of one frame, the frames themselves.

    Raises
    ------
    UsageError
        If ``length`` is less than 1, or 2, which has no deviation of a change.
    """
    return SingleFrames(n_features) if length == 1 else TextureWindows(n_features, length)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of (B, S, L, F) over L; ``Tensor.std`` takes five times as long here."""
    mean = x.mean(dim=2)
    squares = (x - mean[:, :, None]).square().sum(dim=2)
    return mean, (squares / (x.shape[2] - 1)).sqrt()  # each (B, S, F)


def count_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def check_state(state: State | None, *shapes: tuple[int, ...]) -> None:
    """Refuse a state whose h and c are not of these shapes; one shape stands for both.

    Raises
    ------
    UsageError
    """
    if state is None:
        return
    wanted = shapes * 2 if len(shapes) == 1 else shapes
    got = tuple(tuple(part.shape) for part in state)
    if got != wanted:
        raise UsageError(
            "Expected a state of shapes "
            f"{' and '.join(map(str, wanted))}, got {' and '.join(map(str, got))}."
        )
