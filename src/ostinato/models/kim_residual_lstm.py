"""Residual LSTM with the shortcut inside the cell (Kim, El-Khamy and Lee 2017).

In :mod:`ostinato.models.residual_lstm` the shortcut goes around the layer; here the output gate
scales the shortcut too (see :mod:`ostinato.models.layers.kim_lstm`). Texture windows go through a
stack of such layers, each followed by dropout; the last one's outputs are normalised and pooled
over time. A normalisation between the layers would break the identity shortcuts, so there is none.

Axes: B batch, T frames, F features, S steps, H width, G genres.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.genre_model import Network
from ostinato.models.layers.kim_lstm import KimLSTM
from ostinato.models.layers.texture import make_texture
from ostinato.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class KimLSTMSettings(NetworkSettings):
    """Settings of the residual LSTM of Kim et al.

    Attributes
    ----------
    width : int
        Cells of every layer; with ``bidirectional``, half of them run each way.
    projection : int
        Outputs of every layer, divided in the same way.
    depth : int
        Layers, at least 1.
    peepholes : bool
        Whether gates see the cell.
    bidirectional : bool
        Read each window forwards and backwards.
    texture_frames : int
        Length of a texture window, in frames; 1 for the frames themselves.
    """

    width: int = 32
    projection: int = 32
    depth: int = 3
    peepholes: bool = True
    bidirectional: bool = True
    texture_frames: int = 18

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = (self.width, self.projection)
        if min(*widths, self.depth) < 1 or (self.bidirectional and any(n % 2 for n in widths)):
            raise UsageError(
                "Expected a width, projection and depth of at least 1, and even widths where "
                f"layers run both ways; got width {self.width}, projection {self.projection}, "
                f"depth {self.depth}."
            )


class KimLSTMClassifier(Network):
    """Frames (B, T, F) -> logits (B, G)."""

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: KimLSTMSettings) -> None:
        super().__init__(spec)
        H, bidirectional = settings.projection, settings.bidirectional
        ways = 2 if bidirectional else 1
        self.texture = make_texture(spec.n_features, settings.texture_frames)
        self.project = nn.Linear(self.texture.n_features, H)
        self.layers = nn.ModuleList(
            KimLSTM(
                H,
                settings.width // ways,
                H // ways,
                peepholes=settings.peepholes,
                bidirectional=bidirectional,
                shortcut="identity",
            )
            for _ in range(settings.depth)
        )
        self.final_norm = nn.LayerNorm(H)
        self.add_head(H, n_genres, settings, bidirectional=bidirectional)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.dropout(self.project(self.texture(self.normalise(x))))  # (B, S, H)
        for layer in self.layers:
            x = self.dropout(layer(x)[0])  # (B, S, H)
        return self.classify(self.final_norm(x))
