"""Residual LSTM with the shortcut inside the cell (Kim, El-Khamy and Lee 2017).

In :mod:`ostinato.models.residual_lstm` the shortcut goes around the layer; here the output gate
scales the shortcut too (see :mod:`ostinato.models.layers.kim_lstm`). Texture windows go through a
stack of such layers, each followed by dropout; the last one's outputs are normalised and pooled
over time. A normalisation between the layers would break the identity shortcuts, so there is none.

Axes: B batch, T frames, F features, S steps, H width, G genres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.models.layers.kim_lstm import KimLSTM
from ostinato.models.layers.normalisation import FrameNormalisation, GenreModel, make_texture
from ostinato.models.layers.pooling import PoolKind, check_pooling, make_pool
from ostinato.models.settings import check_dropout


@dataclass(frozen=True, kw_only=True)
class KimLSTMSettings:
    """Settings of the residual LSTM of Kim et al.

    Attributes
    ----------
    width : int
        Cells of every layer; with ``bidirectional``, half of them run each way.
    projection : int
        Outputs of every layer, shared out in the same way.
    depth : int
        Layers, at least 1.
    peepholes : bool
        Whether gates see the cell.
    bidirectional : bool
        Read each window forwards and backwards.
    dropout : float
        After the input projection, each layer, and the pooling, in [0, 1).
    texture_frames : int
        Length of a texture window, in frames; 1 for the frames themselves.
    pooling : str
        Over time, one of :data:`ostinato.models.layers.pooling.POOLINGS`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    width: int = 32
    projection: int = 32
    depth: int = 3
    peepholes: bool = True
    bidirectional: bool = True
    dropout: float = 0.3
    texture_frames: int = 18
    pooling: PoolKind = "mean-max"

    def __post_init__(self) -> None:
        widths = (self.width, self.projection)
        if min(*widths, self.depth) < 1 or (self.bidirectional and any(n % 2 for n in widths)):
            raise UsageError(
                "Expected a width, projection and depth of at least 1, and even widths where "
                f"layers run both ways; got width {self.width}, projection {self.projection}, "
                f"depth {self.depth}."
            )
        check_dropout(self, "dropout")
        check_pooling(self.pooling)


class KimLSTMClassifier(GenreModel):
    """Frames (B, T, F) -> logits (B, G).

    Parameters
    ----------
    n_features, n_genres : int
        F and G.
    settings : KimLSTMSettings
    """

    def __init__(self, n_features: int, n_genres: int, settings: KimLSTMSettings) -> None:
        super().__init__()
        H = settings.projection
        ways = 2 if settings.bidirectional else 1
        self.normalise = FrameNormalisation(n_features)
        self.texture = make_texture(n_features, settings.texture_frames)
        self.project = nn.Linear(self.texture.n_features, H)
        self.layers = nn.ModuleList(
            KimLSTM(
                H,
                settings.width // ways,
                H // ways,
                peepholes=settings.peepholes,
                bidirectional=settings.bidirectional,
                shortcut="identity",
            )
            for _ in range(settings.depth)
        )
        self.final_norm = nn.LayerNorm(H)
        self.pool = make_pool(settings.pooling, H, bidirectional=settings.bidirectional)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.pool.width, n_genres)

    def recurrent_layers(self) -> list[nn.Module]:
        """Its recurrent layers, the first one first."""
        return list(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.dropout(self.project(self.texture(self.normalise(x))))  # (B, S, H)
        for layer in self.layers:
            x = self.dropout(layer(x)[0])  # (B, S, H)
        x = self.pool(self.final_norm(x))  # (B, pooled)
        logits: Tensor = self.head(self.dropout(x))  # (B, G)
        return logits
