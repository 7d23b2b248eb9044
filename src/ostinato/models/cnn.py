"""CNN: convolutions over an image of mel bands, pooled over time. No recurrence.

After the short-chunk CNN of Won et al. 2020, with fewer channels: beside the recurrent models it
shows what they are worth.

Axes: B batch, T frames, F features, M mel bands, K channels, G genres; T', M' after the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ostinato.features import FeatureSpec
from ostinato.models.genre_model import Network
from ostinato.models.layers.conv_blocks import ConvFront, check_blocks
from ostinato.models.layers.mel_image import MelImage
from ostinato.models.settings import NetworkSettings


@dataclass(frozen=True, kw_only=True)
class CNNSettings(NetworkSettings):
    """Settings of the CNN.

    Attributes
    ----------
    bands : int
        Mel bands of the image; divides those of the frames.
    channels : tuple of int
        Channels of each block of convolutions.
    pool_time : tuple of int
        Frames that each block joins into one.
    channel_dropout : float
        Drops whole channels after each block but the first, in [0, 1).
    """

    bands: int = 64
    channels: tuple[int, ...] = (16, 32, 64, 64)
    pool_time: tuple[int, ...] = (2, 2, 2, 2)
    dropout: float = 0.5
    channel_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_blocks(self.bands, self.channels, self.pool_time)


class CNNClassifier(Network):
    """Frames (B, T, F) -> logits (B, G)."""

    def __init__(self, spec: FeatureSpec, n_genres: int, settings: CNNSettings) -> None:
        super().__init__(spec)
        self.image = MelImage(spec, settings.bands)
        self.front = ConvFront(
            settings.bands, settings.channels, settings.pool_time, settings.channel_dropout
        )
        self.n_channels = settings.channels[-1]
        self.add_head(self.n_channels, n_genres, settings)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows of frames."""
        x = self.front(self.image(self.normalise(x), self.normalise))  # (B, T', K M')
        x = x.view(*x.shape[:2], self.n_channels, -1).mean(dim=3)  # (B, T', K)
        return self.classify(x)
