"""The base of every model, and that of the networks among them.

A model names one genre, and its logits become probabilities by a softmax; or, if it is multi-label,
several, by a sigmoid.

Axes: B batch, T frames, F features of a frame, S steps, H width of a step, G genres.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.features import FeatureSpec
from ostinato.models.layers.conv_lstm import ConvLSTM
from ostinato.models.layers.kim_lstm import KimLSTM
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.models.layers.pooling import make_pool
from ostinato.models.settings import NetworkSettings


class GenreModel(nn.Module):
    """The base of every family: frames (B, T, F) -> logits (B, G), normalised first."""

    normalise: FrameNormalisation
    multi_label = False

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities (..., G) of logits (..., G)."""
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=-1)

    def logits(self, probabilities: Tensor) -> Tensor:
        """Logits (..., G) that have these probabilities (..., G)."""
        least = torch.finfo(torch.float32).tiny
        logits = probabilities.clamp_min(least).log()
        if not self.multi_label:
            return logits
        return logits - (1 - probabilities).clamp_min(least).log()

    def recurrent_layers(self) -> list[nn.Module]:
        """Recurrent layers, the first one first; training records their gradients."""
        kinds = (nn.RNNBase, ConvLSTM, KimLSTM)
        return [layer for layer in self.modules() if isinstance(layer, kinds)]


class Network(GenreModel):
    """The base of the networks: a sequence is pooled over time, and the head reads the genres."""

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        self.normalise = FrameNormalisation(spec.n_features)

    def add_head(
        self, width: int, n_genres: int, settings: NetworkSettings, *, bidirectional: bool = False
    ) -> None:
        """Add the layers of :meth:`classify`, after all others: initial weights follow the order.

        ``width`` is H; ``bidirectional`` says whether half of it runs backwards.
        """
        self.pool = make_pool(settings.pooling, width, bidirectional=bidirectional)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.pool.width, n_genres)

    def classify(self, x: Tensor) -> Tensor:
        """Logits of sequences: (B, S, H) -> (B, G)."""
        logits: Tensor = self.head(self.dropout(self.pool(x)))
        return logits


def count_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
