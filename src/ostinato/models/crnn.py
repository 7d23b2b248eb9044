"""CRNN: convolutions over an image of mel bands, then a residual LSTM (Choi et al. 2017).

"Convolutional recurrent neural networks for music classification": the convolutions make one step
of many frames and know what is near, the recurrence knows what came before. Its layers are those of
the residual LSTM (:class:`ostinato.models.lstm.LSTMStack`), in place of the paper's two GRU.

Axes: B batch, T frames, F features, M mel bands, K channels, H width, G genres; T', M' after the
blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ostinato.errors import UsageError
from ostinato.features import FeatureSpec
from ostinato.models.layers.conv_blocks import ConvFront, check_blocks
from ostinato.models.layers.mel_image import MelImage
from ostinato.models.layers.normalisation import FrameNormalisation, GenreModel
from ostinato.models.layers.pooling import PoolKind, check_pooling, make_pool
from ostinato.models.lstm import LSTMStack
from ostinato.models.settings import check_dropout


@dataclass(frozen=True, kw_only=True)
class CRNNSettings:
    """Settings of the CRNN.

    Attributes
    ----------
    bands : int
        Mel bands of the image; divides those of the frames.
    channels : tuple of int
        For each block of convolutions.
    pool_time : tuple of int
        Frames that each block makes one of.
    width, depth : int
        Of the residual LSTM; half of the width runs each way where it is bidirectional.
    bidirectional : bool
        Read each window forwards and backwards.
    dropout : float
        Before, between and after the recurrent layers, in [0, 1).
    channel_dropout : float
        Drops whole channels after each block but the first, in [0, 1).
    pooling : str
        Over time, one of :data:`ostinato.models.layers.pooling.POOLINGS`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    bands: int = 64
    channels: tuple[int, ...] = (16, 32, 64, 64)
    pool_time: tuple[int, ...] = (2, 2, 2, 1)
    width: int = 64
    depth: int = 2
    bidirectional: bool = True
    dropout: float = 0.3
    channel_dropout: float = 0.1
    pooling: PoolKind = "mean-max"

    def __post_init__(self) -> None:
        check_blocks(self.bands, self.channels, self.pool_time)
        if self.width < 1 or self.depth < 1 or (self.bidirectional and self.width % 2):
            raise UsageError(
                "Expected a width and depth of at least 1, and an even width where layers run both "
                f"ways; got width {self.width}, depth {self.depth}."
            )
        check_dropout(self, "dropout", "channel_dropout")
        check_pooling(self.pooling)


class CRNNClassifier(GenreModel):
    """Frames (B, T, F) -> logits (B, G).

    Parameters
    ----------
    spec : FeatureSpec
        The frames' spec.
    n_genres : int
        G.
    settings : CRNNSettings
    """

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: CRNNSettings) -> None:
        super().__init__()
        self.normalise = FrameNormalisation(spec.n_features)
        self.image = MelImage(spec, settings.bands)
        self.front = ConvFront(
            settings.bands, settings.channels, settings.pool_time, settings.channel_dropout
        )
        self.project = nn.Linear(self.front.width, settings.width)
        self.stack = LSTMStack(
            settings.width,
            settings.depth,
            bidirectional=settings.bidirectional,
            residual=True,
            dropout=settings.dropout,
        )
        self.pool = make_pool(
            settings.pooling, settings.width, bidirectional=settings.bidirectional
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.pool.width, n_genres)

    def recurrent_layers(self) -> list[nn.Module]:
        """Its recurrent layers, the first one first."""
        return list(self.stack.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.front(self.image(self.normalise(x), self.normalise))  # (B, T', K M')
        x = self.dropout(self.project(x))  # (B, T', H)
        x, _ = self.stack(x)  # (B, T', H)
        x = self.pool(x)  # (B, pooled)
        logits: Tensor = self.head(self.dropout(x))  # (B, G)
        return logits
