"""LSTM: the baseline.

Texture windows of frames go through a stack of LSTM layers (Hochreiter and Schmidhuber 1997; cells
are ``torch.nn.LSTM``'s), each preceded by layer normalisation (Ba, Kiros and Hinton 2016) and
followed by dropout; the last layer's outputs are pooled over time.

Axes: B batch, T frames, F features, S steps, H width, G genres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.models.layers import FrameNormalisation, GenreModel, TextureWindows
from ostinato.models.pooling import PoolKind, check_pooling, make_pool


@dataclass(frozen=True, kw_only=True)
class LSTMSettings:
    """Settings of the LSTM and, word for word, of the residual LSTM.

    Attributes
    ----------
    width : int
        Outputs of every layer; with ``bidirectional``, half of them run each way.
    depth : int
        Layers, at least 1.
    bidirectional : bool
        Read each window forwards and backwards.
    dropout : float
        After the input projection, each layer, and the pooling, in [0, 1).
    texture_frames : int
        Length of a texture window, in frames.
    pooling : str
        Over time, one of :data:`ostinato.models.pooling.POOLINGS`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    width: int = 32
    depth: int = 3
    bidirectional: bool = True
    dropout: float = 0.3
    texture_frames: int = 18
    pooling: PoolKind = "mean-max"

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 1 or (self.bidirectional and self.width % 2):
            raise UsageError(
                "Expected a width and depth of at least 1, and an even width where layers run both "
                f"ways; got width {self.width}, depth {self.depth}."
            )
        if not 0 <= self.dropout < 1:
            raise UsageError(f"Expected a dropout in [0, 1), got {self.dropout}.")
        check_pooling(self.pooling)


class LSTMClassifier(GenreModel):
    """Frames (B, T, F) -> logits (B, G).

    Parameters
    ----------
    n_features, n_genres : int
        F and G.
    settings : LSTMSettings
    """

    residual = False

    def __init__(self, n_features: int, n_genres: int, settings: LSTMSettings) -> None:
        super().__init__()
        width = settings.width
        self.normalise = FrameNormalisation(n_features)
        self.texture = TextureWindows(n_features, settings.texture_frames)
        self.project = nn.Linear(self.texture.n_features, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(settings.depth))
        self.layers = nn.ModuleList(
            nn.LSTM(
                width,
                width // 2 if settings.bidirectional else width,
                batch_first=True,
                bidirectional=settings.bidirectional,
            )
            for _ in range(settings.depth)
        )
        self.final_norm = nn.LayerNorm(width)
        self.pool = make_pool(settings.pooling, width, bidirectional=settings.bidirectional)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.pool.width, n_genres)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.dropout(self.project(self.texture(self.normalise(x))))  # (B, S, H)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            y = self.dropout(layer(norm(x))[0])  # (B, S, H)
            x = x + y if self.residual else y
        x = self.pool(self.final_norm(x))  # (B, pooled)
        logits: Tensor = self.head(self.dropout(x))  # (B, G)
        return logits
