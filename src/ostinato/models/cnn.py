"""CNN: convolutions over an image of mel bands, pooled over time. No recurrence.

After the short-chunk CNN of Won et al. 2020, with fewer channels: it stands beside the recurrent
models to show what they are worth.

Axes: B batch, T frames, F features, M mel bands, K channels, G genres; T', M' after the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ostinato.features import FeatureSpec
from ostinato.models.layers.conv_blocks import ConvFront, check_blocks
from ostinato.models.layers.mel_image import MelImage
from ostinato.models.layers.normalisation import FrameNormalisation, GenreModel
from ostinato.models.layers.pooling import PoolKind, check_pooling, make_pool
from ostinato.models.settings import check_dropout


@dataclass(frozen=True, kw_only=True)
class CNNSettings:
    """Settings of the CNN.

    Attributes
    ----------
    bands : int
        Mel bands of the image; divides those of the frames.
    channels : tuple of int
        For each block.
    pool_time : tuple of int
        Frames that each block makes one of.
    dropout : float
        Before the head, in [0, 1).
    channel_dropout : float
        Drops whole channels after each block but the first, in [0, 1).
    pooling : str
        Over time, one of :data:`ostinato.models.layers.pooling.POOLINGS`.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    bands: int = 64
    channels: tuple[int, ...] = (16, 32, 64, 64)
    pool_time: tuple[int, ...] = (2, 2, 2, 2)
    dropout: float = 0.5
    channel_dropout: float = 0.1
    pooling: PoolKind = "mean-max"

    def __post_init__(self) -> None:
        check_blocks(self.bands, self.channels, self.pool_time)
        check_dropout(self, "dropout", "channel_dropout")
        check_pooling(self.pooling)


class CNNClassifier(GenreModel):
    """Frames (B, T, F) -> logits (B, G).

    Parameters
    ----------
    spec : FeatureSpec
        The frames' spec.
    n_genres : int
        G.
    settings : CNNSettings
    """

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: CNNSettings) -> None:
        super().__init__()
        self.normalise = FrameNormalisation(spec.n_features)
        self.image = MelImage(spec, settings.bands)
        self.front = ConvFront(
            settings.bands, settings.channels, settings.pool_time, settings.channel_dropout
        )
        self.n_channels = settings.channels[-1]
        self.pool = make_pool(settings.pooling, self.n_channels)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.pool.width, n_genres)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.front(self.image(self.normalise(x), self.normalise))  # (B, T', K M')
        x = x.view(*x.shape[:2], self.n_channels, -1).mean(dim=3)  # (B, T', K)
        logits: Tensor = self.head(self.dropout(self.pool(x)))  # (B, G)
        return logits
